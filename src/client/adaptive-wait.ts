/**
 * How long a caller that shares its event loop with others blocks for an answer: first it spins,
 * then it sleeps. Most servers answer within microseconds, and a turn of the loop takes longer than
 * that; for a server that answers later, blocking is tried less and less often.
 */

/** Time to spin: a polling server answers within 2 us; one that sleeps must first wake up. */
const SPIN_US = 15;
/** Total time to block, spinning included. The event loop serves nothing meanwhile. */
const HOLD_US = 100;

/** From this many failures in a row on, the next attempts are skipped. */
const FAILURES = 2;
/** Most attempts skipped after a failure; each further failure doubles their number up to this. */
const MAX_SKIPPED = 256;

/** Exponential back-off for an attempt that may fail. */
class BackOff {
  #failures = 0;
  #skip = 0;
  #pause = 1;

  /** Whether to try this time. Counts a skipped attempt: read it once per attempt. */
  get due(): boolean {
    if (this.#skip === 0) return true;
    this.#skip--;
    return false;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#skip = 0;
    this.#pause = 1;
  }

  failed(): void {
    this.#failures++;
    if (this.#failures < FAILURES) return;
    this.#pause = Math.min(this.#pause * 2, MAX_SKIPPED);
    this.#skip = this.#pause;
  }
}

/** Decides from the answer times of one server how long to block for the next; times in us. */
export class AdaptiveWait {
  readonly #spin = new BackOff();
  readonly #hold = new BackOff();

  /** How long to block for the next answer; 0: do not block. */
  holdUs(): number {
    return this.#hold.due ? HOLD_US : 0;
  }

  /** How much of that to spin. */
  spinUs(): number {
    return this.#spin.due ? SPIN_US : 0;
  }

  /** The answer came `tookUs` after the request, with up to `spinUs` of spinning allowed. */
  answered(tookUs: number, spinUs: number): void {
    if (tookUs <= HOLD_US) this.#hold.succeeded();
    if (spinUs === 0) return;
    if (tookUs <= spinUs) this.#spin.succeeded();
    else this.#spin.failed();
  }

  /** The answer did not come while the caller blocked. */
  unanswered(spinUs: number): void {
    this.#hold.failed();
    if (spinUs > 0) this.#spin.failed();
  }
}
