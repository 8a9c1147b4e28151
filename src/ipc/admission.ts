/**
 * Who may take up room before and after acceptance: bounds on half-open handshakes, on all
 * connections and on those of one uid, with room kept for root (DESIGN.md 6 and 8).
 */

/** The bounds, all counts. */
export interface AdmissionLimits {
  readonly connections: number;
  /** Of one uid other than root; 0 = no bound of its own. */
  readonly connectionsPerUid: number;
  /** Beyond `connections`, for root only. */
  readonly rootReserve: number;
}

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #byUid = new Map<number, number>();
  #total = 0;
  #fullSaid = false;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /** Room for one more of `uid`? */
  allows(uid: number): boolean {
    const { connections, connectionsPerUid, rootReserve } = this.#limits;
    if (uid === 0) return this.#total < connections + rootReserve;
    if (this.#total >= connections) return false;
    return connectionsPerUid === 0 || (this.#byUid.get(uid) ?? 0) < connectionsPerUid;
  }

  add(uid: number): void {
    this.#total++;
    this.#byUid.set(uid, (this.#byUid.get(uid) ?? 0) + 1);
  }

  remove(uid: number): void {
    this.#total--;
    const left = (this.#byUid.get(uid) ?? 1) - 1;
    if (left === 0) this.#byUid.delete(uid);
    else this.#byUid.set(uid, left);
    if (this.#total < this.#limits.connections) this.#fullSaid = false;
  }

  /** True the first time the service is found full, until it is not any more: say it once. */
  shouldSayFull(): boolean {
    if (this.#fullSaid) return false;
    this.#fullSaid = true;
    return true;
  }
}

/** Handshakes under way, oldest first: those that will be accepted, and those that will not. */
export class PendingHandshakes<T extends { drop(why: string): void }> {
  readonly #limit: number;
  readonly #waiting = new Set<T>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Adds one; the oldest goes when there are too many. */
  add(handshake: T): void {
    this.#waiting.add(handshake);
    if (this.#waiting.size <= this.#limit) return;
    for (const oldest of this.#waiting) {
      oldest.drop("more handshakes under way than allowed");
      break;
    }
  }

  delete(handshake: T): void {
    this.#waiting.delete(handshake);
  }

  get size(): number {
    return this.#waiting.size;
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#waiting[Symbol.iterator]();
  }
}
