/**
 * The time budget of a connection's turn. To save clock reads, the next one is due after the
 * request that is predicted, from the times of the requests so far, to use half of the remaining
 * time.
 */
export class TurnBudget {
  readonly #turnNs: number;
  #startNs = 0;
  #nextRead = 1;

  constructor(turnNs: number) {
    this.#turnNs = turnNs;
  }

  begin(): void {
    this.#nextRead = 1;
  }

  /** Whether the turn is over after `served` requests; the time starts after the first. */
  isOver(served: number): boolean {
    if (served < this.#nextRead) return false;
    const now = Bun.nanoseconds();
    if (this.#nextRead === 1) {
      this.#startNs = now;
      this.#nextRead = served + 1;
      return false;
    }
    const leftNs = this.#turnNs - (now - this.#startNs);
    if (leftNs <= 0) return true;
    const eachNs = (now - this.#startNs) / (served - 1);
    this.#nextRead = served + Math.max(1, Math.trunc(leftNs / eachNs / 2));
    return false;
  }
}
