/**
 * Notices when the wall clock is set back. A lock below priv/lock is refreshed by a new mtime, and
 * every node refuses one that is before the present mtime (as in C). A node whose clock went back
 * cannot refresh its locks until the clock has caught up, and HA gives up its services.
 */

/** Smaller steps back are slewing and rounding. */
const STEP_MS = 5000;

export interface ClockWatchOptions {
  /** Milliseconds since 1970, and of a monotonic clock. */
  readonly wall?: () => number;
  readonly steady?: () => number;
  /** Locks of this node below priv/lock whose mtime is after `seconds` since 1970. */
  readonly locksAfter?: (seconds: number) => readonly string[];
  /** Called with one log line for each step back. */
  readonly report: (text: string) => void;
}

export class ClockWatch {
  readonly #wall: () => number;
  readonly #steady: () => number;
  readonly #locksAfter: (seconds: number) => readonly string[];
  readonly #report: (text: string) => void;
  /** Wall clock minus steady clock at the last tick. */
  #offset: number;

  constructor(options: ClockWatchOptions) {
    const { wall = Date.now, steady = () => performance.now() } = options;
    this.#wall = wall;
    this.#steady = steady;
    this.#locksAfter = options.locksAfter ?? (() => []);
    this.#report = options.report;
    this.#offset = wall() - steady();
  }

  /** Compares both clocks; called once a second. */
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
