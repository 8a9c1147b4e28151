/**
 * The writable tree: checks a command, writes its rows in one transaction, then changes memory.
 * `apply` is a pure function of (tree, command, origin), so that every node of a cluster gets the
 * same tree and the same result from the same commands: it uses no wall clock, no local options and
 * no limits of our own. (Only lock timers use a clock.) C counterpart: memdb.c.
 */
import { Errno } from "../../base/errno.ts";
import { CfsLimits } from "../../base/limits.ts";
import type { Log } from "../../base/log.ts";
import { drained, type Steps } from "../../base/steps.ts";
import { GuestNumbers } from "../state/guest-numbers.ts";
import { isBelowLocks, isLockPath, LOCK_DIRECTORY, LockTable } from "../state/locks.ts";
import { pathOf, type Entry, type Memdb, type Stamp } from "../state/memdb.ts";
import type { CommandOf, Origin, TreeCommand } from "../state/tree-command.ts";
import { lockDigestOf, TreeIndex } from "../state/tree-index.ts";
import type { ChangeLedger } from "./change-ledger.ts";
import { spliced } from "./file-bytes.ts";
import type { JournalRecord } from "./journal-format.ts";
import { imageOf, type RowImage, type RowWriter } from "./row-writer.ts";
import { OrphanRows } from "./orphan-rows.ts";
import { planSync, type SyncEntry } from "./sync-plan.ts";
import { fileAt, parentOf, renameTarget } from "./tree-checks.ts";
import { nameOf, normalPath } from "./tree-path.ts";
import { RowType, type Row } from "./tree-rows.ts";

type PathCommand = CommandOf<"create" | "mkdir" | "remove">;

const NO_BYTES = new Uint8Array(0);
/** Digests are computed ahead in slices of this length, with these pauses. */
const DIGEST_SLICE_MS = 1;
const DIGEST_PAUSE_MS = 5;
const MAX_U32 = 0xffff_ffff;

/** What others may do with the rows (row-writer.ts). */
type Storage = Pick<
  RowWriter,
  "figures" | "isEmptying" | "flush" | "gather" | "store" | "keepCopy"
>;

export interface TreeStoreOptions {
  /** Loaded. From now on only this store may change it. */
  readonly memdb: Memdb;
  /** Its entries by inode, sorted by inode, without the root. */
  readonly entries: ReadonlyMap<number, Entry>;
  /** Rows of the database that no path leads to. */
  readonly leftOut?: readonly Row[];
  readonly writer: RowWriter;
  readonly log: Log;
  /** Seconds of a clock that never goes back, for the lock timers. */
  readonly now?: () => number;
}

export class TreeStore implements Disposable {
  readonly memdb: Memdb;
  readonly locks: LockTable;
  readonly numbers: GuestNumbers;
  readonly orphans: OrphanRows;
  /** Digests of entries, for the cluster. */
  readonly index: TreeIndex;
  /** Version of the tree as it was loaded. */
  readonly loadedVersion: number;
  /** Records which request of the mount a change is for; undefined without such a mount. */
  ledger: Pick<ChangeLedger, "note" | "withdraw" | "took"> | undefined;
  /** Where its rows are. During the steps of `keepCopy` nothing may be applied. */
  readonly storage: Storage;
  readonly #writer: RowWriter;
  readonly #log: Log;
  #entries: Map<number, Entry>;
  #digestTimer: Timer | undefined;
  /** The mount's request that the present change is for. */
  #request: number | undefined;

