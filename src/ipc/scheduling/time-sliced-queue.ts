/**
 * Turns for making and removing rings: that costs a millisecond, or twenty for the largest, and
 * hundreds of clients may come or go at once. So much time per turn of the event loop, process by
 * process, so that one with a hundred wishes does not stand before everybody else's first.
 */

/** Whatever waits for its turn; `pid` is the process it belongs to. */
export interface Waiting {
  readonly peer: { readonly pid: number };
}

export class TimedTurns<T extends Waiting> {
  readonly #msPerTurn: number;
  readonly #work: (waiting: T) => void;
  /** By process; the process whose turn is next comes first. */
  readonly #waiting = new Map<number, Set<T>>();
  #spentMs = 0;
  #scheduled = false;

  /** `work` is called for each when its turn has come, for `msPerTurn` or a little longer. */
  constructor(msPerTurn: number, work: (waiting: T) => void) {
    this.#msPerTurn = msPerTurn;
    this.#work = work;
  }

  /** Works on `waiting`: at once while there is time in this turn, else in one of the next. */
  take(waiting: T): void {
    const { pid } = waiting.peer;
    const ofProcess = this.#waiting.get(pid) ?? new Set();
    this.#waiting.set(pid, ofProcess.add(waiting));
    this.#run();
  }

  get size(): number {
    let size = 0;
    for (const ofProcess of this.#waiting.values()) size += ofProcess.size;
    return size;
  }

  /** Works on all that wait, now. */
  finish(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) this.#work(next);
  }

  /** It does not wait any more. */
  forget(waiting: T): void {
    const { pid } = waiting.peer;
    const ofProcess = this.#waiting.get(pid);
    if (ofProcess?.delete(waiting) === true && ofProcess.size === 0) this.#waiting.delete(pid);
  }

  #run(): void {
    while (this.#spentMs < this.#msPerTurn) {
      const next = this.#next();
      if (next === undefined) return;
      this.#schedule();
      const start = performance.now();
      this.#work(next);
      this.#spentMs += performance.now() - start;
    }
  }

  /** Takes the first of the process whose turn it is, which goes to the back. */
  #next(): T | undefined {
    for (const [pid, ofProcess] of this.#waiting) {
      this.#waiting.delete(pid);
      for (const waiting of ofProcess) {
        ofProcess.delete(waiting);
        if (ofProcess.size > 0) this.#waiting.set(pid, ofProcess);
        return waiting;
      }
    }
    return undefined;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#spentMs = 0;
      this.#run();
    });
  }
}
