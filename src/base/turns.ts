/**
 * Pauses in work that would hold the event loop: a slice of the work, then a turn for others; or
 * urgent work of others within the turn. Work that is a generator: steps.ts.
 */

/** Resolves in the next turn of the event loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** A client's request waits at most this long for other work of the same turn, in ms. */
const URGENT_MS = 0.25;
/** The longest pause after urgent work that took long: the process may have been stopped in it. */
const LONGEST_PAUSE_MS = 10;

const urgent = new Set<() => void>();
/** When `giveWay` has something to do again (performance.now()). */
let nextLook = 0;

/** Has `giveWay` call `work` until the result is disposed. */
export function addUrgent(work: () => void): Disposable {
  urgent.add(work);
  return { [Symbol.dispose]: () => urgent.delete(work) };
}

/**
 * Does urgent work that is ready, if the last time was some time ago. To be called between the
 * pieces of other work of a turn, where each event of the event loop may be handled. Returns the
 * time it took, in ms; `now` is performance.now().
 */
export function giveWay(now: number): number {
  if (now < nextLook) return 0;
  for (const work of urgent) work();
  const end = performance.now();
  // The other work gets at least half of the time.
  nextLook = end + Math.min(Math.max(URGENT_MS, end - now), LONGEST_PAUSE_MS);
  return end - now;
}

/** The slices of one piece of work; the first begins at once. */
export class TimeSlices {
  readonly #ms: number;
  #end: number;

  /** `ms`: length of a slice. */
  constructor(ms: number) {
    this.#ms = ms;
    this.#end = performance.now() + ms;
  }

  /** Whether the work must pause: await `next`. */
  get isOver(): boolean {
    return performance.now() >= this.#end;
  }

  /** Resolves at the beginning of the next slice, in the next turn. */
  async next(): Promise<void> {
    await nextTurn();
    giveWay(performance.now());
    this.#end = performance.now() + this.#ms;
  }
}
