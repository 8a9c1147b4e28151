/**
 * One line on stderr that shows how far a long command is. Only on a terminal, and only after a
 * second: a short command, a pipe and a log file get nothing.
 */
import { escapeText } from "../base/escape.ts";

const QUIET_MS = 1000;
/** Between two lines: a terminal over a network is slower than a loop. */
const INTERVAL_MS = 100;
const CLEAR_LINE = "\r\u001B[2K";

export class Progress implements Disposable {
  readonly #isVisible = process.stderr.isTTY && process.env["TERM"] !== "dumb";
  #nextMs = performance.now() + QUIET_MS;
  #isDrawn = false;

  /** Replaces the line. A text wider than the terminal is cut, because it could not be cleared. */
  show(text: string): void {
    if (!this.#isVisible || performance.now() < this.#nextMs) return;
    const width = Math.max(1, process.stderr.columns - 1);
    process.stderr.write(`${CLEAR_LINE}${escapeText(text).slice(0, width)}`);
    this.#nextMs = performance.now() + INTERVAL_MS;
    this.#isDrawn = true;
  }

  /** Removes the line: the command prints its result. */
  clear(): void {
    if (this.#isDrawn) process.stderr.write(CLEAR_LINE);
    this.#isDrawn = false;
  }

  [Symbol.dispose](): void {
    this.clear();
  }
}
