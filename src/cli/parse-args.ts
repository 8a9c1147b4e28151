/**
 * Splits the words after a command's name into options and operands, by the command's declaration,
 * and parses them. citty's parser accepts unknown options, options without a value and any
 * `--no-x`; here each of these is a UsageFailure that suggests the right word.
 */
import type { Option, Options, Values } from "./args.ts";
import { UsageFailure } from "./failure.ts";
import { suggest } from "./suggest.ts";

/** Options that every command has in addition to its own. */
export const HELP_FLAGS: readonly string[] = ["--help", "-h"];

/** `maxConnections` -> `max-connections`. */
export function optionName(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `vmConfig` -> `VM-CONFIG`, as operands are shown in a usage line. */
export function operandLabel(key: string): string {
  return optionName(key).toUpperCase();
}

/** The words given for each key of `options`, and the words that belong to no option. */
interface Scanned {
  readonly given: Map<string, string[]>;
  readonly operands: string[];
}

interface Target {
  readonly key: string;
  readonly option: Option<unknown>;
  /** `--no-name` of a flag. */
  readonly negated: boolean;
}

/** Every spelling of every option (`--name`, `-n`, `--no-name`), and what it sets. */
function spellings(options: Options): Map<string, Target> {
  const found = new Map<string, Target>();
  for (const [key, option] of Object.entries(options)) {
    const name = optionName(key);
    found.set(`--${name}`, { key, option, negated: false });
    if (option.alias !== undefined) found.set(`-${option.alias}`, { key, option, negated: false });
    if (option.type === "boolean") found.set(`--no-${name}`, { key, option, negated: true });
  }
  return found;
}

/** True for words that start with a dash, except numbers and a single dash (stdin). */
function isOption(word: string): boolean {
  return word.startsWith("-") && word !== "-" && !/^-\d/.test(word);
}

function flagWord(target: Target, label: string, attached: string | undefined): string {
  if (target.negated) {
    if (attached !== undefined) throw new UsageFailure(`${label} takes no value`);
    return "false";
  }
  if (attached === undefined) return "true";
  if (attached === "true" || attached === "false") return attached;
  throw new UsageFailure(`${label} is a switch: "${attached}" is neither true nor false`);
}

function unknown(label: string, options: Options): UsageFailure {
  const names = Object.entries(options).flatMap(([key, { onByDefault }]) =>
    onByDefault === true ? [`--no-${optionName(key)}`] : [`--${optionName(key)}`],
  );
  return new UsageFailure(`unknown option "${label}"`, suggest(label, [...names, "--help"]));
}

/** The value of a text option from the word after it, and how many words that takes: 0 or 1. */
function separateValue(
  { option }: Target,
  label: string,
  next: string | undefined,
): readonly [value: string, taken: number] {
  if (next !== undefined && next !== "--" && !isOption(next)) return [next, 1];
  if (option.bare !== undefined) return [option.bare, 0];
  throw new UsageFailure(`${label} needs a value: ${label} ${option.valueHint ?? "VALUE"}`);
}

/** Sorts words into options and operands; `--` ends the options. */
function scan(words: readonly string[], options: Options): Scanned {
  const known = spellings(options);
  const given = new Map<string, string[]>();
  const operands: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (word === "--") {
      operands.push(...words.slice(at + 1));
      break;
    }
    if (!isOption(word)) {
      operands.push(word);
      continue;
    }
    const [label = "", ...rest] = word.split("=");
    const attached = rest.length === 0 ? undefined : rest.join("=");
    const target = known.get(label);
    if (target === undefined) throw unknown(label, options);
    const values = given.get(target.key) ?? [];
    given.set(target.key, values);
    if (target.option.type === "boolean") {
      values.push(flagWord(target, label, attached));
    } else if (attached === undefined) {
      const [value, taken] = separateValue(target, label, words[at + 1]);
      values.push(value);
      at += taken;
    } else {
      values.push(attached);
    }
  }
  return { given, operands };
}

/**
 * Parses the words after a command's name. Throws UsageFailure for the first mistake: an unknown
 * option, a missing or invalid value, an option with one value given twice, too few or too many
 * operands.
 */
export function readWords<O extends Options, P extends Options>(
  words: readonly string[],
  options: O,
  operands: P,
): Values<O> & Values<P> {
  const scanned = scan(words, options);
  const values: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(options)) {
    const given = scanned.given.get(key) ?? [];
    const label = `--${optionName(key)}`;
    if (given.length > 1 && option.repeatable !== true && option.type !== "boolean") {
      throw new UsageFailure(`${label} is given ${given.length} times, but takes one value`);
    }
    values[key] = option.read(given, label);
  }
  const left = [...scanned.operands];
  for (const [key, operand] of Object.entries(operands)) {
    const taken = left.splice(0, operand.repeatable === true ? left.length : 1);
    values[key] = operand.read(taken, operandLabel(key));
  }
  if (left.length > 0) throw new UsageFailure(`unexpected argument "${left[0]}"`);
  return values as Values<O> & Values<P>;
}
