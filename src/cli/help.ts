/** `--help`, generated from a command's declaration: usage, options with defaults, examples. */
import { wrap } from "../base/table.ts";
import type { Option, Options } from "./args.ts";
import type { Command } from "./command.ts";
import { operandLabel, optionName } from "./parse-args.ts";

const WIDTH = 80;
/** Column where descriptions start, unless the options are shorter. */
const COLUMN = 30;

type Row = readonly [left: string, right: string];

/** Two columns; a left cell that is too long gets its own line. */
function table(rows: readonly Row[]): string[] {
  const longest = Math.max(...rows.map(([left]) => left.length));
  const column = Math.min(COLUMN, longest + 4);
  return rows.flatMap(([left, right]) => {
    const [first = "", ...rest] = wrap(right, WIDTH - column);
    const indented = rest.map((line) => `${" ".repeat(column)}${line}`);
    if (left.length + 4 > column)
      return [`  ${left}`, `${" ".repeat(column)}${first}`, ...indented];
    return [`  ${left}`.padEnd(column) + first, ...indented];
  });
}

/** `PATH`, `[PATH]`, `NAMES...`. */
function operandUsage([key, operand]: readonly [string, Option<unknown>]): string {
  const label = operandLabel(key) + (operand.repeatable === true ? "..." : "");
  return isRequired(operand, label) ? label : `[${label}]`;
}

/** An operand is required if reading zero words fails. */
function isRequired(operand: Option<unknown>, label: string): boolean {
  try {
    operand.read([], label);
    return false;
  } catch {
    return true;
  }
}

/** The line after `Usage:`, without the program's name. */
export function usageLine(path: readonly string[], command: Command): string {
  const words = [...path];
  if (Object.keys(command.options).length > 0) words.push("[options]");
  if (command.children.size > 0) words.push("COMMAND ...");
  words.push(...Object.entries(command.operands).map(operandUsage));
  return words.join(" ");
}

/** `--socket NAME`, `-q, --quiet`, `--no-color`. */
export function optionLabel(key: string, option: Option<unknown>): string {
  const name = option.onByDefault === true ? `no-${optionName(key)}` : optionName(key);
  const short = option.alias === undefined ? "" : `-${option.alias}, `;
  return `${short}--${name}${option.valueHint === undefined ? "" : ` ${option.valueHint}`}`;
}

/** Description and default, and whether it may be repeated. */
export function optionMeaning(option: Option<unknown>): string {
  const repeat = option.repeatable === true ? "; may be repeated" : "";
  const otherwise = option.defaultText === undefined ? "" : ` (default: ${option.defaultText})`;
  return `${option.description}${repeat}${otherwise}`;
}

function optionRows(options: Options, isRoot: boolean): Map<string, Row[]> {
  const groups = new Map<string, Row[]>([["Options", []]]);
  for (const [key, option] of Object.entries(options)) {
    const group = option.group ?? "Options";
    const rows = groups.get(group) ?? [];
    groups.set(group, [...rows, [optionLabel(key, option), optionMeaning(option)]]);
  }
  groups.get("Options")?.push(["-h, --help", "Show this help"]);
  if (isRoot) groups.get("Options")?.push(["-V, --version", "Show version and protocol details"]);
  return groups;
}

async function childRows(command: Command): Promise<Row[]> {
  const loads = [...command.children].map(async ([name, load]): Promise<Row> => {
    const { text } = await load();
    return [name, text.summary];
  });
  return Promise.all(loads);
}

/** The help of one command; `path` is what the user types, program name first. */
export async function helpText(path: readonly string[], command: Command): Promise<string> {
  const { summary, details = [], examples = [], exits = [] } = command.text;
  const lines = [`Usage: ${usageLine(path, command)}`, "", ...wrap(`${summary}.`, WIDTH)];
  for (const paragraph of details) lines.push("", ...wrap(paragraph, WIDTH));
  const section = (title: string, rows: readonly Row[]) => {
    if (rows.length > 0) lines.push("", `${title}:`, ...table(rows));
  };
  section("Commands", await childRows(command));
  section(
    "Arguments",
    Object.entries(command.operands).map(([key, operand]) => [
      operandLabel(key),
      optionMeaning(operand),
    ]),
  );
  for (const [group, rows] of optionRows(command.options, path.length === 1)) section(group, rows);
  section(
    "Exit codes",
    exits.map(([code, meaning]) => [String(code), meaning]),
  );
  if (examples.length > 0) {
    lines.push("", "Examples:");
    for (const [line, meaning] of examples) lines.push(`  ${path[0]} ${line}`, `      ${meaning}`);
  }
  return `${lines.join("\n")}\n`;
}
