/**
 * Notices when the wall clock is set back. Locks below priv/lock are refreshed by their time, and a
 * refresh older than the lock is refused on every node (as in C), so a node whose clock went back
 * cannot keep its locks until the clock has caught up: HA gives up its services.
 */

/** Smaller steps back are slewing and rounding. */
const STEP_MS = 5000;

export interface ClockWatchOptions {
  /** Milliseconds since 1970, and of a clock that never goes back. */
  readonly wall?: () => number;
  readonly steady?: () => number;
  /** Called once for each step back, with one line. */
  readonly report: (text: string) => void;
}

export class ClockWatch {
  readonly #wall: () => number;
  readonly #steady: () => number;
  readonly #report: (text: string) => void;
  /** Wall clock less steady clock, when it was looked at last. */
  #offset: number;

  constructor({ wall = Date.now, steady = () => performance.now(), report }: ClockWatchOptions) {
    this.#wall = wall;
    this.#steady = steady;
    this.#report = report;
    this.#offset = wall() - steady();
  }

  /** Looks at both clocks; once a second. */
  tick(): void {
    const offset = this.#wall() - this.#steady();
    const backMs = this.#offset - offset;
    this.#offset = offset;
    if (backMs < STEP_MS) return;
    const seconds = Math.round(backMs / 1000);
    const until = new Date(this.#wall() + backMs).toISOString();
    this.#report(
      `the clock went back by ${seconds} s: until it shows ${until} this node cannot refresh ` +
        "locks it holds below priv/lock, and HA may lose its lock. Set the clock forward again, or wait",
    );
  }
}
