/**
 * Makes citty commands from one declaration: `command` for one that runs, `commandGroup` for one
 * that only has commands below it. The declaration stays on the citty object, so that help, man
 * pages and completion use the same text as the parser.
 */
import { defineCommand, type CommandDef } from "citty";
import type { Options, Values } from "./args.ts";
import { optionName, readWords } from "./parse-args.ts";

/** The texts about a command in help, man page and completion. */
export interface CommandText {
  readonly name: string;
  /** One sentence without its full stop: the line in the list of commands. */
  readonly summary: string;
  /** Paragraphs that follow it in the command's own help. */
  readonly details?: readonly string[];
  /** Command lines after `pmxcfs-ipc`, each with what it does. */
  readonly examples?: readonly (readonly [line: string, meaning: string])[];
  /** Exit codes other than 0, 1 and 2, or what 1 means here. */
  readonly exits?: readonly (readonly [code: number, meaning: string])[];
  /** Of a group: the command for words that name none of its commands. */
  readonly fallback?: string;
}

/** Makes the command on demand. */
export type Load = () => Promise<Command>;

/** A citty command with the declaration it came from. */
export interface Command extends CommandDef {
  readonly text: CommandText;
  readonly options: Options;
  readonly operands: Options;
  /** Commands below this one; a command has these or a `run`, never both (citty runs both). */
  readonly children: ReadonlyMap<string, Load>;
  /** Other names for them, which no list shows. */
  readonly aliases: ReadonlyMap<string, string>;
}

export interface CommandSpec<O extends Options, P extends Options> extends CommandText {
  readonly options?: O;
  /** Positional words, in order; only the last may take several. */
  readonly operands?: P;
  /** Runs it; resolves to the exit code (nothing is 0). Throws CommandFailure when it fails. */
  readonly run: (values: Values<O> & Values<P>) => Promise<number | void> | number | void;
}

/**
 * citty's view of an option, enough for its parser to accept it; parse-args.ts does the reading.
 */
function cittyArgs(options: Options): NonNullable<CommandDef["args"]> {
  return Object.fromEntries(
    Object.entries(options).map(([key, { type, description, alias }]) => [
      optionName(key),
      { type, description, ...(alias === undefined ? {} : { alias }) },
    ]),
  );
}

/** No options: what is left out of a declaration must not widen what `run` gets. */
// oxlint-disable-next-line typescript/no-generated-empty-object-type -- exactly that is meant
type None = Record<never, never>;

/** Declares a command. Its `run` gets values that are checked and typed, never raw words. */
export function command<O extends Options = None, P extends Options = None>(
  spec: CommandSpec<O, P>,
): Command {
  const options = spec.options ?? ({} as O);
  const operands = spec.operands ?? ({} as P);
  const citty = defineCommand({
    meta: { name: spec.name, description: spec.summary },
    args: cittyArgs(options),
    run: ({ rawArgs }) => spec.run(readWords(rawArgs, options, operands)),
  });
  return { ...citty, text: spec, options, operands, children: new Map(), aliases: new Map() };
}

/**
 * Declares a command that only has commands below it, each loaded when it is needed; `aliases` are
 * other names for them.
 */
export function commandGroup(
  text: CommandText,
  children: Readonly<Record<string, Load>>,
  aliases: Readonly<Record<string, string>> = {},
): Command {
  const citty = defineCommand({
    meta: { name: text.name, description: text.summary },
    subCommands: children,
  });
  const below = new Map(Object.entries(children));
  const others = new Map(Object.entries(aliases));
  return { ...citty, text, options: {}, operands: {}, children: below, aliases: others };
}