  constructor(options: TreeStoreOptions) {
    this.memdb = options.memdb;
    this.loadedVersion = this.version;
    this.locks = new LockTable(options.now);
    this.#entries = new Map(options.entries);
    this.index = new TreeIndex(this.memdb, () => this.#entries);
    this.#writer = options.writer;
    this.storage = options.writer;
    this.#log = options.log;
    this.numbers = new GuestNumbers(this.memdb);
    this.orphans = new OrphanRows(options.leftOut);
    this.#restartLocks();
  }

  /** Version of the whole tree: the highest ever used. */
  get version(): number {
    return this.memdb.root.version;
  }

  /** The entry with this inode (not 0); undefined when there is none. */
  entry(inode: number): Entry | undefined {
    return this.#entries.get(inode);
  }

  /** All entries but the root, in the order of inodes. */
  entries(): Iterable<Entry> {
    return this.#entries.values();
  }

  /**
   * Applies one change: bytes written, or 0, or an error, after which nothing has changed.
   * ENOENT, ENOTDIR: the directory; EACCES: the root, an invalid name, a lock; EEXIST: it exists,
   * or the guest number is taken; EFBIG: beyond 1 MiB; ENOTEMPTY; EINVAL: a directory into itself;
   * EBUSY: another process is writing to the database, apply it again; EIO: it could not be written
   * (the next one may succeed). `request`: of the mount, for the ledger.
   */
  apply(command: TreeCommand, origin: Origin, request?: number): number {
    this.#request = request;
    const outcome = this.#perform(command, origin);
    this.#request = undefined;
    return outcome;
  }

  #perform(command: TreeCommand, origin: Origin): number {
    switch (command.kind) {
      case "write":
      case "truncate":
        return this.#write(command, origin);
      case "create":
      case "mkdir":
        return this.#create(command, origin);
      case "remove":
        return this.#remove(command, origin);
      case "rename":
        return this.#rename(command, origin);
      case "utime":
        return this.#utime(command, origin);
      default:
        return command satisfies never;
    }
  }

  /** Digest (32 bytes) of the directory at `path` below priv/lock; undefined when there is none. */
  lockDigest(path: string): Buffer | undefined {
    const entry = isBelowLocks(normalPath(path)) ? this.memdb.find(path) : undefined;
    return entry?.kind === "directory" ? lockDigestOf(entry) : undefined;
  }

  /**
   * True when the directory at `path` has had its present digest for more than 120 s, and that
   * equals `digest` (if given). Restarts the timer when the lock has changed or had no timer.
   */
  lockExpired(path: string, digest?: Uint8Array): boolean {
    const own = this.lockDigest(path);
    if (own === undefined || (digest !== undefined && !own.equals(digest))) return false;
    const age = this.locks.age(normalPath(path), own);
    // In C's words.
    if (age === "changed") this.#log.error(`wrong lock csum - reset timeout (${path})`);
    return age === "expired";
  }

  /** Removes the lock with this digest: 0, or ENOENT, ENOTEMPTY, EIO; EBUSY: it has changed. */
  unlock(path: string, digest: Uint8Array, origin: Origin): 0 | Errno {
    const own = this.lockDigest(path);
    if (own === undefined) return Errno.ENOENT;
    if (!own.equals(digest)) return Errno.EBUSY;
    return this.#remove({ kind: "remove", path }, origin);
  }

