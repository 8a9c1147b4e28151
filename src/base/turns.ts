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

/** For what waits for another thread: turns without work would take the processor from it. */
export function inAMillisecond(work: () => void): void {
  setTimeout(work, 1);
}

/** A client's request waits at most this long for other work of the same turn, in ms. */
const URGENT_MS = 0.25;
/** The longest pause after urgent work that took long: the process may have been stopped in it. */
const LONGEST_PAUSE_MS = 10;

const urgent = new Set<() => void>();
/** Other work since the last urgent work, in ms. */
let worked = 0;
/** The amount of it after which urgent work is due. */
let due = URGENT_MS;

/** Has `giveWay` call `work` until the result is disposed. */
export function addUrgent(work: () => void): Disposable {
  urgent.add(work);
  return { [Symbol.dispose]: () => urgent.delete(work) };
}

/**
 * Does urgent work that is ready, once enough other work was done since the last time. To be called
 * after a piece of other work that took `ms`, where each event of the event loop may be handled.
 * The time between pieces does not count: there the event loop serves clients itself. Returns the
 * time that urgent work took, in ms.
 */
export function giveWay(ms: number): number {
  worked += ms;
  if (worked < due) return 0;
  const start = performance.now();
  for (const work of urgent) work();
  const took = performance.now() - start;
  // The other work gets at least half of the time.
  due = Math.min(Math.max(URGENT_MS, took), LONGEST_PAUSE_MS);
  worked = 0;
  return took;
}

/** The time of one turn, for work in pieces; it begins at once. */
export class TurnTime {
  #began = performance.now();
  #end: number;

  /** `ms`: length of the turn, without urgent work. */
  constructor(ms: number) {
    this.#end = this.#began + ms;
  }

  /** To be called after each piece: gives way to urgent work. True when the turn is over. */
  pieceDone(): boolean {
    const now = performance.now();
    const gave = giveWay(now - this.#began);
    this.#end += gave;
    this.#began = now + gave;
    return this.#began >= this.#end;
  }
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
    const took = performance.now() - (this.#end - this.#ms);
    await nextTurn();
    giveWay(took);
    this.#end = performance.now() + this.#ms;
  }
}
