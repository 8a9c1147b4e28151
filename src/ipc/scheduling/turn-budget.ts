/**
 * How long a connection's turn lasts, without a look at the clock for each request: by what its
 * requests took so far, it is read again when half of the time that is left must be over.
 */
export class TurnClock {
  readonly #turnNs: number;
  #startNs = 0;
  #lookAt = 1;

  constructor(turnNs: number) {
    this.#turnNs = turnNs;
  }

  begin(): void {
    this.#lookAt = 1;
  }

  /** Whether the turn is over, with `served` requests done; it begins behind the first. */
  isOver(served: number): boolean {
    if (served < this.#lookAt) return false;
    const now = Bun.nanoseconds();
    if (this.#lookAt === 1) {
      this.#startNs = now;
      this.#lookAt = served + 1;
      return false;
    }
    const left = this.#turnNs - (now - this.#startNs);
    if (left <= 0) return true;
    const each = (now - this.#startNs) / (served - 1);
    this.#lookAt = served + Math.max(1, Math.trunc(left / each / 2));
    return false;
  }
}
