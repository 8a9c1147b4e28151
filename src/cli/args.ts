/**
 * The kinds of values on a command line: each constructor declares one option or operand (text for
 * --help, man page and completion, and the function that checks and converts its value). citty has
 * only strings and booleans, and accepts most mistakes; so `read` gets the raw words, in order, and
 * throws a UsageFailure that names the option.
 */
import { UsageFailure } from "./failure.ts";
import { suggest } from "./suggest.ts";
import {
  MOST_MILLISECONDS,
  parseBytes,
  parseMilliseconds,
  showBytes,
  showMilliseconds,
} from "./units.ts";

/** One option (`--name VALUE`) or operand. `T` is the type of its value for the command. */
export interface Option<T> {
  /** A flag takes no value. */
  readonly type: "boolean" | "string";
  readonly description: string;
  /** Placeholder for the value in the help: `NAME`, `BYTES`. */
  readonly valueHint?: string;
  /** The default value, as it would be typed. */
  readonly defaultText?: string;
  /** One letter. */
  readonly alias?: string;
  /** Heading in the help; default: `Options`. */
  readonly group?: string;
  /** The allowed values, for completion. */
  readonly choices?: readonly string[];
  /** Values are file names, for completion. */
  readonly files?: boolean;
  /** May be given more than once; as an operand it takes all remaining words. */
  readonly repeatable?: boolean;
  /** The value if none follows: the option may be given without one. */
  readonly bare?: string;
  /** A flag that is on unless `--no-name` is given; the description is that of `--no-name`. */
  readonly onByDefault?: boolean;
  /** `label` is the name in messages to the user: `--socket`, or `PATH`. */
  readonly read: (words: readonly string[], label: string) => T;
}

/** Options by name; the key `maxConnections` is `--max-connections` on the command line. */
export type Options = Readonly<Record<string, Option<unknown>>>;

/** The option values that a command's `run` gets. */
export type Values<O extends Options> = {
  readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never;
};

interface Spec {
  readonly description: string;
  readonly hint?: string;
  readonly alias?: string;
  readonly group?: string;
}

interface ValueSpec<T> extends Spec {
  readonly default?: T;
  /** The value has no default and must be given. */
  readonly required?: boolean;
  /** The value if the option is given without one. */
  readonly bare?: string;
  /** Shown as the default in the help, for a default that is computed at run time. */
  readonly defaultText?: string;
}

interface NumberSpec extends ValueSpec<number> {
  readonly min?: number;
  readonly max?: number;
  /** Shown in the help: `microseconds`. */
  readonly unit?: string;
}

/** An option with a default, or a required one, always has a value. */
type Given<T, S> = S extends { default: T } | { required: true } ? T : T | undefined;

type Parse<T> = (word: string, label: string) => T;

interface Shape<T> {
  readonly hint: string;
  readonly parse: Parse<T>;
  readonly show: (value: T) => string;
  readonly unit?: string | undefined;
}

/** The fields of `spec` that are copied unchanged. */
function common(spec: Spec): Pick<Option<unknown>, "alias" | "group" | "description"> {
  return {
    description: spec.description,
    ...(spec.alias === undefined ? {} : { alias: spec.alias }),
    ...(spec.group === undefined ? {} : { group: spec.group }),
  };
}

function value<T, const S extends ValueSpec<T>>(spec: S, shape: Shape<T>): Option<Given<T, S>> {
  const shown = spec.default === undefined ? undefined : shape.show(spec.default);
  const defaultText = spec.defaultText ?? shown;
  const read = (words: readonly string[], label: string): T | undefined => {
    const word = words.at(-1);
    if (word !== undefined) return shape.parse(word, label);
    if (spec.required === true) throw new UsageFailure(`${label} is missing`);
    return spec.default;
  };
  const unit = shape.unit === undefined ? "" : `, ${shape.unit}`;
  return {
    ...common(spec),
    description: `${spec.description}${unit}`,
    type: "string",
    valueHint: spec.hint ?? shape.hint,
    ...(spec.bare === undefined ? {} : { bare: spec.bare }),
    ...(defaultText === undefined ? {} : { defaultText }),
    read: read as Option<Given<T, S>>["read"],
  };
}

