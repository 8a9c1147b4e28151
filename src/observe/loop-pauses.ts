/**
 * Measures how long the event loop delays ready work, by the delay of a timer that is due every
 * 20 ms. Used only with metrics, because the timer wakes an idle server.
 */
import type { Buckets } from "./request-counters.ts";

const INTERVAL_MS = 20;

/** Upper bounds of the pauses, in ms: no part of the server may block the loop for more than 2. */
export const PAUSE_BOUNDS_MS: readonly number[] = [0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 500, 1000];

export class LoopPauses {
  readonly #counts = Array.from({ length: PAUSE_BOUNDS_MS.length + 1 }, () => 0);
  readonly #timer: Timer;
  #sumMs = 0;
  #dueMs = performance.now() + INTERVAL_MS;

  constructor() {
    this.#timer = setInterval(() => this.#record(), INTERVAL_MS);
    this.#timer.unref();
  }

  #record(): void {
    const now = performance.now();
    // Timers have a resolution of 1 ms: one that fires early counts as on time.
    const pauseMs = Math.max(0, now - this.#dueMs);
    this.#dueMs = now + INTERVAL_MS;
    const found = PAUSE_BOUNDS_MS.findIndex((bound) => pauseMs <= bound);
    const slot = found === -1 ? PAUSE_BOUNDS_MS.length : found;
    this.#counts[slot] = (this.#counts[slot] ?? 0) + 1;
    this.#sumMs += pauseMs;
  }

  /** Counts of pauses by PAUSE_BOUNDS_MS, the last one without a bound; and their sum in ms. */
  get buckets(): Buckets {
    return { counts: this.#counts, sum: this.#sumMs };
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
