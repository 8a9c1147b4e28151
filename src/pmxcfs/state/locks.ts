/**
 * The timers of the locks in priv/lock: how long each lock has not changed. They exist in memory
 * only, so a restart or a sync gives every holder the full time again. C counterpart: memdb.c,
 * memdb->locktable and memdb_lock_expired.
 */

/** The directory whose subdirectories are locks. */
export const LOCK_DIRECTORY = "priv/lock";

/** A lock that was not refreshed for longer may be taken by the next process that asks. */
const LOCK_TIMEOUT_S = 120;

/** True for a path anywhere below priv/lock. */
export function isBelowLocks(path: string): boolean {
  return path.startsWith("priv/lock/");
}

/** True for a path directly in priv/lock; a directory there is a lock. */
export function isLockPath(path: string): boolean {
  return isBelowLocks(path) && path.indexOf("/", LOCK_DIRECTORY.length + 1) < 0;
}

/** The result of `LockTable.age`; `changed`: the digest is not the timer's. */
export type LockAge = "expired" | "held" | "changed";

interface Timer {
  readonly digest: string;
  readonly since: number;
}

const hex = (digest: Uint8Array): string => Buffer.from(digest).toString("hex");

/** Timers by path. Digests are the 32 bytes of lockDigestOf (tree-index.ts). */
export class LockTable {
  readonly #now: () => number;
  readonly #timers = new Map<string, Timer>();

  /** `now`: seconds of a monotonic clock; rounded down to whole seconds, as in C. */
  constructor(now: () => number = () => performance.now() / 1000) {
    this.#now = () => Math.floor(now());
  }

  /** Number of timers. */
  get count(): number {
    return this.#timers.size;
  }

  /** Starts or restarts the timer of a lock. */
  restart(path: string, digest: Uint8Array): void {
    this.#timers.set(path, { digest: hex(digest), since: this.#now() });
  }

  /** Drops the timer of a lock that was removed. */
  forget(path: string): void {
    this.#timers.delete(path);
  }

  /** Drops all timers: they start again at the next `age`. */
  clear(): void {
    this.#timers.clear();
  }

  /**
   * Expired: the lock has had this digest for more than 120 s. A lock that changed or has no timer
   * gets a new one.
   */
  age(path: string, digest: Uint8Array): LockAge {
    const timer = this.#timers.get(path);
    if (timer === undefined || timer.digest !== hex(digest)) {
      this.restart(path, digest);
      return timer === undefined ? "held" : "changed";
    }
    return this.#now() - timer.since > LOCK_TIMEOUT_S ? "expired" : "held";
  }
}
