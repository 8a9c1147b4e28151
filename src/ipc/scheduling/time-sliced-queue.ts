/**
 * Time-sliced work queue, fair to users and processes. Making rings takes 1 ms, or 20 ms for the
 * largest, and hundreds of clients may connect or disconnect at once. So the time spent on it per
 * turn of the event loop is bounded.
 */
import { FairQueue, type JobOwner } from "./fair-queue.ts";

/** A job for the process `peer`. */
export interface QueuedJob {
  readonly peer: JobOwner;
}

export class TimeSlicedQueue<T extends QueuedJob> {
  readonly #msPerTurn: number;
  readonly #work: (job: T) => void;
  readonly #jobs = new FairQueue<T>(({ peer }) => peer);
  #spentMs = 0;
  #scheduled = false;

  /** `work` does one job. No job is started after `msPerTurn` of a turn of the event loop. */
  constructor(msPerTurn: number, work: (job: T) => void) {
    this.#msPerTurn = msPerTurn;
    this.#work = work;
  }

  /** Does `job` at once if this turn has time left, else in a later turn. */
  add(job: T): void {
    this.#jobs.add(job);
    this.#run();
  }

  get size(): number {
    return this.#jobs.size;
  }

  /** Cancels `job`. */
  remove(job: T): void {
    this.#jobs.delete(job);
  }

  #run(): void {
    while (this.#spentMs < this.#msPerTurn) {
      const next = this.#jobs.next();
      if (next === undefined) return;
      this.#schedule();
      const start = performance.now();
      this.#work(next);
      this.#spentMs += performance.now() - start;
    }
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
