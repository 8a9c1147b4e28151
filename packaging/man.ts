/**
 * Man pages in man(7), written from the commands' declarations: pmxcfs-ipc(1) for the program,
 * pmxcfs-ipc-NAME(1) for each command with its sub-commands.
 */
import type { Option } from "../src/cli/args.ts";
import { optionLabel, optionMeaning, usageLine } from "../src/cli/help.ts";
import { operandLabel } from "../src/cli/parse-args.ts";
import type { Place } from "./tree.ts";

const PROGRAM = "pmxcfs-ipc";

export interface Edition {
  readonly version: string;
  /** Seconds since the epoch. */
  readonly date: number;
}

/** Escapes text for roff: a dash stays a dash, and a leading dot or quote is not a request. */
function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replaceAll("`", "\\(ga")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    .replaceAll(/^\./gm, "\\&.");
}

function heading(title: string, edition: Edition): string[] {
  const day = new Date(edition.date * 1000).toISOString().slice(0, 10);
  return [
    `.\\" Written by packaging/man.ts from the commands' declarations.`,
    `.TH ${title.toUpperCase()} 1 "${day}" "${PROGRAM} ${edition.version}" "Proxmox VE tools"`,
    // Long option names must not be hyphenated.
    ".nh",
    ".ad l",
  ];
}

function tagged(rows: readonly (readonly [tag: string, text: string])[]): string[] {
  return rows.flatMap(([tag, text]) => [".TP", `.B ${roff(tag)}`, roff(text)]);
}

function optionsByGroup({ command }: Place): Map<string, (readonly [string, string])[]> {
  const groups = new Map<string, (readonly [string, string])[]>();
  for (const [key, option] of Object.entries(command.options)) {
    const group = option.group ?? "Options";
    const row = [optionLabel(key, option), `${optionMeaning(option)}.`] as const;
    groups.set(group, [...(groups.get(group) ?? []), row]);
  }
  return groups;
}

function operandRows(operands: readonly (readonly [string, Option<unknown>])[]) {
  return operands.map(
    ([key, operand]) => [operandLabel(key), `${optionMeaning(operand)}.`] as const,
  );
}

/** The texts of one command; `section` makes a heading of the right depth. */
function body(place: Place, section: (title: string) => string): string[] {
  const { command } = place;
  const { summary, details = [], examples = [], exits = [] } = command.text;
  const lines = [section("Description"), roff(`${summary}.`)];
  for (const paragraph of details) lines.push(".PP", roff(paragraph));
  const operands = Object.entries(command.operands);
  if (operands.length > 0) lines.push(section("Arguments"), ...tagged(operandRows(operands)));
  for (const [group, rows] of optionsByGroup(place)) lines.push(section(group), ...tagged(rows));
  if (exits.length > 0) {
    const rows = exits.map(([code, meaning]) => [String(code), `${meaning}.`] as const);
    lines.push(section("Exit status"), ...tagged(rows));
  }
  if (examples.length > 0) {
    lines.push(section("Examples"));
    const rows = examples.map(([line, meaning]) => [`${PROGRAM} ${line}`, `${meaning}.`] as const);
    lines.push(...tagged(rows));
  }
  return lines;
}

const section = (title: string) => `.SH ${title.toUpperCase()}`;
const subsection = (title: string) => `.SS ${title}`;

function synopsis({ path, command }: Place): string[] {
  return [`.B ${roff(path.join(" "))}`, roff(usageLine([], command)), ".br"];
}

function seeAlso(pages: readonly string[]): string[] {
  return [section("See also"), pages.map((page) => `.BR ${roff(page)} (1)`).join(" ,\n")];
}

/** The page of the program itself. */
function programPage(root: Place, commands: readonly Place[], edition: Edition): string {
  const rows = commands.map(
    ({ path, command }) => [path[1] ?? "", `${command.text.summary}.`] as const,
  );
  const pages = commands.map(({ path }) => path.join("-"));
  return [
    ...heading(PROGRAM, edition),
    section("Name"),
    roff(`${PROGRAM} - ${root.command.text.summary}`),
    section("Synopsis"),
    ...synopsis(root),
    ...body(root, section),
    section("Commands"),
    ...tagged(rows),
    section("Environment"),
    ...tagged([
      ["NO_COLOR", "When set, output has no colour."],
      ["CLICOLOR_FORCE", "When set and not 0, output has colour even into a file."],
      ["PMXCFS_IPC_DEBUG", "When set, failures are printed with a stack trace."],
    ]),
    ...seeAlso(pages),
    "",
  ].join("\n");
}

/** The page of one command and its sub-commands. */
function commandPage(place: Place, below: readonly Place[], edition: Edition): string {
  const title = place.path.join("-");
  const lines = [
    ...heading(title, edition),
    section("Name"),
    roff(`${title} - ${place.command.text.summary}`),
    section("Synopsis"),
    ...(below.length > 0 ? below : [place]).flatMap(synopsis),
    ...body(place, section),
  ];
  for (const child of below) {
    const name = child.path.slice(1).join(" ");
    lines.push(section(roff(name)), ...body(child, subsection).slice(1));
  }
  return [...lines, ...seeAlso([PROGRAM]), ""].join("\n");
}

/** File name (`pmxcfs-ipc-serve.1`) to page, for all of `places`, whose first is the program. */
export function manPages(places: readonly Place[], edition: Edition): Map<string, string> {
  const [root, ...others] = places;
  if (root === undefined) return new Map();
  const commands = others.filter(({ path }) => path.length === 2);
  const pages = new Map([[`${PROGRAM}.1`, programPage(root, commands, edition)]]);
  for (const place of commands) {
    const below = others.filter(({ path }) => path.length > 2 && path[1] === place.path[1]);
    pages.set(`${place.path.join("-")}.1`, commandPage(place, below, edition));
  }
  return pages;
}