  /**
   * The end of a cluster's sync, in steps, between which nothing may be applied. Deletes the rows
   * of `deleted` and writes `updates` (the root as inode 0) in one transaction; memory then
   * switches to the new tree at once. `leaderIndex`: the index that must result (tree-index.ts).
   * Afterwards every observed counter is one higher, the guests are listed again, and all lock
   * timers restart. EIO, EBUSY: no valid tree, not the leader's index, or not written; then nothing
   * has changed. Steps that are ended early leave the old or the new tree, on disk as in memory.
   */
  *commitSync(
    deleted: readonly number[],
    updates: readonly SyncEntry[],
    leaderIndex?: Uint8Array,
  ): Steps<true | Errno> {
    const plan = yield* planSync(this.memdb.root, this.#entries.values(), {
      deleted,
      updates,
      index: this.index,
      leaderIndex,
    });
    if (typeof plan === "string") {
      this.#log.error(`${plan} - the leader's tree is refused`);
      return Errno.EIO;
    }
    const coming = yield* this.memdb.prepare(plan.entries, this.#entries);
    if (this.ledger !== undefined)
      coming.sync = yield* this.ledger.took(coming.took, plan.root.version);
    const orphans = this.orphans.all();
    const change = { ...plan.change, deleted: [...plan.change.deleted, ...orphans] };
    const after = this.memdb.settle(coming);
    let isTaken = false;
    try {
      const outcome = yield* this.#writer.commitInSteps(change, () => {
        isTaken = true;
        this.orphans.forget(orphans);
        this.#entries = this.memdb.take(coming, plan.root);
        if (leaderIndex === undefined) this.index.restart();
        else this.index.adopt(leaderIndex);
        this.#restartLocks();
      });
      if (outcome !== 0) return outcome;
      for (let step = after.next(); step.done !== true; step = after.next()) yield step.value;
      yield* this.#writer.settle();
      return true;
    } finally {
      // Ended early, also while a thread commits: the rest at once.
      if (isTaken) drained(after);
    }
  }

  /**
   * This node becomes one of a cluster. While another process has the database locked, changes go
   * into the journal instead of failing with EBUSY, since all nodes must apply the same changes.
   * Digests of all entries are computed in small slices, so that the first index is quick.
   */
  enterCluster(): void {
    this.#writer.journalWhenLocked();
    const prepare = (): void => {
      if (this.index.prepare(DIGEST_SLICE_MS)) clearInterval(this.#digestTimer);
    };
    this.#digestTimer = setInterval(prepare, DIGEST_PAUSE_MS);
    this.#digestTimer.unref();
  }

  /** True when the database can be written now: writes row 0 unchanged. */
  probe(): boolean {
    const { version, writer, mtime } = this.memdb.root;
    const root = { version, writer, mtime, type: RowType.FILE };
    return this.#writer.commit({ deleted: [], replaced: [], root }) === 0;
  }

  /** Writes the waiting changes into the database, and closes it. */
  [Symbol.dispose](): void {
    clearInterval(this.#digestTimer);
    this.#writer[Symbol.dispose]();
  }

  #write(command: CommandOf<"write" | "truncate">, origin: Origin): number {
    const isTruncate = command.kind === "truncate";
    const offset = isTruncate ? command.size : command.offset;
    const data = isTruncate ? NO_BYTES : command.data;
    if (offset + data.length > CfsLimits.fileBytes) return Errno.EFBIG;
    const file = fileAt(this, normalPath(command.path));
    if (typeof file === "number") return file;
    const bytes = spliced(file.bytes, offset, data, isTruncate || command.cuts);
    // As C does: an empty file that grows without data gets a size but no bytes. Local changes do
    // not do that (withoutPhantoms in replication/local.ts); others do, and all nodes must agree.
    const size = bytes.length === 0 ? offset : bytes.length;
    const stamp = this.#stamp(origin);
    const row = { ...imageOf(file, stamp), data: bytes.length === 0 ? null : bytes };
    const failure = this.#commit([], [row], stamp, { command, origin });
    if (failure !== 0) return failure;
    this.memdb.write(file, bytes, stamp, size);
    return data.length;
  }

  #create(command: PathCommand, origin: Origin): 0 | Errno {
    const { kind, path: given } = command;
    const path = normalPath(given);
    const parent = parentOf(this.memdb, path);
    if (typeof parent === "number") return parent;
    const name = nameOf(path);
    const there = parent.children.get(name);
    if (kind === "create") {
      if (this.numbers.elsewhere(path) !== undefined) return Errno.EEXIST;
      if (there?.kind === "directory") return Errno.ENOTDIR;
    }
    if (there !== undefined) return Errno.EEXIST;
    const stamp = this.#stamp(origin);
    const inode = stamp.version;
    const type = kind === "create" ? RowType.FILE : RowType.DIRECTORY;
    const row = { ...stamp, inode, parent: parent.inode, type, name, data: null };
    const failure = this.#commit([], [row], stamp, { command, origin });
    if (failure !== 0) return failure;
    const entryKind = kind === "create" ? "file" : "directory";
    const entry = this.memdb.add(parent, { ...stamp, inode, name, kind: entryKind });
    this.#entries.set(inode, entry);
    if (kind === "mkdir" && isLockPath(path)) this.locks.restart(path, lockDigestOf(entry));
    return 0;
  }

  #remove(command: PathCommand, origin: Origin): 0 | Errno {
    const path = normalPath(command.path);
    const parent = parentOf(this.memdb, path);
    if (typeof parent === "number") return parent;
    const entry = parent.children.get(nameOf(path));
    if (entry === undefined) return Errno.ENOENT;
    if (this.orphans.isFull(entry)) return Errno.ENOTEMPTY;
    const stamp = this.#stamp(origin);
    const failure = this.#commit([entry.inode], [], stamp, { command, origin });
    if (failure !== 0) return failure;
    this.memdb.remove(entry);
    this.#entries.delete(entry.inode);
    if (entry.kind === "directory") this.locks.forget(path);
    return 0;
  }

  #rename(command: CommandOf<"rename">, origin: Origin): 0 | Errno {
    const to = normalPath(command.to);
    const source = this.memdb.find(command.path);
    const parent = renameTarget(this, source, { from: normalPath(command.path), to });
    if (source === undefined || typeof parent === "number") return parent as Errno;
    if (this.orphans.isFull(source)) return this.#refuseFull(parent, to, origin);
    const name = nameOf(to);
    const target = parent.children.get(name);
    const replaced = target === source ? undefined : target;
    const stamp = this.#stamp(origin);
    const row = { ...imageOf(source, stamp), parent: parent.inode, name };
    const deleted = replaced === undefined ? [] : [replaced.inode];
    const failure = this.#commit(deleted, [row], stamp, { command, origin });
    if (failure !== 0) return failure;
    this.memdb.move(source, parent, name, stamp);
    if (replaced !== undefined) {
      this.#entries.delete(replaced.inode);
      this.index.changed(replaced.inode);
      if (replaced.kind === "directory") this.locks.forget(to);
    }
    return 0;
  }

  /**
   * ENOTEMPTY for a source that is not empty. In a cluster the target is removed from memory, since
   * every C node has removed it by then (orphan-rows.ts).
   */
  #refuseFull(parent: Entry, to: string, { writer }: Origin): Errno {
    const target = parent.children.get(nameOf(to));
    if (writer === 0 || target === undefined) return Errno.ENOTEMPTY;
    this.orphans.add(target.inode, { parent: parent.inode, name: target.name });
    this.memdb.remove(target);
    this.#entries.delete(target.inode);
    if (target.kind === "directory") this.locks.forget(to);
    return Errno.ENOTEMPTY;
  }

  #utime(command: CommandOf<"utime">, origin: Origin): 0 | Errno {
    const { mtime } = command;
    const path = normalPath(command.path);
    const entry = this.memdb.find(path);
    if (entry === this.memdb.root) return Errno.EACCES;
    if (entry === undefined) return Errno.ENOENT;
    const isLock = entry.kind === "directory" && isLockPath(path);
    if (isLock && (mtime < entry.mtime || entry.writer !== origin.writer)) return Errno.EACCES;
    const stamp = this.#stamp({ writer: origin.writer, time: mtime });
    const failure = this.#commit([], [imageOf(entry, stamp)], stamp, { command, origin });
    if (failure !== 0) return failure;
    this.memdb.touch(entry, stamp);
    if (isLock) this.locks.restart(path, lockDigestOf(entry));
    return 0;
  }

  #stamp({ writer, time }: Origin): Stamp {
    return { version: this.version + 1, writer, mtime: Math.min(time, MAX_U32) };
  }

  #commit(
    deleted: readonly number[],
    replaced: readonly RowImage[],
    stamp: Stamp,
    record: JournalRecord,
  ): 0 | Errno {
    const root = { ...stamp, type: RowType.FILE };
    const orphans = this.orphans.goingWith(deleted, replaced);
    const all = orphans.length === 0 ? deleted : [...deleted, ...orphans];
    // The journal does not record orphans: a change that deletes some is written at once.
    const kept = orphans.length === 0 ? record : undefined;
    const request = this.#request ?? 0;
    this.ledger?.note(request, stamp.version);
    const outcome = this.#writer.commit({ deleted: all, replaced, root }, kept);
    if (outcome !== 0) {
      this.ledger?.withdraw(request);
      return outcome;
    }
    this.orphans.forget(orphans);
    this.memdb.stampRoot(stamp);
    return 0;
  }

  /** After a load or a sync all locks get their full time again, whatever their mtime. */
  #restartLocks(): void {
    this.locks.clear();
    for (const entry of this.memdb.find(LOCK_DIRECTORY)?.children.values() ?? [])
      if (entry.kind === "directory") this.locks.restart(pathOf(entry), lockDigestOf(entry));
  }
}
