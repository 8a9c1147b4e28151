/**
 * Output on stdout, for results: complete and in order; if the reader closes it, the command ends
 * silently. Logs and failures go to stderr (log.ts, main.ts).
 */
import { writeSync } from "node:fs";
import { errorCode, errorText } from "../base/error-text.ts";
import { escapeLines, escapeText } from "../base/escape.ts";
import { ClosedOutput, CommandFailure } from "./failure.ts";

/** Moves to the start of a terminal's line and erases it (ECMA-48, EL). */
export const CLEAR_LINE = "\r\u001B[2K";

const STDOUT = 1;
/** Interval of the attempts to write to a full non-blocking pipe. */
const RETRY_MS = 2;

/**
 * Writes all of `text` to stdout before it returns, so that an exit loses nothing. Throws
 * ClosedOutput if the reader of stdout has closed it, CommandFailure if the write fails otherwise.
 */
export function print(text: string | Uint8Array): void {
  const whole = typeof text === "string" ? Buffer.from(text, "utf8") : text;
  let at = 0;
  while (at < whole.length) {
    try {
      at += writeSync(STDOUT, whole, at);
    } catch (error) {
      if (errorCode(error) !== "EAGAIN") throw stdoutFailure(error);
      Bun.sleepSync(RETRY_MS);
    }
  }
}

/** The failure for an error of a write to stdout: ClosedOutput if its reader has closed it. */
export function stdoutFailure(error: unknown): CommandFailure {
  if (errorCode(error) === "EPIPE") return new ClosedOutput();
  return new CommandFailure(`cannot write to stdout: ${errorText(error)}`);
}

/** Prints one line, with control characters escaped. */
export function printLine(line: string): void {
  print(`${escapeText(line)}\n`);
}

/** Prints the bytes of a file unchanged, or on a terminal with control characters escaped. */
export function printFile(content: Uint8Array): void {
  if (process.stdout.isTTY) print(escapeLines(Buffer.from(content).toString("utf8")));
  else print(content);
}

/** The inputs of the decision about colours. */
export interface Look {
  /** `--no-color` was given. */
  readonly plain?: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly isTerminal: boolean;
}

/**
 * Whether to print colours. The first of these rules that applies decides: --no-color and NO_COLOR
 * (no-color.org: any value but "") turn them off; CLICOLOR_FORCE (any value but "" and "0") turns
 * them on, even for a file; TERM=dumb and CLICOLOR=0 turn them off; a terminal turns them on.
 */
export function wantsColor({ plain, environment, isTerminal }: Look): boolean {
  if (plain === true || (environment["NO_COLOR"] ?? "") !== "") return false;
  const forced = environment["CLICOLOR_FORCE"] ?? "";
  if (forced !== "" && forced !== "0") return true;
  if (environment["TERM"] === "dumb" || environment["CLICOLOR"] === "0") return false;
  return isTerminal;
}

/**
 * Whether a view that moves the cursor can be shown: on a terminal, but not with TERM=dumb (the
 * shell of an editor, a simple serial line).
 */
export function canRedraw({ environment, isTerminal }: Omit<Look, "plain">): boolean {
  return isTerminal && environment["TERM"] !== "dumb";
}

/** The same for this process's stdout. */
export function stdoutRedraws(): boolean {
  return canRedraw({ environment: process.env, isTerminal: process.stdout.isTTY });
}

/** Styles; each returns its text unchanged if colours are off. */
export interface Style {
  readonly color: boolean;
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}

/** Styles with or without colour. */
export function createStyle(color: boolean): Style {
  const paint = (start: number, end: number) => (text: string) =>
    color ? `\u001B[${start}m${text}\u001B[${end}m` : text;
  return {
    color,
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
    cyan: paint(36, 39),
  };
}

/** Styles for this process's stdout; `plain`: --no-color was given. */
export function stdoutStyle(plain = false): Style {
  const isTerminal = process.stdout.isTTY;
  return createStyle(wantsColor({ plain, environment: process.env, isTerminal }));
}
