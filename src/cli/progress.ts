/**
 * One line on stderr that shows how far a long command is. Only on a terminal, and only after a
 * second: a short command, a pipe and a log file get nothing.
 */
import { CLEAR_LINE } from "./terminal.ts";
import { escapeText } from "../base/escape.ts";

const QUIET_MS = 1000;
/** Between two lines: a terminal over a network is slower than a loop. */
const INTERVAL_MS = 100;
const USUAL_COLUMNS = 80;

export class Progress implements Disposable {
  readonly #isVisible = process.stderr.isTTY && process.env["TERM"] !== "dumb";
  #nextMs = performance.now() + QUIET_MS;
  #text = "";
  #timer: Timer | undefined;
  #isDrawn = false;

  /** Replaces the line, now or when it is due. */
  show(text: string): void {
    if (!this.#isVisible) return;
    this.#text = text;
    const left = this.#nextMs - performance.now();
    if (left <= 0) this.#draw();
    else this.#timer ??= setTimeout(() => this.#draw(), left).unref();
  }

  /** Removes the line, before the command prints its result. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#isDrawn) process.stderr.write(CLEAR_LINE);
    this.#isDrawn = false;
  }

  [Symbol.dispose](): void {
    this.clear();
  }

  #draw(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // A line that wraps could not be cleared. A terminal without a size has 0 columns.
    const columns = process.stderr.columns || USUAL_COLUMNS;
    process.stderr.write(`${CLEAR_LINE}${escapeText(this.#text).slice(0, columns - 1)}`);
    this.#nextMs = performance.now() + INTERVAL_MS;
    this.#isDrawn = true;
  }
}