function wrong(label: string, word: string, wanted: string): UsageFailure {
  return new UsageFailure(`${label}: "${word}" is not ${wanted}`);
}

function parseText(word: string, label: string): string {
  if (word === "") throw new UsageFailure(`${label} must not be empty`);
  return word;
}

function withinBounds(
  number: number,
  word: string,
  label: string,
  spec: NumberSpec,
  show: (value: number) => string = String,
): number {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = spec;
  if (number >= min && number <= max) return number;
  const isOpen = max === Number.MAX_SAFE_INTEGER && number < min;
  const range = isOpen ? `at least ${show(min)}` : `${show(min)} to ${show(max)}`;
  throw new UsageFailure(`${label}: ${word} is out of range, it must be ${range}`);
}

/** A switch that is off unless it is given. */
export function flag(spec: Spec): Option<boolean> {
  return { ...common(spec), type: "boolean", read: (words) => words.at(-1) === "true" };
}

/**
 * A switch that is on unless `--no-name` is given. Help and man page show `--no-name`, so `without`
 * describes that: "Do not ...", "Keep ...", "Never ...".
 */
export function flagOn({ without, group }: { without: string; group?: string }): Option<boolean> {
  return {
    ...common({ description: without, ...(group === undefined ? {} : { group }) }),
    type: "boolean",
    onByDefault: true,
    read: (words) => words.length === 0 || words.at(-1) === "true",
  };
}

/** Any non-empty text. */
export function text<const S extends ValueSpec<string>>(spec: S): Option<Given<string, S>> {
  return value<string, S>(spec, { hint: "TEXT", parse: parseText, show: (word) => word });
}

/** A file or directory; whether it exists is not checked here. */
export function path<const S extends ValueSpec<string>>(spec: S): Option<Given<string, S>> {
  const shape = { hint: "PATH", parse: parseText, show: (word: string) => word };
  return { ...value<string, S>(spec, shape), files: true };
}

/** A whole number, decimal. */
export function count<const S extends NumberSpec>(spec: S): Option<Given<number, S>> {
  const parse = (word: string, label: string) => {
    if (!/^\d+$/.test(word)) throw wrong(label, word, "a whole number");
    return withinBounds(Number(word), word, label, spec);
  };
  return value<number, S>(spec, { hint: "N", parse, show: String, unit: spec.unit });
}

/** A whole number that may be negative or hexadecimal: `-3`, `0x10`. */
export function integer<const S extends NumberSpec>(spec: S): Option<Given<number, S>> {
  const bounds = { min: Number.MIN_SAFE_INTEGER, ...spec };
  const parse = (word: string, label: string) => {
    if (!/^(-?\d+|0x[0-9a-f]+)$/i.test(word)) throw wrong(label, word, "a whole number");
    return withinBounds(Number(word), word, label, bounds);
  };
  return value<number, S>(spec, { hint: "N", parse, show: String, unit: spec.unit });
}

function showOctal(mode: number): string {
  return `0${mode.toString(8)}`;
}

/** A file mode in octal: `0640`, `640`. */
export function octal<const S extends NumberSpec>(spec: S): Option<Given<number, S>> {
  const parse = (word: string, label: string) => {
    if (!/^[0-7]{1,5}$/.test(word)) throw wrong(label, word, "an octal mode such as 0640");
    return withinBounds(Number.parseInt(word, 8), word, label, spec);
  };
  return value<number, S>(spec, { hint: "MODE", parse, show: showOctal });
}

