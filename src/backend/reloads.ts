/** How often a source took over what others changed, how long it took, how often it failed. */

/** Upper bounds, in ms. */
export const RELOAD_BOUNDS_MS: readonly number[] = [0.1, 0.25, 1, 2.5, 10, 25, 100, 250, 1000];

/** Changes taken over since the start. */
export interface ReloadCounts {
  /** By RELOAD_BOUNDS_MS, one more without an upper bound. */
  readonly counts: readonly number[];
  readonly sumMs: number;
  /** Changes that could not be read or would have left no sound tree. */
  readonly failures: number;
  /** What reading all of it took at the start. */
  readonly loadMs: number;
}

export class Reloads implements ReloadCounts {
  readonly counts: number[] = [...RELOAD_BOUNDS_MS, Infinity].map(() => 0);
  readonly loadMs: number;
  sumMs = 0;
  failures = 0;

  /** `startedMs`: when loading began (performance.now()); it is over now. */
  constructor(startedMs: number) {
    this.loadMs = performance.now() - startedMs;
  }

  /** One was taken over; it began at `startedMs`. */
  done(startedMs: number): void {
    const ms = performance.now() - startedMs;
    const slot = RELOAD_BOUNDS_MS.findIndex((bound) => ms <= bound);
    const at = slot === -1 ? RELOAD_BOUNDS_MS.length : slot;
    this.counts[at] = (this.counts[at] ?? 0) + 1;
    this.sumMs += ms;
  }
}
