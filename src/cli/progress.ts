/**
 * One line on stderr that shows how far a long command is. Only on a terminal, and only after a
 * second: a short command, a pipe and a log file get nothing.
 */
import { escapeText } from "../base/escape.ts";

const QUIET_MS = 1000;
const CLEAR_LINE = "\r\u001B[2K";

export class Progress implements Disposable {
  readonly #visible = process.stderr.isTTY && process.env["TERM"] !== "dumb";
  readonly #startMs = performance.now();
  #drawn = false;

  /** Replaces the line. A text wider than the terminal is cut, because it could not be cleared. */
  show(text: string): void {
    if (!this.#visible || performance.now() - this.#startMs < QUIET_MS) return;
    const width = Math.max(1, process.stderr.columns - 1);
    this.#write(`${CLEAR_LINE}${escapeText(text).slice(0, width)}`);
    this.#drawn = true;
  }

  /** Removes the line. */
  [Symbol.dispose](): void {
    if (this.#drawn) this.#write(CLEAR_LINE);
    this.#drawn = false;
  }

  #write(text: string): void {
    try {
      process.stderr.write(text);
    } catch {
      // The terminal is gone: the command itself goes on.
    }
  }
}
