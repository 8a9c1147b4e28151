/**
 * Counts how often a source applied changes of others, how long that took, and how often it failed,
 * by what reported the change; and how far the source is behind.
 */

/** Upper bounds, in ms. */
export const RELOAD_BOUNDS_MS: readonly number[] = [0.1, 0.25, 1, 2.5, 10, 25, 100, 250, 1000];

/** `sweep`: a file's stamp had changed without an event. */
export type ReloadTrigger = "inotify" | "sweep" | "database";

/** Times of one trigger. */
export interface ReloadTimes {
  /** One count for each of RELOAD_BOUNDS_MS, and one for longer times. */
  readonly counts: readonly number[];
  readonly sumMs: number;
}

/** Changes applied since the start. */
export interface ReloadCounts {
  /** Has every trigger of the source, also those without a change yet. */
  readonly byTrigger: ReadonlyMap<ReloadTrigger, ReloadTimes>;
  /** Changes that could not be read, or after which the rows were no valid tree. */
  readonly failures: number;
  /** How long the first load took. */
  readonly loadMs: number;
  /** When the served state was last equal to the source; ms since 1970. */
  readonly stateOf: number;
  /** A change is being applied in slices now. */
  readonly isReading: boolean;
  /** Age of the oldest change that is not served yet, in ms; 0 when there is none. */
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

  /** A change was found (performance.now()): the served state is behind from now on. */
  began(nowMs: number): void {
    this.#behindSince ??= nowMs;
    this.isReading = true;
  }

  /** The change could not be applied: the served state stays behind. */
  failed(): void {
    this.failures++;
    this.isReading = false;
  }

  /** The served state is that of the source, without a change. */
  settled(): void {
    this.#behindSince = undefined;
    this.isReading = false;
    this.stateOf = Date.now();
  }

  /** A change was applied; that began at `startedMs`. */
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
