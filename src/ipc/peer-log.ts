/**
 * Log lines that peers can cause, so many per interval and no more; what was held back is
 * counted and said (ROBUSTNESS.md, rule 10).
 */
import type { Log } from "../log.ts";

const LINES_PER_INTERVAL = 20;
const INTERVAL_MS = 10_000;

export class PeerLog {
  readonly #log: Log;
  #lines = 0;
  #heldBack = 0;
  #interval: Timer | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** The line is built only when it is written: that may cost more than what it is about. */
  warn(line: () => string): void {
    if (this.#interval === undefined) {
      this.#interval = setTimeout(() => this.#next(), INTERVAL_MS);
      this.#interval.unref();
    }
    if (this.#lines >= LINES_PER_INTERVAL) {
      this.#heldBack++;
      return;
    }
    this.#lines++;
    this.#log.warn(line());
  }

  /** For developers, not counted; the line is built only when it is wanted. */
  debug(line: () => string): void {
    if (this.#log.debugOn) this.#log.debug(line());
  }

  #next(): void {
    this.#interval = undefined;
    this.#lines = 0;
    if (this.#heldBack === 0) return;
    const count = this.#heldBack;
    this.#heldBack = 0;
    this.#log.warn(
      `${count} more lines about clients held back in the last ${INTERVAL_MS / 1000} s`,
    );
  }

  close(): void {
    clearTimeout(this.#interval);
    this.#next();
  }
}
