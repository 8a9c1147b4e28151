/**
 * pmxcfs's config.db, written as pmxcfs writes it: schema, settings of the connection, one
 * transaction for each change of the tree, row 0 in every one. Unlike in C, checkpoints are made by
 * a thread (checkpointer.ts), and a file that is replaced or overwritten while it is served is
 * noticed. Owns the connection. C counterpart: database.c.
 *
 * Nothing in this process may open and close config.db or its -shm besides SQLite: that would drop
 * all of the process's POSIX locks on it (fcntl(2)).
 */
import { compactTime } from "../../base/compact-time.ts";
import { Errno } from "../../base/errno.ts";
import { everySecond } from "../../base/heartbeat.ts";
import { LogOnce } from "../../base/log-once.ts";
import type { Log } from "../../base/log.ts";
import {
  Checkpointer,
  type CheckpointerOptions,
  newCheckpointCounters,
  walBytes,
} from "./checkpointer.ts";
import type { CheckpointMode } from "./checkpoint-worker.ts";
import {
  BUSY_TIMEOUT_MS,
  connect,
  type Connection,
  connectNew,
  disconnect,
  leave,
  reconnect,
  type SyncMode,
} from "./config-db-connection.ts";
import { writeConfigDbRows } from "./config-writer.ts";
import { errorText } from "../../base/error-text.ts";
import { WAITS, type Steps } from "../../base/steps.ts";
import { type AbandonedTransaction, longTransaction, UNDECIDED } from "./long-transaction.ts";
import { ThreadCopies } from "./thread-copy.ts";
import type { DatabasePlace } from "./thread-database.ts";
import { isBusy } from "./row-statements.ts";
import { type Loss, ServedFile } from "./served-file.ts";
import { addServedNames, keepByName, removeServedNames } from "./served-names.ts";
import { emptyLog, lostSides, setForeignAside } from "./side-files.ts";
import { PAGES_AT_ONCE, pagesOf } from "./page-count.ts";
import { imageOfRoot, type RowChange, type StoreFigures } from "./row-writer.ts";
import { readRows } from "./sqlite-rows.ts";
import type { Row } from "./tree-rows.ts";
import { checkpointTruncated, compact, isWorthCompacting, type KeptCopy } from "./upkeep.ts";

/** Limit of the wait for another process's write lock at a start, as in C. */
const START_WAIT_MS = 10_000;

export interface ConfigDbWriterOptions {
  readonly file: string;
  readonly log: Log;
  /** `full`: fsync at each commit. */
  readonly sync?: SyncMode;
  /** Other bounds than CheckpointLimits. */
  readonly checkpoints?: CheckpointerOptions["limits"];
}

export class ConfigDbWriter implements Disposable {
  readonly #log: Log;
  readonly #sync: SyncMode;
  readonly #limits: CheckpointerOptions["limits"];
  /** Called after the file was replaced, and `file` is another one. */
  onMoved: () => void = () => {};
  /** The fingerprint of the rows in the file, once it is known; the rows that are served. */
  expected: (() => Uint8Array) | undefined;
  served: () => Iterable<Row> = () => [];
  #file: string;
  #connection: Connection;
  #servedFile: ServedFile;
  readonly #checkpoints = newCheckpointCounters();
  /** Commits that could not be written; a busy database does not count. */
  #commitFailures = 0;
  #checkpointer: Checkpointer;
  readonly #copies = new ThreadCopies();
  readonly #identityChecks: Disposable;
  /** A thread writes a long transaction. */
  #inSteps = false;
  /** The caller has not noted a commit yet, so `expected` is that of the state before it. */
  #isAhead = false;
  /** It could not be opened again, after a -wal or -shm was lost. */
  #isClosed = false;
  #abandoned: AbandonedTransaction | undefined;
  /** The last commit failed, and that was logged. */
  #failing = false;
  readonly #sideComplaints: LogOnce;
  /** The file was replaced, its content could not be kept, and that was logged. */
  #notKept = false;

