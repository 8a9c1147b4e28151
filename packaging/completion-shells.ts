/** Completion for zsh and fish, written from the commands' declarations as bash's is. */
import type { Option } from "../src/cli/args.ts";
import { optionName } from "../src/cli/parse-args.ts";
import type { Place } from "./tree.ts";

const HELP = ["help", "Show this help"] as const;

/** `--no-name` for a switch that is on by default. */
function nameOf(key: string, { onByDefault }: Option<unknown>): string {
  return onByDefault === true ? `no-${optionName(key)}` : optionName(key);
}

/** A word in single quotes, in which zsh knows no escape. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** A word in single quotes, in which fish escapes backslashes and quotes. */
function fishQuoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, "\\$&")}'`;
}

/** `call get-config` as part of a function's name. */
function functionName(path: readonly string[]): string {
  return ["_pmxcfs_ipc", ...path.slice(1).map((word) => word.replaceAll("-", "_"))].join("__");
}

/** Text inside _arguments' brackets and colons. */
function zshText(text: string): string {
  return text.replaceAll(/[[\]:\\]/g, "\\$&");
}

/** The values of an option, in the syntax of zsh's _arguments. */
function zshAction({ choices, files, valueHint = "value" }: Option<unknown>): string {
  const what = zshText(valueHint.toLowerCase());
  if (choices !== undefined) return `:${what}:(${choices.join(" ")})`;
  return files === true ? `:${what}:_files` : `:${what}: `;
}

function zshOptions({ path, command }: Place): string[] {
  const options = Object.entries(command.options).map(([key, option]) => {
    const value = option.type === "boolean" ? "" : zshAction(option);
    const many = option.repeatable === true ? "*" : "";
    return quoted(`${many}--${nameOf(key, option)}[${zshText(option.description)}]${value}`);
  });
  const version = path.length === 1 ? ["'--version[Show what this program is]'"] : [];
  return [...options, ...version, `'(-h --help)'{-h,--help}'[${HELP[1]}]'`];
}

/** The function of one command: its options, then its sub-commands or operands. */
function zshFunction(place: Place): string[] {
  const { path, command } = place;
  const name = functionName(path);
  const children = [...command.children.keys()];
  const operands = Object.values(command.operands).map((operand) => {
    return quoted(`${operand.repeatable === true ? "*" : ""}${zshAction(operand)}`);
  });
  const rest = children.length > 0 ? ["'1: :->command'", "'*:: :->rest'"] : operands;
  const lines = [
    `${name}() {`,
    "  local curcontext=$curcontext state line",
    "  typeset -A opt_args",
  ];
  lines.push("  _arguments -C \\");
  lines.push([...zshOptions(place), ...rest].map((word) => `    ${word}`).join(" \\\n"));
  if (children.length > 0) {
    const cases = children.map((child) => `      ${child}) ${functionName([...path, child])} ;;`);
    lines.push("  case $state in", "    command) _describe command \\");
    lines.push(`      ${name}__commands ;;`, "    rest) case $words[1] in", ...cases);
    lines.push("    esac ;;", "  esac");
  }
  return [...lines, "}"];
}

/** The sub-commands of a group with their summaries. */
function zshCommands(place: Place, places: readonly Place[]): string[] {
  const { path, command } = place;
  if (command.children.size === 0) return [];
  const below = places.filter(
    (each) =>
      each.path.length === path.length + 1 && path.every((word, at) => each.path[at] === word),
  );
  const rows = below.map((each) => {
    const name = each.path.at(-1) ?? "";
    return `  ${quoted(`${name}:${each.command.text.summary.replaceAll(":", "\\:")}`)}`;
  });
  return [`typeset -ga ${functionName(path)}__commands=(`, ...rows, ")"];
}

/** The file `_pmxcfs-ipc` for zsh's site-functions. */
export function zshCompletion(places: readonly Place[]): string {
  return [
    "#compdef pmxcfs-ipc",
    "# zsh completion for pmxcfs-ipc, written by packaging/completion-shells.ts.",
    ...places.flatMap((place) => zshCommands(place, places)),
    ...places.flatMap(zshFunction),
    '_pmxcfs_ipc "$@"',
    "",
  ].join("\n");
}

/** Options that take a value: the word after one is not a command. */
function valueOptions(places: readonly Place[]): string[] {
  const all = places.flatMap(({ command }) =>
    Object.entries(command.options)
      .filter(([, option]) => option.type !== "boolean")
      .flatMap(([key, { alias }]) => {
        const long = `--${optionName(key)}`;
        return alias === undefined ? [long] : [long, `-${alias}`];
      }),
  );
  return [...new Set(all)];
}

function fishLines({ path, command }: Place): string[] {
  const at = path.slice(1).join(" ");
  const when = `-n ${fishQuoted(`__pmxcfs_ipc_at ${at}`.trimEnd())}`;
  const start = `complete -c pmxcfs-ipc ${when}`;
  const options = Object.entries(command.options).map(([key, option]) => {
    const alias = option.alias === undefined ? "" : ` -s ${option.alias}`;
    const name = `-l ${nameOf(key, option)}${alias} -d ${fishQuoted(option.description)}`;
    if (option.type === "boolean") return `${start} ${name}`;
    if (option.choices !== undefined)
      return `${start} ${name} -xa ${fishQuoted(option.choices.join(" "))}`;
    return `${start} ${name} ${option.files === true ? "-rF" : "-x"}`;
  });
  const takesFiles = Object.values(command.operands).some(({ files }) => files === true);
  return [
    ...options,
    `${start} -l ${HELP[0]} -s h -d ${fishQuoted(HELP[1])}`,
    ...(path.length === 1 ? [`${start} -l version -d 'Show what this program is'`] : []),
    ...(takesFiles ? [`${start} -F`] : []),
  ];
}

/** The file `pmxcfs-ipc.fish` for fish's vendor_completions.d. */
export function fishCompletion(places: readonly Place[]): string {
  const commands = places
    .filter(({ path }) => path.length > 1)
    .map(({ path, command }) => {
      const above = path.slice(1, -1).join(" ");
      const when = fishQuoted(`__pmxcfs_ipc_at ${above}`.trimEnd());
      const summary = fishQuoted(command.text.summary);
      return `complete -c pmxcfs-ipc -n ${when} -a ${path.at(-1)} -d ${summary}`;
    });
  return [
    "# fish completion for pmxcfs-ipc, written by packaging/completion-shells.ts.",
    "# True when the commands typed so far are exactly the arguments.",
    "function __pmxcfs_ipc_at",
    "  set -l at",
    "  set -l skip 0",
    "  for word in (commandline -opc)[2..-1]",
    "    if test $skip = 1; set skip 0; continue; end",
    `    if contains -- $word ${valueOptions(places).join(" ")}; set skip 1; continue; end`,
    "    if string match -q -- '-*' $word; continue; end",
    "    if contains -- $word $__pmxcfs_ipc_words; set -a at $word; end",
    "  end",
    '  test "$at" = "$argv"',
    "end",
    `set -g __pmxcfs_ipc_words ${[...new Set(places.flatMap(({ path }) => path.slice(1)))].join(" ")}`,
    "complete -c pmxcfs-ipc -f",
    ...commands,
    ...places.flatMap(fishLines),
    "",
  ].join("\n");
}
