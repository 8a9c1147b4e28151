/**
 * The timers of the locks below priv/lock: for how long a lock has not changed. They live in memory
 * only, so that a restart or a sync gives every holder the full time again. C counterpart: memdb.c,
 * memdb->locktable and memdb_lock_expired.
 */

/** The directory whose directories are locks. */
export const LOCK_DIRECTORY = "priv/lock";

/** A lock that was not refreshed for longer than this is granted to the next process that asks. */
const LOCK_TIMEOUT_S = 120;

/** True for a path anywhere below priv/lock. */
export function isBelowLocks(path: string): boolean {
  return path.startsWith("priv/lock/");
}

/** True for a path directly in priv/lock: there a directory is a lock. */
export function isLockPath(path: string): boolean {
  return isBelowLocks(path) && path.indexOf("/", LOCK_DIRECTORY.length + 1) < 0;
}

/**
 * The state of a lock whose expiry was asked for; `changed`: it is another lock than the timer's.
 */
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

  /** `now`: seconds of a clock that never goes back; whole seconds count, as in C. */
  constructor(now: () => number = () => performance.now() / 1000) {
    this.#now = () => Math.floor(now());
  }

  /** Locks that have a timer. */
  get count(): number {
    return this.#timers.size;
  }

  /** Starts or restarts the timer of a lock. */
  restart(path: string, digest: Uint8Array): void {
    this.#timers.set(path, { digest: hex(digest), since: this.#now() });
  }

  /** The lock is gone. */
  forget(path: string): void {
    this.#timers.delete(path);
  }

  /** All locks are gone, or their timers start again. */
  clear(): void {
    this.#timers.clear();
  }

  /**
   * Whether the lock has been as `digest` says for more than 120 s. A lock that changed, or has no
   * timer yet, gets a new timer.
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
