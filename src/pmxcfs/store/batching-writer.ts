/**
 * Writes changes through a journal. With `--commit batched` each change is appended to
 * config.db.changes before it is answered (one small write with the same guarantee: SIGKILL loses
 * nothing). Many changes then go into config.db as one transaction, which writes only the last
 * state of each row: after 5 s, at 256 changes or 1 MiB of files, when another process opens the
 * database, at fsync and at the stop.
 * With `--commit each` the journal is used only in a cluster, while another process holds the
 * database's write lock: the change cannot wait, and all nodes must apply the same changes.
 *
 * While changes wait, row 0 has a name that the C server refuses and prints, and that says what to
 * do: it cannot start without them. Versions, counters and rows end up as with `--commit each`.
 */
import { counted } from "../../base/counted.ts";
import { Errno } from "../../base/errno.ts";
import { errorText } from "../../base/error-text.ts";
import type { Log } from "../../base/log.ts";
import type { Steps } from "../../base/steps.ts";
import { Inotify, Watch } from "../../platform/inotify.ts";
import type { ConfigDbWriter } from "./config-db-writer.ts";
import { GatheredChanges, type RecordedChange } from "./gathered-changes.ts";
import { Journal } from "./journal.ts";
import type { JournalRecord } from "./journal-format.ts";
import { LastRows } from "./last-rows.ts";
import { RowFingerprint } from "./row-fingerprint.ts";
import { PAGES_AT_ONCE, pagesOf } from "./page-count.ts";
import type { RootRow, RowChange, RowImage, RowWriter, StoreFigures } from "./row-writer.ts";
import type { KeptCopy } from "./upkeep.ts";
import { VERSION_NAME } from "./tree-rows.ts";
import { PENDING_NAME } from "./version-row.ts";

export const BatchLimits = {
  /** After the first change that waits. */
  flushMs: 5_000,
  /** Changes that wait. */
  changes: 256,
  /** Rows that wait: writing them blocks the event loop for about 2 ms. */
  rows: 100,
  /** Bytes of their content, for the same reason: 5 us for each page of 4 KiB. */
  rowBytes: 1024 * 1024,
  /** Bytes of the journal. Beyond that, changes fail until the database can be written again. */
  journalBytes: 16 * 1024 * 1024,
  /** Pause before a flush that failed is tried again. */
  retryMs: 100,
  /** Limit of the wait for another process's lock at the stop. */
  stopMs: 1_000,
  /** Interval of checks whether another process has opened the database, while changes wait. */
  openedCheckMs: 20,
} as const;

/** Pause between two tries at the stop. */
const STOP_PAUSE_MS = 10;

export interface BatchingOptions {
  readonly database: ConfigDbWriter;
  /** All rows in the database, and row 0. */
  readonly rows: readonly RowImage[];
  readonly root: RootRow;
  /** True: many changes go into the database at once; false: each by itself. */
  readonly batched: boolean;
  /** fsync the journal at each change. */
  readonly durable: boolean;
  readonly log: Log;
  readonly limits?: Partial<Record<keyof typeof BatchLimits, number>>;
}

export class BatchingWriter implements RowWriter {
  readonly #database: ConfigDbWriter;
  readonly #fingerprint: RowFingerprint;
  readonly #batched: boolean;
  readonly #durable: boolean;
  readonly #log: Log;
  readonly #limits: Record<keyof typeof BatchLimits, number>;
  #journalWhenLocked = false;
  #journal: Journal;
  /** Row 0 as it is in the database, and as the next flush writes it. */
  #root: RootRow;
  #nextRoot: RootRow;
  /** Row 0 has the name that stops a C server. */
  #marked = false;
  /** The rows that wait. */
  readonly #pending = new LastRows();
  #changes = 0;
  #flushTimer: Timer | undefined;
  #openedTimer: Timer | undefined;
  #inotify: Inotify | undefined;
  #failing = false;
  /** The last flush failed: the next one is made by the timer, not by a change. */
  #flushFailed = false;
  #journalFailures = 0;
  readonly #gathered = new GatheredChanges();
  #gathers = false;

