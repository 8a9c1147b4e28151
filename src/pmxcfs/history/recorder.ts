/**
 * Keeps the history of a served tree: collects changes (collector.ts), sends them in batches to the
 * writing thread (history-worker.ts), and at the start adds what changed since the last server. A
 * write to the tree never waits for the history and never fails with it: changes that cannot be
 * written are kept up to the collector's bounds and retried, and one log line says so.
 */
import type { Log } from "../../base/log.ts";
import { LogOnce } from "../../base/log-once.ts";
import { TimeSlices } from "../../base/turns.ts";
import { pathOf, type Entry, type Memdb } from "../state/memdb.ts";
import { follow, type Author, type HistoryChange, type LastKnown } from "./change.ts";
import { HistoryCollector } from "./collector.ts";
import { HistoryThread } from "./history-thread.ts";
import type { HistoryAnswer } from "./history-worker.ts";
import type { HistoryFile } from "./writer.ts";

/** Time from a change to its write, unless more changes follow just then. */
export const BATCH_MS = 350;
/**
 * A batch must not end between changes that belong together (create, write, rename): it waits until
 * nothing has changed for QUIET_MS, MAX_WAITS times at most, half a second in all.
 */
const QUIET_MS = 30;
const MAX_WAITS = 5;
/** Bytes of contents in one message to the thread; copying them takes under a millisecond. */
const BATCH_BYTES = 256 * 1024;
/** Changes in one message, which is one transaction. */
const BATCH_CHANGES = 500;
/** Shortest and longest pause between two tries to write; it doubles each time. */
const RETRY_MS = [1_000, 60_000] as const;
/** Interval of the checks of size and age; the first one, and one that was not possible. */
const PRUNE_EVERY_MS = 60_000;
const PRUNE_SOON_MS = 6_000;
/** Pause between two slices of a check that has more to delete. */
const PRUNE_PAUSE_MS = 1;
/** Limit of the wait for unwritten changes at the stop. */
const CLOSE_MS = 3_000;
/** Longest part of a turn of the loop for the search for changes at the start, ms. */
const SLICE_MS = 1;

export interface RecorderOptions extends HistoryFile {
  readonly memdb: Memdb;
  readonly isPrivate: (path: string) => boolean;
  readonly keepPrivate: boolean;
  readonly log: Log;
}

export interface HistoryCounters {
  readonly written: number;
  readonly waiting: number;
  readonly lostChanges: number;
  readonly lostContents: number;
  readonly failures: number;
}

function reasonOf(answer: HistoryAnswer): string {
  return answer.kind === "failed" ? answer.reason : answer.kind;
}

export class HistoryRecorder implements AsyncDisposable {
  readonly #options: RecorderOptions;
  readonly #collector: HistoryCollector;
  readonly #thread = new HistoryThread();
  readonly #complaints: LogOnce;
  readonly #pruneComplaints: LogOnce;
  /** Version of the tree when collecting began: later versions come as changes. */
  readonly #startVersion: number;
  /** The batch being written, kept until it is. */
  #batch: readonly HistoryChange[] = [];
  #isOpen = false;
  /** Nothing is written meanwhile. */
  #isCatchingUp = false;
  #isClosed = false;
  /** How often the due batch has waited for a pause in the changes. */
  #quietWaits = 0;
  #timer: Timer | undefined;
  #pruneTimer: Timer | undefined;
  #retryMs: number = RETRY_MS[0];
  #written = 0;
  #failures = 0;

  constructor(options: RecorderOptions) {
    this.#options = options;
    const { memdb, isPrivate, keepPrivate, log } = options;
    this.#startVersion = memdb.root.version;
    const pending = (): void => this.#arm(BATCH_MS);
    this.#collector = new HistoryCollector({ memdb, isPrivate, keepPrivate, pending });
    this.#complaints = new LogOnce((line) => log.error(line));
    this.#pruneComplaints = new LogOnce((line) => log.error(line));
    void this.#open();
  }

  get counters(): HistoryCounters {
    const { waiting, lostChanges, lostContents } = this.#collector;
    return {
      written: this.#written,
      waiting: waiting + this.#batch.length,
      lostChanges,
      lostContents,
      failures: this.#failures,
    };
  }

  /** Attributes changes to `author`: see HistoryCollector.by. */
  by<T>(author: Author | undefined, paths: readonly string[], change: () => T): T {
    return this.#collector.by(author, paths, change);
  }

