/**
 * How long the device is looked at after an answer, before the thread sleeps. A process that works
 * on the mount sends its next request within microseconds of the answer; sleeping until then costs
 * two system calls of the event loop, the way through a socket pair, and the wake-up of a
 * processor. Looks that find nothing end: the next one comes after 1, 2, 4 ... 64 requests.
 */
import { availableParallelism } from "node:os";

/** Most requests without a look. */
const MOST_SKIPPED = 64;

export class Look {
  /** Of one look; 0: never. With one processor a look would keep the caller from asking. */
  readonly #ns: number;
  #pause = 0;
  #skipped = 0;

  constructor(ns: number) {
    this.#ns = availableParallelism() > 1 ? ns : 0;
  }

  /** The length of the look that is due now. */
  take(): number {
    if (this.#skipped < this.#pause) {
      this.#skipped++;
      return 0;
    }
    return this.#ns;
  }

  /** A look of `ns` came to this. */
  ended(ns: number, found: boolean): void {
    if (ns === 0) return;
    this.#skipped = 0;
    this.#pause = found ? 0 : Math.min(MOST_SKIPPED, Math.max(1, 2 * this.#pause));
  }
}
