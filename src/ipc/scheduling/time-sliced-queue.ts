/**
 * Time-sliced work queue, round-robin by client pid. Making rings takes 1 ms, or 20 ms for the
 * largest, and hundreds of clients may connect or disconnect at once. So the time spent on it per
 * turn of the event loop is bounded, and a process with many jobs does not delay the first job of
 * another.
 */

/** A job for the process `peer`. */
export interface QueuedJob {
  readonly peer: { readonly pid: number };
}

export class TimeSlicedQueue<T extends QueuedJob> {
  readonly #msPerTurn: number;
  readonly #work: (job: T) => void;
  /** By pid; the process whose turn is next comes first. */
  readonly #jobs = new Map<number, Set<T>>();
  #spentMs = 0;
  #scheduled = false;

  /** `work` does one job. No job is started after `msPerTurn` of a turn of the event loop. */
  constructor(msPerTurn: number, work: (job: T) => void) {
    this.#msPerTurn = msPerTurn;
    this.#work = work;
  }

  /** Does `job` at once if this turn has time left, else in a later turn. */
  add(job: T): void {
    const { pid } = job.peer;
    const ofProcess = this.#jobs.get(pid) ?? new Set();
    this.#jobs.set(pid, ofProcess.add(job));
    this.#run();
  }

  get size(): number {
    let size = 0;
    for (const ofProcess of this.#jobs.values()) size += ofProcess.size;
    return size;
  }

  /** Does the remaining jobs now, until `isEnough` returns true. */
  finish(isEnough: () => boolean = () => false): void {
    while (!isEnough()) {
      const next = this.#next();
      if (next === undefined) return;
      this.#work(next);
    }
  }

  /** Cancels `job`. */
  remove(job: T): void {
    const { pid } = job.peer;
    const ofProcess = this.#jobs.get(pid);
    if (ofProcess?.delete(job) === true && ofProcess.size === 0) this.#jobs.delete(pid);
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

  /** Takes the first job of the process whose turn it is, and moves the process to the end. */
  #next(): T | undefined {
    for (const [pid, ofProcess] of this.#jobs) {
      this.#jobs.delete(pid);
      for (const job of ofProcess) {
        ofProcess.delete(job);
        if (ofProcess.size > 0) this.#jobs.set(pid, ofProcess);
        return job;
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
