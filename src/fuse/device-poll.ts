/**
 * How long the device is polled after an answer before the thread sleeps. A process that works on
 * the mount sends its next request within microseconds of the answer; sleeping until then costs two
 * system calls of the event loop, a detour through a socket pair, and a processor's wake-up.
 * After a poll that finds nothing, the next 1, 2, 4 ... 64 requests are not polled for.
 */
import { availableParallelism } from "node:os";

/** Most requests in a row that are not polled for. */
const MOST_SKIPPED = 64;

export class DevicePoll {
  /** Nanoseconds of one poll; 0: never. On one processor, polling would keep the caller waiting. */
  readonly #ns: number;
  #pause = 0;
  #skipped = 0;

  constructor(ns: number) {
    this.#ns = availableParallelism() > 1 ? ns : 0;
  }

  /** Nanoseconds to poll now; 0: do not poll. */
  take(): number {
    if (this.#skipped < this.#pause) {
      this.#skipped++;
      return 0;
    }
    return this.#ns;
  }

  /** Records a poll of `ns`; `found`: it ended with a request. */
  ended(ns: number, found: boolean): void {
    if (ns === 0) return;
    this.#skipped = 0;
    this.#pause = found ? 0 : Math.min(MOST_SKIPPED, Math.max(1, 2 * this.#pause));
  }
}
