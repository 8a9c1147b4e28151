/**
 * How long the device is polled after an answer, before the thread sleeps. A process that works on
 * the mount sends its next request within microseconds of the answer; a sleep until then costs two
 * system calls of the event loop, the way through a socket pair, and the wake-up of a processor.
 * A poll that finds nothing pauses polling: for 1 request, then for 2, 4 ... 64.
 */
import { availableParallelism } from "node:os";

/** Most requests without a poll. */
const MOST_SKIPPED = 64;

export class DevicePoll {
  /** Of one poll; 0: never. With one processor a poll would keep the caller from asking. */
  readonly #ns: number;
  #pause = 0;
  #skipped = 0;

  constructor(ns: number) {
    this.#ns = availableParallelism() > 1 ? ns : 0;
  }

  /** The length of the poll that is due now, in nanoseconds; 0: none. */
  take(): number {
    if (this.#skipped < this.#pause) {
      this.#skipped++;
      return 0;
    }
    return this.#ns;
  }

  /** A poll of `ns` has ended: with a request (`found`), or without. */
  ended(ns: number, found: boolean): void {
    if (ns === 0) return;
    this.#skipped = 0;
    this.#pause = found ? 0 : Math.min(MOST_SKIPPED, Math.max(1, 2 * this.#pause));
  }
}
