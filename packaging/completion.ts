/**
 * Bash completion, written from the commands' declarations: commands, options, the words that an
 * option accepts, file names where a value is one.
 */
import type { Option, Options } from "../src/cli/args.ts";
import { optionName } from "../src/cli/parse-args.ts";
import type { Place } from "./tree.ts";

/** Every spelling of an option that is offered. */
function words(options: Options): string[] {
  return Object.entries(options).flatMap(([key, option]) => {
    const name = optionName(key);
    return option.onByDefault === true ? [`--no-${name}`] : [`--${name}`];
  });
}

/** The values of an option or operand: words, file names, or undefined. */
function values({ choices, files }: Option<unknown>): string | undefined {
  if (choices !== undefined)
    return `mapfile -t COMPREPLY < <(compgen -W "${choices.join(" ")}" -- "$cur")`;
  return files === true
    ? 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur")'
    : undefined;
}

function spellings(key: string, { alias }: Option<unknown>): string {
  return [`--${optionName(key)}`, ...(alias === undefined ? [] : [`-${alias}`])].join("|");
}

/** The case of one command: its options' values, then its options, sub-commands and operands. */
function clause({ path, command }: Place): string[] {
  const lines = [`    "${path.slice(1).join(" ")}")`, '      case "$prev" in'];
  for (const [key, option] of Object.entries(command.options)) {
    if (option.type === "boolean") continue;
    lines.push(`        ${spellings(key, option)}) ${values(option) ?? ":"}; return ;;`);
  }
  lines.push("      esac");
  const options = [...words(command.options), "--help"];
  if (path.length === 1) options.push("--version");
  lines.push(`      options="${options.join(" ")}"`);
  lines.push(`      commands="${[...command.children.keys()].join(" ")}"`);
  const operand = Object.values(command.operands)
    .map(values)
    .find((value) => value !== undefined);
  if (operand !== undefined) lines.push(`      [[ $cur == -* ]] || { ${operand}; return; }`);
  return [...lines, "      ;;"];
}

/** Options of all commands that take a value: the word after one is not a command. */
function valueOptions(places: readonly Place[]): string {
  const all = places.flatMap(({ command }) =>
    Object.entries(command.options)
      .filter(([, option]) => option.type !== "boolean")
      .map(([key, option]) => spellings(key, option)),
  );
  return [...new Set(all.flatMap((spelling) => spelling.split("|")))].join("|");
}

/** The completion script for `places`, whose first is the program. */
export function bashCompletion(places: readonly Place[]): string {
  const paths = places
    .map(({ path }) => `"${path.slice(1).join(" ")}"`)
    .filter((path) => path !== '""');
  const taking = valueOptions(places);
  const skip = taking === "" ? [] : [`      ${taking}) skip=1; continue ;;`];
  return [
    "# Bash completion for pmxcfs-ipc, written by packaging/completion.ts.",
    "_pmxcfs_ipc() {",
    '  local cur=${COMP_WORDS[COMP_CWORD]} prev="" at="" word options="" commands="" skip=0 i',
    "  # COMP_WORDS has --name, = and value as three words.",
    '  if [[ $cur == "=" ]]; then cur=""; prev=${COMP_WORDS[COMP_CWORD - 1]}',
    '  elif [[ ${COMP_WORDS[COMP_CWORD - 1]} == "=" ]]; then prev=${COMP_WORDS[COMP_CWORD - 2]}',
    "  else prev=${COMP_WORDS[COMP_CWORD - 1]}; fi",
    "  COMPREPLY=()",
    "  for ((i = 1; i < COMP_CWORD; i++)); do",
    "    word=${COMP_WORDS[i]}",
    "    if ((skip)); then skip=0; continue; fi",
    '    case "$word" in',
    ...skip,
    "      -*|=) continue ;;",
    "    esac",
    '    case "${at:+$at }$word" in',
    ...(paths.length === 0 ? [] : [`      ${paths.join("|")}) at="\${at:+$at }$word" ;;`]),
    "    esac",
    "  done",
    '  case "$at" in',
    ...places.flatMap(clause),
    "  esac",
    "  if [[ $cur == -* ]]; then commands=$options; fi",
    '  mapfile -t COMPREPLY < <(compgen -W "${commands:-$options}" -- "$cur")',
    "}",
    "complete -F _pmxcfs_ipc pmxcfs-ipc",
    "",
  ].join("\n");
}
