/**
 * How long a caller whose event loop serves others stands still for an answer: spinning first,
 * then asleep. Most servers answer within microseconds, and every turn of the loop costs more; one
 * that does not is stood still for less and less often.
 */

/** Awake: a server that polls answers within 2 us, one on another processor has to wake up. */
const SPIN_US = 15;
/** In all. Nobody else is served meanwhile. */
const HOLD_US = 100;

/** So many failures in a row, and it is left alone for a while, ... */
const FAILURES = 2;
/** ... for so many times at most; each failure after that doubles them. */
const LEFT_MAX = 256;

/** Whether something is worth trying: as long as it pays, and now and then when it did not. */
class Worth {
  #failures = 0;
  #left = 0;
  #pause = 1;

  /** Asked once per occasion. */
  get now(): boolean {
    if (this.#left === 0) return true;
    this.#left--;
    return false;
  }

  paid(): void {
    this.#failures = 0;
    this.#left = 0;
    this.#pause = 1;
  }

  failed(): void {
    this.#failures++;
    if (this.#failures < FAILURES) return;
    this.#pause = Math.min(this.#pause * 2, LEFT_MAX);
    this.#left = this.#pause;
  }
}

/** What was learned of one server's answers; times in us. */
export class Patience {
  readonly #spin = new Worth();
  readonly #hold = new Worth();

  /** How long to stand still for the next answer; 0: not at all. */
  holdUs(): number {
    return this.#hold.now ? HOLD_US : 0;
  }

  /** How much of that awake. */
  spinUs(): number {
    return this.#spin.now ? SPIN_US : 0;
  }

  /** The answer came `tookUs` after it was asked for, `spinUs` of which were to be spent awake. */
  answered(tookUs: number, spinUs: number): void {
    if (tookUs <= HOLD_US) this.#hold.paid();
    if (spinUs === 0) return;
    if (tookUs <= spinUs) this.#spin.paid();
    else this.#spin.failed();
  }

  /** It did not come while the caller stood still. */
  unanswered(spinUs: number): void {
    this.#hold.failed();
    if (spinUs > 0) this.#spin.failed();
  }
}