  private constructor(options: ConfigDbWriterOptions, connection: Connection) {
    this.#file = options.file;
    this.#log = options.log;
    this.#sideComplaints = new LogOnce((line) => options.log.error(line));
    this.#sync = options.sync ?? "normal";
    this.#limits = options.checkpoints;
    this.#connection = connection;
    this.#servedFile = new ServedFile(this.#file, connection, this.#log);
    this.#checkpointer = this.#newCheckpointer();
    addServedNames(this.#file);
    this.#identityChecks = everySecond(() => {
      this.#checkIdentity();
      this.#checkSides();
    });
  }

  /** Opens the database, or makes it (mode 0600); one line that says why not. */
  static open(options: ConfigDbWriterOptions): ConfigDbWriter | string {
    try {
      return new ConfigDbWriter(options, connect(options.file, options.sync ?? "normal"));
    } catch (error) {
      return errorText(error);
    }
  }

  /** The path that is written: the one it was opened with, unless that was replaced. */
  get file(): string {
    return this.#file;
  }

  /** True while the thread that checkpoints has the database open. */
  get checkpointing(): boolean {
    return this.#checkpointer.running;
  }

  /** Since the start, with the WAL as it is now. */
  get figures(): Omit<StoreFigures, "waiting" | "journalBytes"> {
    const { done, failed, doneAt } = this.#checkpoints;
    return {
      walBytes: walBytes(this.#file),
      checkpoints: done,
      checkpointFailures: failed,
      checkpointedAt: doneAt,
      commitFailures: this.#commitFailures,
    };
  }

  /** All rows, in the order of inodes. Throws what SQLite throws. */
  read(): Row[] {
    return readRows(this.#connection.database);
  }

  /** A sync was ended while the disk did not answer: file and memory may differ until a restart. */
  get isUndecided(): boolean {
    return this.#abandoned?.mayBeWritten() === true;
  }

  /**
   * EBUSY: another process is writing, or a long WAL is emptied, try again; EIO: it could not be
   * written, logged once until a commit succeeds again. After an error nothing was written.
   */
  commit(change: RowChange): 0 | Errno {
    if (this.isUndecided) return this.#refused(UNDECIDED);
    if (this.isEmptying) return Errno.EBUSY;
    const { begin, commit, rows } = this.#connection;
    try {
      begin.run();
      for (const inode of change.deleted) rows.remove(inode);
      for (const row of change.replaced) rows.replace(row);
      rows.replace(imageOfRoot(change.root));
      commit.run();
    } catch (error) {
      return this.#failed(error);
    }
    this.#succeeded(pagesOf(change));
    return 0;
  }

  /** As `commit`, but it waits for another process's lock, and syncs in any SyncMode. */
  commitAtStart(change: RowChange): 0 | Errno {
    const set = (wait: number, sync: SyncMode): void => {
      this.#connection.database.run(`PRAGMA busy_timeout = ${wait}`);
      this.#connection.database.run(`PRAGMA synchronous = ${sync.toUpperCase()}`);
    };
    set(START_WAIT_MS, "full");
    const outcome = this.commit(change);
    set(BUSY_TIMEOUT_MS, this.#sync);
    return outcome;
  }

  /** As RowWriter.isEmptying. */
  get isEmptying(): boolean {
    return this.#checkpointer.writersWait;
  }

  /** Waits while a long WAL is emptied. */
  *untilWritable(): Steps {
    while (this.isEmptying) yield WAITS;
  }

  /** Blocks while the WAL is emptied, for a caller that is about to stop. */
  waitUntilWritable(): void {
    if (this.isEmptying) this.#checkpointer.wait();
  }

  /** As RowWriter.commitInSteps: a thread writes a long transaction (long-transaction.ts). */
  *commitInSteps(change: RowChange, committed: () => void): Steps<0 | Errno> {
    yield* this.untilWritable();
    if (this.isUndecided) return this.#refused(UNDECIDED);
    const pages = pagesOf(change);
    if (pages <= PAGES_AT_ONCE) {
      const outcome = this.commit(change);
      if (outcome === 0) committed();
      return outcome;
    }
    // Before a thread opens another -wal, as in keepCopy.
    this.#checkSides();
    const place = { ...this.#place, sync: this.#sync };
    const rows = { ...change, replaced: [imageOfRoot(change.root), ...change.replaced] };
    this.#inSteps = true;
    try {
      const done = (): void => {
        this.#servedFile.written("commit");
        this.#succeeded(pages);
        committed();
      };
      const end = yield* longTransaction(place, rows, done, (abandoned) => {
        this.#abandoned = abandoned;
      });
      if (end.outcome === "committed") return 0;
      return end.outcome === "busy" ? Errno.EBUSY : this.#refused(end.text);
    } finally {
      this.#inSteps = false;
    }
  }

  #succeeded(pages: number): void {
    this.#isAhead = true;
    this.#checkpointer.changed(pages);
    this.#isAhead = false;
    if (this.#failing) this.#log.info(`${this.#file}: changes are written again`);
    this.#failing = false;
  }

  /** Frees unused pages when more than half of more than 8 MiB is unused. Logs that, or why not. */
  compactIfWorth(): void {
    const { database } = this.#connection;
    try {
      if (!isWorthCompacting(database)) return;
      const { before, after } = compact(database);
      this.#servedFile.written("commit");
      this.#log.info(`${this.#file}: compacted from ${before} to ${after} bytes`);
    } catch (error) {
      this.#log.warn(`${this.#file}: not compacted: ${errorText(error)}`);
    }
  }

  /** Keeps a copy in `backup/` beside the database (upkeep.ts); a thread makes it. */
  keepCopy(reason: string): Steps<KeptCopy> {
    this.#checkSides();
    return this.#copies.copy(this.#place, reason);
  }

  /** Moves everything into config.db and removes the WAL, as SQLite's last connection does. */
  [Symbol.dispose](): void {
    this.#checkIdentity();
    this.#identityChecks[Symbol.dispose]();
    this.#checkpointer[Symbol.dispose]();
    this.#copies[Symbol.dispose]();
    // The -wal may be all that is left of a file that was overwritten.
    if (this.#notKept) return leave(this.#connection, `.set-aside-${compactTime()}`);
    disconnect(this.#connection);
    return removeServedNames(this.#file);
  }

  /** The open file, for threads that open it again. */
  get #place(): DatabasePlace {
    const { device, inode } = this.#connection;
    return { file: this.#file, device, inode };
  }

  #newCheckpointer(): Checkpointer {
    const limits = this.#limits === undefined ? {} : { limits: this.#limits };
    const counters = this.#checkpoints;
    const mayWrite = (): boolean => {
      this.#checkIdentity();
      return !this.#notKept;
    };
    const ended = (mode: CheckpointMode): void => {
      this.#servedFile.written(this.#inSteps ? "commit" : mode);
    };
    const log = this.#log;
    return new Checkpointer({ ...this.#place, log, counters, mayWrite, ended, ...limits });
  }

  #failed(error: unknown): Errno {
    const { database, rollback } = this.#connection;
    try {
      if (database.inTransaction) rollback.run();
    } catch (failure) {
      this.#log.error(`${this.#file}: rollback failed: ${errorText(failure)}`);
    }
    return isBusy(error) ? Errno.EBUSY : this.#refused(errorText(error));
  }

  #refused(why: string): Errno {
    this.#commitFailures++;
    if (!this.#failing) {
      this.#log.error(
        `${this.#file}: a change was not written (${why}): EIO; the next changes are tried again`,
      );
    }
    this.#failing = true;
    return Errno.EIO;
  }

  /**
   * When the path leads to another file, to none, or to other content, an administrator replaced,
   * removed or overwrote it. The served database then continues in a file of its own,
   * `config.db.replaced-TIME`, so that nothing is written into the new one, and our -wal and -shm
   * beside the new file are removed.
   */
  #checkIdentity(): void {
    // A thread is writing: the next check follows in a second.
    if (this.#inSteps) return;
    const isSettled = !this.#isAhead && !this.#checkpointer.running;
    const happened = this.#servedFile.loss(isSettled ? this.expected : undefined);
    if (happened === undefined) {
      this.#notKept = false;
      return;
    }
    const kept = `${this.#file}.replaced-${compactTime()}`;
    try {
      this.#moveTo(kept, happened);
      this.#log.error(
        `${this.#file} ${happened} while it is served. What is served, and every change from now ` +
          `on, goes to ${kept}; the new file is read at the next start`,
      );
      this.#notKept = false;
    } catch (error) {
      if (!this.#notKept) {
        this.#log.error(
          `${this.#file} ${happened} while it is served, and the state that is served could not ` +
            `be kept as ${kept} (${errorText(error)}); trying again each second`,
        );
        keepByName(this.#file, this.#log);
      }
      this.#notKept = true;
    }
  }

  /**
   * When the -wal or -shm was removed or replaced, no other connection finds the changes in it,
   * also none of our threads. Everything is moved into the database, which is then opened again.
   */
  #checkSides(): void {
    if (this.#inSteps || this.#checkpointer.running) return;
    const what = `the -wal or -shm of ${this.#file} was removed or replaced while it is served`;
    try {
      if (!this.#isClosed) {
        const lost = lostSides(this.#connection.sides);
        if (lost.length === 0 || this.#servedFile.loss(this.expected) !== undefined) return;
        // False while another process reads the log: the next check follows in a second.
        const isEmptied = checkpointTruncated(this.#connection.database);
        this.#servedFile.written("truncate");
        if (!isEmptied) return;
        for (const path of lost) setForeignAside(path, `.set-aside-${compactTime()}`);
        disconnect(this.#connection);
        this.#isClosed = true;
      }
      this.#connection = reconnect(this.#file, this.#sync);
      addServedNames(this.#file);
      this.#servedFile = new ServedFile(this.#file, this.#connection, this.#log);
      this.#isClosed = false;
      this.#log.error(`${what}. All changes are in the database itself now`);
      this.#sideComplaints.clear();
    } catch (error) {
      this.#sideComplaints.say(
        `${what}, and no new one can be made (${errorText(error)}): trying again each second`,
      );
    }
  }

  /** Throws what SQLite or the file system throws; then there is no `kept`. */
  #moveTo(kept: string, happened: Loss): void {
    const old = this.#connection;
    const connection = connectNew(kept, this.#sync, () => this.#copyInto(kept, happened));
    this.#checkpointer[Symbol.dispose]();
    if (happened === "was overwritten") emptyLog(old.sides);
    leave(old);
    removeServedNames(this.#file);
    this.#connection = connection;
    this.#file = kept;
    this.#servedFile = new ServedFile(kept, connection, this.#log);
    this.#checkpointer = this.#newCheckpointer();
    this.onMoved();
  }

  #copyInto(kept: string, happened: Loss): void {
    if (happened !== "was overwritten") {
      this.#connection.database.run("VACUUM INTO ?1", [kept]);
      return;
    }
    const problem = writeConfigDbRows(kept, this.served());
    if (problem !== undefined) throw new Error(problem);
  }
}
