/**
 * How often a source took over what others changed, how long it took, how often it failed, apart
 * by what reported the change; and how far it is behind.
 */

/** Upper bounds, in ms. */
export const RELOAD_BOUNDS_MS: readonly number[] = [0.1, 0.25, 1, 2.5, 10, 25, 100, 250, 1000];

/** `sweep`: no event came, a file's stamp was found changed. */
export type ReloadTrigger = "inotify" | "sweep" | "database";

/** Those of one trigger. */
export interface ReloadTimes {
  /** By RELOAD_BOUNDS_MS, one more without an upper bound. */
  readonly counts: readonly number[];
  readonly sumMs: number;
}

/** Changes taken over since the start. */
export interface ReloadCounts {
  /** Every trigger that its source has, from the start. */
  readonly byTrigger: ReadonlyMap<ReloadTrigger, ReloadTimes>;
  /** Changes that could not be read or would have left no sound tree. */
  readonly failures: number;
  /** What reading all of it took at the start. */
  readonly loadMs: number;
  /** When the source was last found to be what is served; ms since 1970. */
  readonly stateOf: number;
  /** A change is being taken over in slices at this moment. */
  readonly isReading: boolean;
  /** For how long there has been a change that is not served yet, in ms; 0 when there is none. */
  readonly behindMs: number;
}

export class Reloads implements ReloadCounts {
  readonly byTrigger: ReadonlyMap<ReloadTrigger, { counts: number[]; sumMs: number }>;
  loadMs: number;
  failures = 0;
  stateOf = Date.now();
  isReading = false;
  #behindSince: number | undefined;

  /** `startedMs`: when loading began (performance.now()); it is over now. */
  constructor(startedMs: number, triggers: readonly ReloadTrigger[]) {
    this.loadMs = performance.now() - startedMs;
    this.byTrigger = new Map(
      triggers.map((trigger) => {
        const counts = [...RELOAD_BOUNDS_MS, Infinity].map(() => 0);
        return [trigger, { counts, sumMs: 0 }];
      }),
    );
  }

  get behindMs(): number {
    return this.#behindSince === undefined ? 0 : performance.now() - this.#behindSince;
  }

  /** Loading that began at `startedMs` is over. */
  loaded(startedMs: number): void {
    this.loadMs = performance.now() - startedMs;
  }

  /** A change was found (performance.now()); what is served is an older state from now on. */
  began(nowMs: number): void {
    this.#behindSince ??= nowMs;
    this.isReading = true;
  }

  /** What was found could not be taken over; what is served stays the older state. */
  failed(): void {
    this.failures++;
    this.isReading = false;
  }

  /** What is served is what is there, and nothing of it was new. */
  settled(): void {
    this.#behindSince = undefined;
    this.isReading = false;
    this.stateOf = Date.now();
  }

  /** One was taken over; it began at `startedMs`. */
  done(trigger: ReloadTrigger, startedMs: number): void {
    this.settled();
    const times = this.byTrigger.get(trigger);
    if (times === undefined) return;
    const ms = performance.now() - startedMs;
    const slot = RELOAD_BOUNDS_MS.findIndex((bound) => ms <= bound);
    const at = slot === -1 ? RELOAD_BOUNDS_MS.length : slot;
    times.counts[at] = (times.counts[at] ?? 0) + 1;
    times.sumMs += ms;
  }
}
