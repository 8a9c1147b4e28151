/**
 * Pauses in asynchronous work that would hold the event loop: a slice of the work, then a turn for
 * others. Work that is a generator: steps.ts.
 */

/** Resolves in the next turn of the event loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
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
    this.#end = performance.now() + this.#ms;
  }
}
