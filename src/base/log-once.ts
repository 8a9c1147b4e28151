/** Logs a repeated complaint once, until its cause has gone. */

export class LogOnce {
  readonly #write: (line: string) => void;
  #last = "";

  /** `write` gets each line that differs from the one before. */
  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  /** Logs `line` unless it was the last one since `clear`. */
  say(line: string): void {
    if (line === this.#last) return;
    this.#last = line;
    this.#write(line);
  }

  /** The cause has gone: the same complaint is logged the next time. */
  clear(): void {
    this.#last = "";
  }
}
