/** Logs a repeated problem once, until its cause is gone. */

export class LogOnce {
  readonly #write: (line: string) => void;
  #last = "";

  /** `write` gets each line that differs from the last one. */
  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  /** Logs `line` unless it equals the last one since `clear`. */
  say(line: string): void {
    if (line === this.#last) return;
    this.#last = line;
    this.#write(line);
  }

  /** The cause is gone: the same line is logged again the next time. */
  clear(): void {
    this.#last = "";
  }
}