  /** Writes what waits, for up to three seconds, whatever the disk does, and ends the thread. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#pruneTimer);
    this.#collector.close();
    let timer: Timer | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS);
    });
    await Promise.race([this.#finish(performance.now() + CLOSE_MS), late]);
    clearTimeout(timer);
    this.#thread.terminate();
  }

  /** Writes what waits and closes the file; does not return while the disk hangs. */
  async #finish(deadline: number): Promise<void> {
    while (this.#thread.isBusy || (this.#isOpen && this.#waits())) {
      if (performance.now() > deadline) return;
      if (this.#thread.isBusy) await Bun.sleep(1);
      else if (!(await this.#writeBatch())) break;
    }
    await this.#thread.ask({ kind: "close" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #waits(): boolean {
    return this.#collector.waiting + this.#batch.length > 0;
  }

  #arm(afterMs: number): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#due();
    }, afterMs);
    this.#timer.unref();
  }

  async #due(): Promise<void> {
    if (this.#thread.isBusy || this.#isCatchingUp) return;
    if (!this.#isOpen) {
      await this.#open();
      return;
    }
    const { newestMs } = this.#collector;
    const isMidway = newestMs !== undefined && Math.abs(Date.now() - newestMs) < QUIET_MS;
    if (isMidway && this.#quietWaits < MAX_WAITS) {
      this.#quietWaits++;
      this.#arm(QUIET_MS);
      return;
    }
    this.#quietWaits = 0;
    while (this.#waits() && !this.#isClosed) {
      if (!(await this.#writeBatch())) return;
    }
  }

  async #open(): Promise<void> {
    const { file, node, limits } = this.#options;
    const answer = await this.#thread.ask({ kind: "open", options: { file, node, limits } });
    if (answer.kind !== "opened") {
      this.#failed(answer);
      return;
    }
    this.#isOpen = true;
    if (answer.notice !== undefined) this.#options.log.warn(answer.notice);
    this.#isCatchingUp = true;
    await this.#catchUp(answer.known);
    this.#isCatchingUp = false;
    this.#prune(PRUNE_SOON_MS);
    this.#arm(0);
  }

  /** Adds what the tree has and the history does not, in slices. `known`: what is written. */
  async #catchUp(known: LastKnown): Promise<void> {
    const { memdb } = this.#options;
    // Found before, or changed since: after a failure they wait and are not written yet.
    for (const change of this.#unwritten()) follow(known, change);
    const slices = new TimeSlices(SLICE_MS);
    /** True when changes may have come meanwhile. */
    const pause = async (): Promise<boolean> => {
      if (!slices.isOver) return false;
      await slices.next();
      return true;
    };
    const entries: Entry[] = [];
    for (const entry of memdb.entries()) {
      entries.push(entry);
      await pause();
    }
    for (const entry of entries) {
      const path = pathOf(entry);
      const before = known.get(path);
      known.delete(path);
      // Later versions have been collected as changes.
      const isOld = entry.version <= this.#startVersion && memdb.find(path) === entry;
      const isSame = before?.[0] === entry.version && before[1] === entry.kind;
      if (isOld && !isSame) this.#collector.found(path, entry);
      await pause();
    }
    let removed = this.#removedPaths();
    for (const [path, [, type]] of known) {
      const isKnown = removed.has(path) || memdb.find(path) !== undefined;
      if (!isKnown) this.#collector.gone(path, type);
      if (await pause()) removed = this.#removedPaths();
    }
  }

  *#unwritten(): Generator<HistoryChange> {
    yield* this.#batch;
    yield* this.#collector.pending();
  }

  /** Paths that unwritten changes leave without an entry. */
  #removedPaths(): Set<string> {
    const paths = new Set<string>();
    for (const { kind, path } of this.#unwritten()) {
      if (kind === "remove" || kind === "rename") paths.add(path);
    }
    return paths;
  }

  /** False when it could not be written; then the next try is scheduled. */
  async #writeBatch(): Promise<boolean> {
    if (this.#batch.length === 0) this.#batch = this.#collector.take(BATCH_BYTES, BATCH_CHANGES);
    if (this.#batch.length === 0) return true;
    const answer = await this.#thread.ask({ kind: "write", changes: this.#batch });
    if (answer.kind !== "written") {
      this.#failed(answer);
      return false;
    }
    this.#written += this.#batch.length;
    this.#batch = [];
    this.#retryMs = RETRY_MS[0];
    this.#complaints.clear();
    return true;
  }

  #notPruned(answer: HistoryAnswer): void {
    this.#failures++;
    this.#pruneComplaints.say(
      `${this.#options.file}: old changes cannot be deleted from the history ` +
        `(${reasonOf(answer)}); it may grow beyond its limit, the next try is in a minute`,
    );
  }

  #failed(answer: HistoryAnswer): void {
    this.#failures++;
    this.#isOpen = false;
    this.#complaints.say(
      `${this.#options.file}: the history cannot be written (${reasonOf(answer)}); ` +
        "the tree is not affected, changes are kept in memory and tried again",
    );
    this.#arm(this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS[1]);
  }

  #prune(afterMs: number): void {
    if (this.#isClosed) return;
    // The history may have been opened again.
    clearTimeout(this.#pruneTimer);
    this.#pruneTimer = setTimeout(() => {
      void this.#pruneSlice();
    }, afterMs);
    this.#pruneTimer.unref();
  }

  async #pruneSlice(): Promise<void> {
    if (!this.#isOpen || this.#thread.isBusy) {
      this.#prune(PRUNE_SOON_MS);
      return;
    }
    const answer = await this.#thread.ask({ kind: "prune" });
    if (answer.kind === "pruned") this.#pruneComplaints.clear();
    else this.#notPruned(answer);
    const more = answer.kind === "pruned" && answer.more;
    this.#prune(more ? PRUNE_PAUSE_MS : PRUNE_EVERY_MS);
    if (this.#waits()) this.#arm(0);
  }
}
