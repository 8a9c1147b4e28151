/**
 * stdout and its looks: results go out here, whole and in order, and a reader that went away ends
 * the command quietly. Logs and failures belong on stderr (log.ts, main.ts).
 */
import { writeSync } from "node:fs";
import { escapeLines, escapeText } from "../base/escape.ts";
import { ClosedOutput } from "./failure.ts";

const STDOUT = 1;
/** A full pipe that somebody made non-blocking: look again after this. */
const RETRY_MS = 2;

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

/**
 * Writes all of `text` to stdout before it returns (so ending the process loses nothing). Throws
 * ClosedOutput when nobody reads it any more.
 */
export function print(text: string | Uint8Array): void {
  const whole = typeof text === "string" ? Buffer.from(text, "utf8") : text;
  let at = 0;
  while (at < whole.length) {
    try {
      at += writeSync(STDOUT, whole, at);
    } catch (error) {
      const code = codeOf(error);
      if (code === "EPIPE") throw new ClosedOutput();
      if (code !== "EAGAIN") throw error;
      Bun.sleepSync(RETRY_MS);
    }
  }
}

/** One line, whose names of files may hold what a terminal obeys. */
export function printLine(line: string): void {
  print(`${escapeText(line)}\n`);
}

/** Prints a file's bytes: as they are, but with control characters escaped on a terminal. */
export function printFile(content: Uint8Array): void {
  if (process.stdout.isTTY) print(escapeLines(Buffer.from(content).toString("utf8")));
  else print(content);
}

/** What decides about colour. */
export interface Look {
  /** `--no-color` was given. */
  readonly plain?: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly isTerminal: boolean;
}

/**
 * Colour or not: --no-color and NO_COLOR (no-color.org: any value but "") say no, CLICOLOR_FORCE
 * (any value but "" and "0") says yes even into a file, TERM=dumb and CLICOLOR=0 say no, and else a
 * terminal gets it.
 */
export function wantsColor({ plain, environment, isTerminal }: Look): boolean {
  if (plain === true || (environment["NO_COLOR"] ?? "") !== "") return false;
  const forced = environment["CLICOLOR_FORCE"] ?? "";
  if (forced !== "" && forced !== "0") return true;
  if (environment["TERM"] === "dumb" || environment["CLICOLOR"] === "0") return false;
  return isTerminal;
}

/** Styles; each gives its text back unchanged where colour is not wanted. */
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

/** Styles for this process's stdout; `plain` when the command got --no-color. */
export function stdoutStyle(plain = false): Style {
  const isTerminal = process.stdout.isTTY;
  return createStyle(wantsColor({ plain, environment: process.env, isTerminal }));
}
