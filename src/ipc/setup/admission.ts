/**
 * Admission control, before and after acceptance: bounds on half-open handshakes, on connections
 * and on bytes of /dev/shm, in total and per uid, with a reserve for root.
 */
import type { Credentials } from "../../platform/socket.ts";

/** Bounds on connections and on bytes of /dev/shm. */
export interface AdmissionLimits {
  readonly connections: number;
  /** Of one uid other than root; 0: no bound per uid. */
  readonly connectionsPerUid: number;
  /** Connections above `connections` that only root may have. */
  readonly rootReserve: number;
  /** Bytes of rings of one uid other than root. */
  readonly shmBytesPerUid: number;
  /** Bytes of /dev/shm that only root's rings may use. */
  readonly shmRootReserveBytes: number;
}

/** Below this fill level, a service that was full counts as having room again. */
const ROOM_AGAIN = 0.9;

/** The bound that a peer would exceed. */
export type Excess = "connections" | "connections of its uid" | "bytes of its uid" | "free bytes";

interface Usage {
  connections: number;
  bytes: number;
}

/** Counts the connections and bytes of each uid. */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #byUid = new Map<number, Usage>();
  #total = 0;
  #isFullLogged = false;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /**
   * The bound that one more connection of `uid` with `bytes` of rings would exceed; undefined if
   * none. `freeBytes`: free bytes of /dev/shm and those that the service itself can free.
   */
  excessOf(uid: number, bytes: number, freeBytes: number): Excess | undefined {
    const limits = this.#limits;
    const isRoot = uid === 0;
    if (this.#total >= limits.connections + (isRoot ? limits.rootReserve : 0)) return "connections";
    if (bytes > freeBytes - (isRoot ? 0 : limits.shmRootReserveBytes)) return "free bytes";
    if (isRoot) return undefined;
    const used = this.#byUid.get(uid) ?? { connections: 0, bytes: 0 };
    if (limits.connectionsPerUid !== 0 && used.connections >= limits.connectionsPerUid) {
      return "connections of its uid";
    }
    return used.bytes + bytes > limits.shmBytesPerUid ? "bytes of its uid" : undefined;
  }

  add(uid: number, bytes: number): void {
    const used = this.#byUid.get(uid) ?? { connections: 0, bytes: 0 };
    used.connections++;
    used.bytes += bytes;
    this.#total++;
    this.#byUid.set(uid, used);
  }

  remove(uid: number, bytes: number): void {
    this.#total--;
    const used = this.#byUid.get(uid);
    if (used !== undefined) {
      used.connections--;
      used.bytes -= bytes;
      if (used.connections <= 0) this.#byUid.delete(uid);
    }
    // Hysteresis: a client that reconnects repeatedly at the bound must not cause a line each time.
    if (this.#total < this.#limits.connections * ROOM_AGAIN) this.#isFullLogged = false;
  }

  /** Whether to log that the service is full: true once per period in which it is. */
  shouldLogFull(): boolean {
    if (this.#isFullLogged) return false;
    this.#isFullLogged = true;
    return true;
  }
}

/** A pending handshake. */
export interface Pending {
  readonly peer: Credentials;
  drop(why: string): void;
}

/** Pending handshakes of one kind, oldest first. */
export class PendingHandshakes<T extends Pending> {
  readonly #limit: number;
  readonly #waiting = new Set<T>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Adds one; if there are too many, drops the oldest one of the process that has most. */
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
