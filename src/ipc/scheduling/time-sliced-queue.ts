/**
 * Time-sliced work queue, round-robin by the client's user, then by its process. Making rings takes
 * 1 ms, or 20 ms for the largest, and hundreds of clients may connect or disconnect at once. So the
 * time spent on it per turn of the event loop is bounded, and a process with many jobs, or a user
 * with many processes, does not delay the first job of another.
 */

/** A job for the process `peer`. */
export interface QueuedJob {
  readonly peer: { readonly uid: number; readonly pid: number };
}

export class TimeSlicedQueue<T extends QueuedJob> {
  readonly #msPerTurn: number;
  readonly #work: (job: T) => void;
  /** By uid, then by pid; the user and the process whose turn is next come first. */
  readonly #jobs = new Map<number, Map<number, Set<T>>>();
  #spentMs = 0;
  #scheduled = false;

  /** `work` does one job. No job is started after `msPerTurn` of a turn of the event loop. */
  constructor(msPerTurn: number, work: (job: T) => void) {
    this.#msPerTurn = msPerTurn;
    this.#work = work;
  }

  /** Does `job` at once if this turn has time left, else in a later turn. */
  add(job: T): void {
    const { uid, pid } = job.peer;
    const ofUser = this.#jobs.get(uid) ?? new Map<number, Set<T>>();
    const ofProcess = ofUser.get(pid) ?? new Set<T>();
    this.#jobs.set(uid, ofUser.set(pid, ofProcess.add(job)));
    this.#run();
  }

  get size(): number {
    let size = 0;
    for (const ofUser of this.#jobs.values()) {
      for (const ofProcess of ofUser.values()) size += ofProcess.size;
    }
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
    const { uid, pid } = job.peer;
    const ofUser = this.#jobs.get(uid);
    const ofProcess = ofUser?.get(pid);
    if (ofProcess?.delete(job) !== true || ofProcess.size > 0) return;
    ofUser?.delete(pid);
    if (ofUser?.size === 0) this.#jobs.delete(uid);
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

  /** Takes the job whose turn it is, and moves its process and its user to the end. */
  #next(): T | undefined {
    const [first] = this.#jobs;
    if (first === undefined) return undefined;
    const [uid, ofUser] = first;
    this.#jobs.delete(uid);
    const job = firstOf(ofUser);
    if (ofUser.size > 0) this.#jobs.set(uid, ofUser);
    return job;
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

/** Takes the first job of the first process, and moves that process to the end. */
function firstOf<T>(ofUser: Map<number, Set<T>>): T | undefined {
  for (const [pid, ofProcess] of ofUser) {
    ofUser.delete(pid);
    for (const job of ofProcess) {
      ofProcess.delete(job);
      if (ofProcess.size > 0) ofUser.set(pid, ofProcess);
      return job;
    }
  }
  return undefined;
}
