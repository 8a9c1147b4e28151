/**
 * The difference between another member's clock and ours, by the times in its messages. The delay
 * of a message only lowers `time sent - time received`, so the largest value of several messages is
 * the nearest to the difference: a late delivery does not look like a clock that is behind.
 */
import type { Instant } from "./events.ts";

/** The largest value of this period and of the one before is kept. */
const PERIOD_MS = 60_000;

export class ClockDifference {
  #largest: number | undefined;
  #largestBefore: number | undefined;
  #periodStartMs = 0;

  /** Adds a message that was sent at `time` (Unix seconds, by the sender) and arrived at `at`. */
  add(time: number, at: Instant): void {
    if (this.#largest !== undefined && at.ms - this.#periodStartMs >= PERIOD_MS) {
      this.#largestBefore = this.#largest;
      this.#largest = undefined;
    }
    if (this.#largest === undefined) this.#periodStartMs = at.ms;
    this.#largest = Math.max(this.#largest ?? -Infinity, time - at.seconds);
  }

  /** The sender's clock minus ours, in whole seconds; undefined before the first message. */
  get seconds(): number | undefined {
    if (this.#largest === undefined) return undefined;
    return Math.max(this.#largest, this.#largestBefore ?? -Infinity);
  }
}