/** A size of memory or disk space, in bytes, K, M or G. */
export function bytes<const S extends NumberSpec>(spec: S): Option<Given<number, S>> {
  const parse = (word: string, label: string) => {
    const size = parseBytes(word);
    if (size === undefined) throw wrong(label, word, "a size such as 4096, 64K or 16M");
    return withinBounds(size, word, label, spec);
  };
  const unit = "in bytes, K, M or G";
  return value<number, S>(spec, { hint: "SIZE", parse, show: showBytes, unit });
}

/** A duration, in ms, s, m or h. */
export function milliseconds<const S extends NumberSpec>(spec: S): Option<Given<number, S>> {
  const parse = (word: string, label: string) => {
    const time = parseMilliseconds(word);
    if (time === undefined) throw wrong(label, word, "a time such as 250ms, 2s or 5m");
    return withinBounds(time, word, label, { max: MOST_MILLISECONDS, ...spec }, showMilliseconds);
  };
  const unit = "in ms, s, m or h";
  return value<number, S>(spec, { hint: "TIME", parse, show: showMilliseconds, unit });
}

/** Longest list of choices shown beside an option; a longer list is added to the description. */
const MAX_CHOICES_WIDTH = 32;

/** One of a few words. */
export function oneOf<
  const C extends readonly string[],
  const S extends ValueSpec<NoInfer<C[number]>>,
>(choices: C, spec: S): Option<Given<C[number], S>> {
  const parse = (word: string, label: string): C[number] => {
    if (choices.includes(word)) return word;
    const message = `${label}: "${word}" is not one of ${choices.join(", ")}`;
    throw new UsageFailure(message, suggest(word, choices));
  };
  const inOneWord = choices.join("|");
  const short = inOneWord.length <= MAX_CHOICES_WIDTH;
  const hint = short ? inOneWord : "WORD";
  const words = short ? undefined : `one of ${choices.join(", ")}`;
  const shape = { hint, parse, show: (word: C[number]) => word, unit: words };
  return { ...value<C[number], S>(spec, shape), choices };
}

function parseHex(word: string, label: string): Uint8Array {
  const digits = word.replaceAll(/[\s:]/g, "");
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw wrong(label, word, "pairs of hex digits");
  return new Uint8Array(Buffer.from(digits, "hex"));
}

function showHex(raw: Uint8Array): string {
  return Buffer.from(raw).toString("hex");
}

/**
 * Bytes as hexadecimal digits, optionally separated by spaces or colons; an empty text means no
 * bytes.
 */
export function hex<const S extends ValueSpec<Uint8Array>>(spec: S): Option<Given<Uint8Array, S>> {
  return value<Uint8Array, S>(spec, { hint: "HEX", parse: parseHex, show: showHex });
}

/** A list of words: repeated, or separated by commas; as an operand, all remaining words. */
export function list(
  spec: Spec & { readonly default?: readonly string[]; readonly required?: boolean },
): Option<readonly string[]> {
  const { default: otherwise = [] } = spec;
  return {
    ...common(spec),
    type: "string",
    valueHint: spec.hint ?? "LIST",
    repeatable: true,
    ...(otherwise.length === 0 ? {} : { defaultText: otherwise.join(",") }),
    read: (words, label) => {
      const all = words.flatMap((word) => word.split(",")).map((word) => word.trim());
      if (all.includes("")) throw new UsageFailure(`${label} has an empty item`);
      if (all.length === 0 && spec.required === true) throw new UsageFailure(`${label} is missing`);
      return all.length === 0 ? otherwise : all;
    },
  };
}

/** An option that may be repeated; a comma in a value does not separate values. */
export function repeated(spec: Spec & { readonly required?: boolean }): Option<readonly string[]> {
  return {
    ...common(spec),
    type: "string",
    valueHint: spec.hint ?? "TEXT",
    repeatable: true,
    read: (words, label) => {
      if (words.includes("")) throw new UsageFailure(`${label} must not be empty`);
      if (words.length === 0 && spec.required) throw new UsageFailure(`${label} is missing`);
      return words;
    },
  };
}
