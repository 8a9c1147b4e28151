/**
 * Who may take up room before and after acceptance: bounds on half-open handshakes, on all
 * connections and on those of one uid, with room kept for root (DESIGN.md 6 and 8).
 */
import type { Credentials } from "../../platform/socket.ts";

/** The bounds, all counts. */
export interface AdmissionLimits {
  readonly connections: number;
  /** Of one uid other than root; 0 = no bound of its own. */
  readonly connectionsPerUid: number;
  /** Beyond `connections`, for root only. */
  readonly rootReserve: number;
}

/** A service this full or less counts as having room again. */
const ROOM_AGAIN = 0.9;

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
    // Not at the first that leaves: one that comes and goes at the bound is no news.
    if (this.#total < this.#limits.connections * ROOM_AGAIN) this.#fullSaid = false;
  }

  /** True the first time the service is found full, until it is not any more: say it once. */
  shouldSayFull(): boolean {
    if (this.#fullSaid) return false;
    this.#fullSaid = true;
    return true;
  }
}

/** A handshake under way. */
export interface Pending {
  readonly peer: Credentials;
  drop(why: string): void;
}

/** Handshakes under way, oldest first: those that will be accepted, and those that will not. */
export class PendingHandshakes<T extends Pending> {
  readonly #limit: number;
  readonly #waiting = new Set<T>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Adds one; when there are too many, the oldest of the process that has most goes. */
  add(handshake: T): void {
    this.#waiting.add(handshake);
    if (this.#waiting.size <= this.#limit) return;
    this.#mostCrowded()?.drop("more handshakes under way than allowed");
  }

  #mostCrowded(): T | undefined {
    const oldest = new Map<number, { first: T; count: number }>();
    let most: { first: T; count: number } | undefined;
    for (const handshake of this.#waiting) {
      const { pid } = handshake.peer;
      const entry = oldest.get(pid) ?? { first: handshake, count: 0 };
      entry.count++;
      oldest.set(pid, entry);
      if (most === undefined || entry.count > most.count) most = entry;
    }
    return most?.first;
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
