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
  /** Locks of this node below priv/lock that are later than so many seconds since 1970. */
  readonly locksAfter?: (seconds: number) => readonly string[];
  /** Called once for each step back, with one line. */
  readonly report: (text: string) => void;
}

export class ClockWatch {
  readonly #wall: () => number;
  readonly #steady: () => number;
  readonly #locksAfter: (seconds: number) => readonly string[];
  readonly #report: (text: string) => void;
  /** Wall clock less steady clock, when it was looked at last. */
  #offset: number;

  constructor(options: ClockWatchOptions) {
    const { wall = Date.now, steady = () => performance.now() } = options;
    this.#wall = wall;
    this.#steady = steady;
    this.#locksAfter = options.locksAfter ?? (() => []);
    this.#report = options.report;
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
    const locks = this.#locksAfter(Math.floor(this.#wall() / 1000));
    const held = locks.length === 0 ? "locks it holds" : `its locks ${locks.join(", ")}`;
    this.#report(
      `the clock went back by ${seconds} s: until it shows ${until} this node cannot refresh ` +
        `${held} below priv/lock, and HA may lose its lock. Set the clock forward again, or wait`,
    );
  }
}