  constructor(options: BatchingOptions) {
    this.#database = options.database;
    this.#fingerprint = new RowFingerprint(options.rows);
    this.#root = options.root;
    this.#nextRoot = options.root;
    this.#batched = options.batched;
    this.#durable = options.durable;
    this.#log = options.log;
    this.#limits = { ...BatchLimits, ...options.limits };
    this.#journal = new Journal(this.#database.file, this.#durable);
    this.#database.onMoved = () => this.#moved();
    this.#database.expected = () => this.#fingerprint.value();
    if (!this.#batched) return;
    // Hashes the whole tree once: now, so that the first change does not wait for it.
    this.#fingerprint.value();
    this.#watchOpens();
  }

  /** Changes that are in the journal and not in the database. */
  get waiting(): number {
    return this.#changes;
  }

  get figures(): StoreFigures {
    const figures = this.#database.figures;
    return {
      ...figures,
      waiting: this.#changes,
      journalBytes: this.#journal.bytes,
      commitFailures: figures.commitFailures + this.#journalFailures,
    };
  }

  get isEmptying(): boolean {
    return this.#database.isEmptying;
  }

  journalWhenLocked(): void {
    this.#journalWhenLocked = true;
  }

  /** As RowWriter.commit. Without a record (a probe) the database is written at once. */
  commit(change: RowChange, record?: JournalRecord): 0 | Errno {
    if (this.#gathers && record !== undefined) return this.#gather({ change, record });
    const append = record && (() => this.#append({ change, record }));
    return this.#storeGathered() || this.#put(change, append);
  }

  gather(): void {
    // The journal is one small write for each change already.
    this.#gathers = !this.#batched;
  }

  store(): 0 | Errno {
    this.#gathers = false;
    return this.#storeGathered();
  }

  #gather(recorded: RecordedChange): 0 | Errno {
    const isFull = this.#gathered.pages + pagesOf(recorded.change) > PAGES_AT_ONCE;
    const failure = isFull ? this.#storeGathered() : 0;
    if (failure === 0) this.#gathered.add(recorded);
    return failure;
  }

  #storeGathered(): 0 | Errno {
    const change = this.#gathered.merged();
    if (change === undefined) return 0;
    const append = () => this.#gathered.each((recorded) => this.#append(recorded));
    const failure = this.#put(change, append);
    if (failure === 0) this.#gathered.clear();
    return failure;
  }

  /** Writes a change into the database, or, if that is to be so, by `append` into the journal. */
  #put(change: RowChange, append: (() => 0 | Errno) | undefined): 0 | Errno {
    // Also no journal may continue rows that another transaction may still write.
    if (this.#database.isUndecided) return this.#database.commit(change);
    const direct = append === undefined || !this.#batched;
    if (direct && this.#changes > 0 && (append === undefined || !this.#flushFailed)) {
      const failure = this.#flush();
      if (failure !== 0 && append === undefined) return failure;
    }
    if (direct && this.#changes === 0) {
      const outcome = this.#database.commit(change);
      if (outcome === 0) this.#written(change);
      // Row 0 was written with VERSION_NAME.
      if (outcome === 0) this.#marked = false;
      if (outcome !== Errno.EBUSY || !this.#journalWhenLocked) return outcome;
    }
    return append?.() ?? Errno.EBUSY;
  }

  *commitInSteps(change: RowChange, committed: () => void): Steps<0 | Errno> {
    yield* this.#database.untilWritable();
    const failure = this.flush();
    const outcome =
      failure ||
      (yield* this.#database.commitInSteps(change, () => {
        this.#fingerprint.applyLater(change);
        this.#root = change.root;
        this.#nextRoot = change.root;
        committed();
      }));
    // Unlike that of a single change, this one is not repeated soon.
    if (outcome === Errno.EBUSY) {
      this.#log.error(
        `${this.#database.file}: a sync was not written: another process has the database locked`,
      );
    }
    return outcome;
  }

  *settle(): Steps {
    yield* this.#batched ? this.#fingerprint.prepare() : this.#fingerprint.settle();
  }

  /** Writes the waiting changes into the database. EBUSY, EIO: it failed, and is tried again. */
  flush(): 0 | Errno {
    return this.#storeGathered() || this.#flush();
  }

  #flush(more = false): 0 | Errno {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    if (this.#changes === 0 && !this.#marked) return 0;
    const name = more && this.#marked ? PENDING_NAME : VERSION_NAME;
    const change = this.#pending.change(this.#nextRoot);
    const outcome = this.#database.commit({ ...change, root: { ...this.#nextRoot, name } });
    this.#flushFailed = outcome !== 0;
    if (outcome !== 0) {
      this.#arm(this.#limits.retryMs);
      return outcome;
    }
    this.#marked = name === PENDING_NAME;
    this.#written(change);
    this.#journal.reset();
    this.#pending.clear();
    this.#changes = 0;
    clearInterval(this.#openedTimer);
    this.#openedTimer = undefined;
    this.#followDatabase();
    if (this.#marked) this.#arm(this.#limits.flushMs);
    return 0;
  }

  /** A copy of the database with all changes in it. */
  *keepCopy(reason: string): Steps<KeptCopy> {
    yield* this.#database.untilWritable();
    if (this.flush() !== 0) return { problem: "the waiting changes cannot be written" };
    return yield* this.#database.keepCopy(reason);
  }

  /** Flushes. Changes that cannot be flushed stay in the journal for the next start. */
  [Symbol.dispose](): void {
    this.#database.waitUntilWritable();
    const until = performance.now() + this.#limits.stopMs;
    let outcome = this.flush();
    while (outcome === Errno.EBUSY && performance.now() < until) {
      Bun.sleepSync(STOP_PAUSE_MS);
      outcome = this.flush();
    }
    if (outcome !== 0) {
      this.#notWritten(this.#gathered.length, "the other nodes of the cluster have them");
      this.#notWritten(this.#changes, "kept in config.db.changes beside it, for the next start");
    }
    clearTimeout(this.#flushTimer);
    clearInterval(this.#openedTimer);
    this.#inotify?.[Symbol.dispose]();
    this.#journal[Symbol.dispose]();
    this.#database[Symbol.dispose]();
  }

  #notWritten(count: number, where: string): void {
    if (count === 0) return;
    const changes = counted(count, "change");
    this.#log.error(`${this.#database.file}: ${changes} not written: ${where}`);
  }

  #written(change: RowChange): void {
    this.#fingerprint.apply(change);
    this.#root = change.root;
    this.#nextRoot = change.root;
  }

  #append({ change, record }: RecordedChange): 0 | Errno {
    const { changes, rows, rowBytes, journalBytes } = this.#limits;
    try {
      if (this.#changes === 0) this.#begin();
      if (this.#journal.bytes >= journalBytes) {
        throw new Error(
          `it has its limit of ${journalBytes} bytes, and config.db cannot be written now`,
        );
      }
      this.#journal.append(record, () => ({
        version: this.#root.version,
        fingerprint: this.#fingerprint.value(),
      }));
    } catch (error) {
      return this.#failed(error);
    }
    if (this.#failing) this.#log.info("config.db.changes: changes are written again");
    this.#failing = false;
    this.#pending.add(change);
    for (const inode of change.deleted) {
      // An inode is a version: one above the database's version has no row there.
      if (inode > this.#root.version) this.#pending.forget(inode);
    }
    this.#nextRoot = change.root;
    this.#changes++;
    const isMuch = this.#pending.size >= rows || this.#pending.bytes >= rowBytes;
    const isDue = this.#changes >= changes || isMuch;
    // Each attempt blocks the event loop for 2 ms while another process has the lock.
    if (isDue && !this.#flushFailed) this.#flush(true);
    else {
      // Without the mark a C server could start without the change: it must not wait long.
      const mayWait = this.#batched && this.#marked && !isDue;
      this.#arm(mayWait ? this.#limits.flushMs : this.#limits.retryMs);
    }
    return 0;
  }

  /** The first change that waits: from now on a C server must not start on this database. */
  #begin(): void {
    this.#journal.make();
    if (!this.#marked) {
      const root = { ...this.#root, name: PENDING_NAME };
      this.#marked = this.#database.commit({ deleted: [], replaced: [], root }) === 0;
    }
    if (this.#inotify === undefined) return;
    this.#inotify.drain(() => {});
    this.#openedTimer ??= setInterval(() => this.#checkOpened(), this.#limits.openedCheckMs);
    this.#openedTimer.unref();
  }

  #failed(error: unknown): Errno {
    this.#journalFailures++;
    // No change waits: row 0 gets its name again.
    if (this.#changes === 0 && this.#marked) this.#arm(this.#limits.flushMs);
    if (!this.#failing) {
      this.#log.error(
        `config.db.changes: a change was not written (${errorText(error)}): EIO; ` +
          "the next changes are tried again",
      );
    }
    this.#failing = true;
    return Errno.EIO;
  }

  #arm(afterMs: number): void {
    this.#flushTimer ??= setTimeout(() => this.#flush(), afterMs);
    this.#flushTimer.unref();
  }

  #watchOpens(): void {
    this.#inotify = Inotify.open();
    this.#inotify?.watch(this.#database.file, Watch.OPEN);
  }

  /** A process that opens the database (cp, sqlite3, verify) must find all changes in it. */
  #checkOpened(): void {
    let opened = false;
    this.#inotify?.drain((_watch, mask) => {
      if ((mask & Watch.OPEN) !== 0) opened = true;
    });
    // The next start would not find the changes in a journal that was removed.
    const isLost = !this.#flushFailed && !this.#journal.isInPlace();
    // The checkpoint thread opens the database too.
    if (isLost || (opened && !this.#database.checkpointing)) this.#flush();
  }

  /** The database continues in another file. */
  #moved(): void {
    if (this.#flush() === 0) this.#followDatabase();
  }

  /** The journal continues beside the database's file, once its changes are in the database. */
  #followDatabase(): void {
    if (this.#journal.file === this.#database.file) return;
    this.#journal[Symbol.dispose]();
    this.#journal = new Journal(this.#database.file, this.#durable);
    this.#inotify?.watch(this.#database.file, Watch.OPEN);
  }
}
