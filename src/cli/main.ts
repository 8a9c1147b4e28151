/**
 * Runs a command line: finds the command, answers --help and --version, runs the command through
 * citty, reports what it throws as one line on stderr, and sets the exit code. Stack traces are
 * shown only if PMXCFS_IPC_DEBUG is set.
 */
import { errorText } from "../base/error-text.ts";
import { runCommand } from "citty";
import { escapeText } from "../base/escape.ts";
import type { Command } from "./command.ts";
import { rootCommand } from "./commands.ts";
import { ClosedOutput, CommandFailure, ExitCode, UsageFailure } from "./failure.ts";
import { helpText } from "./help.ts";
import { suggest } from "./suggest.ts";
import { HELP_FLAGS } from "./parse-args.ts";
import { print } from "./terminal.ts";
import { versionText } from "./version.ts";

/** The command that a command line names, the words that name it, and the remaining words. */
interface Found {
  readonly path: readonly string[];
  readonly command: Command;
  readonly words: readonly string[];
}

/** Output and settings of a command line; tests provide their own. */
export interface Stage {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Show stack traces (PMXCFS_IPC_DEBUG). */
  readonly debug: boolean;
}

/** All spellings that users try. */
const VERSION_WORDS: ReadonlySet<string> = new Set(["--version", "-V", "-v", "version"]);

/**
 * The subcommand that `given` names, and its words. In a group with a fallback, `tree@TIME` means
 * `tree TIME`, and words that name no subcommand belong to the fallback, unless they ask for the
 * group's own help.
 */
function childOf(
  children: Command["children"],
  fallback: string | undefined,
  given: string | undefined,
  rest: readonly string[],
  all: readonly string[],
): [name: string | undefined, words: readonly string[]] {
  if (fallback === undefined) return [given?.startsWith("-") === true ? undefined : given, rest];
  if (given !== undefined && children.has(given)) return [given, rest];
  const [base = "", ...at] = given?.split("@") ?? [];
  if (at.length > 0 && children.has(base)) return [base, [at.join("@"), ...rest]];
  return given !== undefined && HELP_FLAGS.includes(given) ? [undefined, all] : [fallback, all];
}

async function find(root: Command, argv: readonly string[]): Promise<Found> {
  let found: Found = { path: [root.text.name], command: root, words: argv };
  while (found.command.children.size > 0) {
    const { children, text, aliases } = found.command;
    const [first, ...rest] = found.words;
    const given = first === undefined ? undefined : (aliases.get(first) ?? first);
    const [name, words] = childOf(children, text.fallback, given, rest, found.words);
    if (name === undefined) return found;
    const load = children.get(name);
    if (load === undefined) {
      const hint = suggest(name, [...children.keys(), ...aliases.keys()]);
      throw new UsageFailure(`unknown command "${name}"`, hint);
    }
    found = { path: [...found.path, name], command: await load(), words };
  }
  return found;
}

function asksForHelp(words: readonly string[]): boolean {
  const end = words.indexOf("--");
  return (end < 0 ? words : words.slice(0, end)).some((word) => HELP_FLAGS.includes(word));
}

/** The failure for a group that is named without a subcommand. */
function nothingToDo({ path, command, words: [word] }: Found): UsageFailure {
  const names = [...command.children.keys()];
  if (word === undefined) {
    return new UsageFailure(
      `a command is missing, one of: ${names.join(", ")} (${path[0]} --help)`,
    );
  }
  const aliases = [...command.aliases.keys()].filter((alias) => alias.startsWith("-"));
  const hint = suggest(word, ["--help", "--version", ...aliases]);
  const order = hint === undefined ? " before a command: options come after it" : "";
  return new UsageFailure(`unknown option "${word}"${order}`, hint);
}

async function perform(root: Command, argv: readonly string[], stage: Stage): Promise<number> {
  const [first] = argv;
  if (first !== undefined && VERSION_WORDS.has(first)) {
    stage.out(versionText());
    return ExitCode.OK;
  }
  if (first === "pmxcfs") {
    const { runPmxcfs } = await import("./pmxcfs.ts");
    return await runPmxcfs(argv.slice(1), stage.out);
  }
  const found = await find(root, first === "help" ? [...argv.slice(1), "--help"] : argv);
  if (asksForHelp(found.words)) {
    stage.out(await helpText(found.path, found.command));
    return ExitCode.OK;
  }
  if (found.command.children.size > 0) throw nothingToDo(found);
  const { result } = await runCommand(found.command, { rawArgs: [...found.words] });
  return typeof result === "number" ? result : ExitCode.OK;
}

/**
 * Why a command failed, as one line (with the stack trace for debugging), and its exit code.
 */
function explainEnd(error: unknown, debug: boolean): { text: string; exitCode: number } {
  if (error instanceof ClosedOutput) return { text: "", exitCode: error.exitCode };
  const trace = debug && error instanceof Error ? `${error.stack}\n` : "";
  if (error instanceof CommandFailure) {
    const message = escapeText(error.message);
    return { text: `${trace}pmxcfs-ipc: ${message}\n`, exitCode: error.exitCode };
  }
  const line = escapeText(errorText(error).replaceAll(/\s*\n\s*/g, " "));
  const more = debug ? "" : " (PMXCFS_IPC_DEBUG=1 shows where)";
  return {
    text: `${trace}pmxcfs-ipc: unexpected error: ${line}${more}\n`,
    exitCode: ExitCode.FAILURE,
  };
}

/** Runs one command line and resolves to its exit code; never throws. */
export async function runCommandLine(
  argv: readonly string[],
  stage: Stage,
  root: Command = rootCommand,
): Promise<number> {
  try {
    return await perform(root, argv, stage);
  } catch (error) {
    const { text, exitCode } = explainEnd(error, stage.debug);
    stage.err(text);
    return exitCode;
  }
}

function writeStderr(text: string): void {
  if (text === "") return;
  try {
    process.stderr.write(text);
  } catch {
    // The reader of stderr has closed it: the error can be reported nowhere.
  }
}

/** Runs argv, and sets the exit code of the process. */
export async function main(argv: readonly string[]): Promise<void> {
  const debug = (process.env["PMXCFS_IPC_DEBUG"] ?? "") !== "";
  const end = (error: unknown) => {
    const { text, exitCode } = explainEnd(error, debug);
    writeStderr(text);
    process.exit(exitCode);
  };
  // The reader of stderr has closed it, or its disk is full: the exit code stays the command's.
  process.stderr.on("error", () => {});
  process.on("uncaughtException", end);
  process.on("unhandledRejection", end);
  process.exitCode = await runCommandLine(argv, { out: print, err: writeStderr, debug });
}
