/**
 * Makes citty commands from a declaration: `command` for one that runs, `commandGroup` for one that
 * only has subcommands. The declaration stays on the citty object, so that help, man pages and
 * completion use the same text as the parser.
 */
import { defineCommand, type CommandDef } from "citty";
import type { Options, Values } from "./args.ts";
import { optionName, readWords } from "./parse-args.ts";

/** The texts of a command for help, man page and completion. */
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
  /** Of a group: the subcommand for words that name no subcommand. */
  readonly fallback?: string;
}

/** Loads a command on demand. */
export type Load = () => Promise<Command>;

/** A citty command with its declaration. */
export interface Command extends CommandDef {
  readonly text: CommandText;
  readonly options: Options;
  readonly operands: Options;
  /** The subcommands; a command has these or a `run`, never both (citty would run both). */
  readonly children: ReadonlyMap<string, Load>;
  /** Other names of the subcommands, not listed in the help. */
  readonly aliases: ReadonlyMap<string, string>;
}

export interface CommandSpec<O extends Options, P extends Options> extends CommandText {
  readonly options?: O;
  /** Positional words, in order; only the last operand may take several. */
  readonly operands?: P;
  /** Runs the command; returns the exit code (default: 0). Throws CommandFailure if it fails. */
  readonly run: (values: Values<O> & Values<P>) => Promise<number | void> | number | void;
}

/**
 * The options as citty needs them to accept the words; parse-args.ts parses them.
 */
function cittyArgs(options: Options): NonNullable<CommandDef["args"]> {
  return Object.fromEntries(
    Object.entries(options).map(([key, { type, description, alias }]) => [
      optionName(key),
      { type, description, ...(alias === undefined ? {} : { alias }) },
    ]),
  );
}

/** The type of an omitted declaration: `run` gets no values for it. */
// oxlint-disable-next-line typescript/no-generated-empty-object-type -- exactly that is meant
type None = Record<never, never>;

/** Declares a command. Its `run` gets checked and typed values. */
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
 * Declares a command that only has subcommands, each loaded when needed; `aliases` are other names
 * of the subcommands.
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
