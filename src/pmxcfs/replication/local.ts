/**
 * Changes of a node without a cluster: each is applied at once, with writer 0 and the present time.
 * While another process holds the database's write lock, changes wait in order, without blocking
 * the event loop, and fail with EIO after 3 s. While our own checkpoint lets them wait, they wait
 * as long as the disk takes, as with C. C counterpart: cfs-plug-memdb.c without dfsm.
 */
import { Errno } from "../../base/errno.ts";
import { CfsLimits, ReplicationLimits } from "../../base/limits.ts";
import { unixSeconds } from "../../platform/clock.ts";
import { isBelowLocks } from "../state/locks.ts";
import type { Memdb } from "../state/memdb.ts";
import { keptCommand, type Origin, type TreeCommand } from "../state/tree-command.ts";
import { normalPath } from "../store/tree-path.ts";
import type { TreeStore } from "../store/tree-store.ts";
import type { Replicator, Requester } from "./replicator.ts";
import type { LogEntry } from "../state/cluster-log.ts";

export interface LocalReplicatorOptions {
  /** Undefined when another program owns the tree (`--dir`, `--db`): it is then read-only. */
  readonly tree: TreeStore | undefined;
  readonly status: { set(name: string, data: Uint8Array): 0 | Errno };
  readonly clusterLog: { add(message: LogEntry): void };
  /** Unix seconds. */
  readonly clock?: () => number;
}

/** True for a request to release an expired lock: mtime 0 for a directory below priv/lock. */
export function isUnlockRequest(memdb: Memdb, command: TreeCommand): boolean {
  if (command.kind !== "utime" || command.mtime !== 0) return false;
  return isBelowLocks(normalPath(command.path)) && memdb.find(command.path)?.kind === "directory";
}

/**
 * Replaces a change that could crash C nodes by an equivalent write. A truncate, or a write without
 * data, that makes an empty file longer gives it a size but no bytes, and a C server that reads it
 * crashes. A file that grows so gets a zero as its last byte instead, also one that is not empty:
 * in a cluster it may be empty by the time the change is applied.
 */
export function withoutPhantoms(memdb: Memdb, command: TreeCommand): TreeCommand {
  const size = sizeWithoutData(command);
  if (size === 0 || size > CfsLimits.fileBytes) return command;
  const entry = memdb.find(command.path);
  if (entry?.kind !== "file" || entry.bytes.length >= size) return command;
  return { kind: "write", path: command.path, offset: size - 1, data: new Uint8Array(1) };
}

/** The least size that a file gets by a change without data; 0 for other changes. */
function sizeWithoutData(command: TreeCommand): number {
  if (command.kind === "truncate") return command.size;
  return command.kind === "write" && command.data.length === 0 ? command.offset : 0;
}

/** Changes that waited are applied for this long in one turn of the event loop. */
const RETRY_TURN_MS = 1;

/** A change that waits for the database. */
interface Waiting {
  readonly command: TreeCommand;
  readonly request: number | undefined;
  readonly sinceMs: number;
  readonly answer: (outcome: number) => void;
}

export class LocalReplicator implements Replicator, Disposable {
  readonly quorate = true;
  readonly #tree: TreeStore | undefined;
  readonly #status: LocalReplicatorOptions["status"];
  readonly #clusterLog: LocalReplicatorOptions["clusterLog"];
  readonly #clock: () => number;
  readonly #waiting: Waiting[] = [];
  /** When changes last waited for our own checkpoint. */
  #emptyingMs = 0;
  #timer: Timer | undefined;
  #isScheduled = false;

  constructor(options: LocalReplicatorOptions) {
    this.#tree = options.tree;
    this.#status = options.status;
    this.#clusterLog = options.clusterLog;
    this.#clock = options.clock ?? unixSeconds;
  }

  propose(command: TreeCommand, by?: Requester, signal?: AbortSignal): number | Promise<number> {
    if (this.#tree === undefined) return Errno.EROFS;
    if (this.#waiting.length === 0) {
      const outcome = this.#apply(this.#tree, command, by?.request);
      if (outcome !== Errno.EBUSY) return outcome;
    }
    return this.#wait(command, by?.request, signal);
  }

  flush(): 0 | Errno {
    return this.#tree?.storage.flush() ?? 0;
  }

  setStatus(name: string, data: Uint8Array): 0 | Errno {
    return this.#status.set(name, data);
  }

  log(message: LogEntry): void {
    this.#clusterLog.add(message);
  }

  /**
   * To be called before the database is closed. Changes that wait are dropped without an answer:
   * the mount has ended, or the kernel sends them to the next server again.
   */
  [Symbol.dispose](): void {
    this.#waiting.length = 0;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #apply(tree: TreeStore, given: TreeCommand, request: number | undefined): number {
    const origin: Origin = { writer: 0, time: this.#clock() };
    if (isUnlockRequest(tree.memdb, given) && tree.lockExpired(given.path)) {
      const outcome = tree.apply({ kind: "remove", path: given.path }, origin);
      return outcome === 0 ? Errno.ENOENT : outcome;
    }
    const command = withoutPhantoms(tree.memdb, given);
    const outcome = tree.apply(command, origin, request);
    return command !== given && outcome > 0 ? 0 : outcome;
  }

  #wait(
    command: TreeCommand,
    request: number | undefined,
    signal: AbortSignal | undefined,
  ): number | Promise<number> {
    if (signal?.aborted === true) return Errno.EINTR;
    if (this.#waiting.length >= ReplicationLimits.waitingChanges) return Errno.EIO;
    return new Promise((resolve) => {
      const abort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        resolve(Errno.EINTR);
      };
      const answer = (outcome: number): void => {
        signal?.removeEventListener("abort", abort);
        resolve(outcome);
      };
      const waiting = {
        command: keptCommand(command),
        request,
        sinceMs: performance.now(),
        answer,
      };
      this.#waiting.push(waiting);
      signal?.addEventListener("abort", abort, { once: true });
      this.#timer ??= setInterval(() => this.#retry(), ReplicationLimits.lockedRetryMs);
    });
  }

  /**
   * Retries in order, and stops at the first change that is still locked out. The rest of many
   * changes follows in later turns of the event loop.
   */
  #retry(): void {
    const tree = this.#tree;
    const until = performance.now() + RETRY_TURN_MS;
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const now = performance.now();
      if (now >= until) return this.#retrySoon();
      const outcome =
        tree === undefined ? Errno.EROFS : this.#apply(tree, next.command, next.request);
      if (outcome === Errno.EBUSY && now < this.#deadline(next, now)) return;
      this.#waiting.shift();
      next.answer(outcome === Errno.EBUSY ? Errno.EIO : outcome);
    }
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Until when this change waits: only the time in which others kept us from writing counts. */
  #deadline({ sinceMs }: Waiting, now: number): number {
    if (this.#tree?.storage.isEmptying === true) this.#emptyingMs = now;
    return Math.max(sinceMs, this.#emptyingMs) + ReplicationLimits.lockedDatabaseMs;
  }

  #retrySoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#retry();
    });
  }
}
