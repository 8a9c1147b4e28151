/**
 * How long a caller that shares its event loop with others blocks for an answer: first spinning,
 * then asleep. Most servers answer within microseconds, and a turn of the loop costs more than
 * that; a server that does not is waited for less and less often.
 */

/** Spinning: a server that polls answers within 2 us; one on another processor must wake up. */
const SPIN_US = 15;
/** Blocking in all. The event loop serves nothing meanwhile. */
const HOLD_US = 100;

/** After this many failures in a row some of the next waits are skipped. */
const FAILURES = 2;
/** Most waits that are skipped; each further failure doubles their number up to this. */
const SKIPPED_MAX = 256;

/** Exponential back-off of an attempt that may or may not pay. */
class BackOff {
  #failures = 0;
  #skip = 0;
  #pause = 1;

  /** Whether to try this time. Asked once per occasion. */
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
    this.#pause = Math.min(this.#pause * 2, SKIPPED_MAX);
    this.#skip = this.#pause;
  }
}

/** The answer times of one server, and what they say about waiting for the next; times in us. */
export class AdaptiveWait {
  readonly #spin = new BackOff();
  readonly #hold = new BackOff();

  /** How long to block for the next answer; 0: not at all. */
  holdUs(): number {
    return this.#hold.due ? HOLD_US : 0;
  }

  /** How much of that to spin. */
  spinUs(): number {
    return this.#spin.due ? SPIN_US : 0;
  }

  /** The answer came `tookUs` after the request; `spinUs` of the wait were meant for spinning. */
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
