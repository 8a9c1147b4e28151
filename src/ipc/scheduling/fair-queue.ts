/**
 * A queue that goes round by the client's user, then by its process; jobs of one process are first
 * come, first served. So a process with many jobs, or a user with many processes, does not delay
 * the first job of another.
 */

/** The process that a job is done for. */
export interface JobOwner {
  readonly uid: number;
  readonly pid: number;
}

export class FairQueue<T> {
  readonly #ownerOf: (job: T) => JobOwner;
  /** By uid, then by pid; the user and the process whose turn is next come first. */
  readonly #jobs = new Map<number, Map<number, Set<T>>>();
  #size = 0;

  constructor(ownerOf: (job: T) => JobOwner) {
    this.#ownerOf = ownerOf;
  }

  get size(): number {
    return this.#size;
  }

  /** Adds `job`, if it is not in the queue. */
  add(job: T): void {
    const { uid, pid } = this.#ownerOf(job);
    const ofUser = this.#jobs.get(uid) ?? new Map<number, Set<T>>();
    const ofProcess = ofUser.get(pid) ?? new Set<T>();
    if (ofProcess.has(job)) return;
    this.#jobs.set(uid, ofUser.set(pid, ofProcess.add(job)));
    this.#size++;
  }

  /** Removes `job`, if it is in the queue. */
  delete(job: T): void {
    const { uid, pid } = this.#ownerOf(job);
    const ofUser = this.#jobs.get(uid);
    const ofProcess = ofUser?.get(pid);
    if (ofProcess?.delete(job) !== true) return;
    this.#size--;
    if (ofProcess.size > 0) return;
    ofUser?.delete(pid);
    if (ofUser?.size === 0) this.#jobs.delete(uid);
  }

  /** Takes the job whose turn it is, and moves its process and its user to the end. */
  next(): T | undefined {
    const [first] = this.#jobs;
    if (first === undefined) return undefined;
    const [uid, ofUser] = first;
    this.#jobs.delete(uid);
    const job = firstOf(ofUser);
    if (ofUser.size > 0) this.#jobs.set(uid, ofUser);
    this.#size--;
    return job;
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
