/**
 * Decides when the WAL is moved into config.db: 2 s after the last change, so that a copy of
 * config.db alone is complete soon after it; at a thousand pages; and once a minute under steady
 * changes. A thread does the work (checkpoint-worker.ts).
 *
 * SQLite begins the WAL anew only after a checkpoint that moved all of it. While changes go on, a
 * checkpoint beside them never does, and the WAL would grow without bound. From 16 MiB on changes
 * therefore wait during a checkpoint that truncates it (`writersWait`). They also wait when they
 * have added 16 MiB since a checkpoint began, as on a disk whose fsync takes seconds: in C the
 * change itself checkpoints, so that none is faster than the disk. The log names a reader that
 * keeps the WAL from being emptied although changes wait.
 */
import { statSync } from "node:fs";
import { commandOf } from "../../platform/processes.ts";
import { threadFile } from "../../platform/self.ts";
import type { Log } from "../../base/log.ts";
import type { CheckpointJob, CheckpointMode, CheckpointResult } from "./checkpoint-worker.ts";
import type { DatabasePlace } from "./thread-database.ts";
import { lockHolders } from "./lock-holders.ts";
import { behindLinks } from "./sqlite/input-file.ts";

const WORKER = threadFile(
  new URL("./checkpoint-worker.ts", import.meta.url),
  "src/pmxcfs/store/checkpoint-worker.ts",
);

const MIB = 1024 * 1024;
/** A page in the WAL, with its frame header. */
const FRAME_BYTES = 4096 + 24;

export const CheckpointLimits = {
  /** After the last change. */
  idleMs: 2_000,
  /** Pages in the WAL, as C has it (SQLite's default for wal_autocheckpoint). */
  pages: 1_000,
  /** After the first change that is not in config.db. */
  maxAgeMs: 60_000,
  /** Pause after a checkpoint that failed or left pages in the WAL. */
  retryMs: 1_000,
  /**
   * Changes wait during the checkpoint of a longer WAL, and when they have added so much during any
   * checkpoint. A longer WAL that is not emptied is logged.
   */
  longWalBytes: 16 * MIB,
  /** A longer WAL is truncated once all its pages are in config.db. */
  keptWalBytes: 4 * MIB,
  /** Limit of the wait for a running checkpoint at the stop. */
  stopMs: 3_000,
  /**
   * The thread ends after this pause. To start one costs 25 ms of CPU, and under steady changes
   * there are several checkpoints a second.
   */
  threadMs: 10_000,
} as const;

export interface CheckpointerOptions extends DatabasePlace {
  readonly log: Log;
  readonly limits?: Partial<Record<keyof typeof CheckpointLimits, number>>;
  /** Counters to continue; new ones unless given. */
  readonly counters?: CheckpointCounters;
  /** Asked before each checkpoint: whether the file may be written now. It may dispose this. */
  readonly mayWrite: () => boolean;
  /** Called after each one, whether it succeeded or not. */
  readonly ended: (mode: CheckpointMode) => void;
}

/** Checkpoints since the start. */
export interface CheckpointCounters {
  /** Those that moved everything into config.db. */
  done: number;
  failed: number;
  /** End of the last one that moved everything, ms since 1970; 0: none yet. */
  doneAt: number;
}

/** Counters of a server that has just started. */
export function newCheckpointCounters(): CheckpointCounters {
  return { done: 0, failed: 0, doneAt: 0 };
}

export class Checkpointer implements Disposable {
  readonly #options: CheckpointerOptions;
  readonly #file: string;
  readonly #log: Log;
  readonly #limits: Record<keyof typeof CheckpointLimits, number>;
  readonly #counters: CheckpointCounters;
  readonly #running = new Int32Array(new SharedArrayBuffer(4));
  #mode: CheckpointMode = "passive";
  #worker: Worker | undefined;
  #endTimer: Timer | undefined;
  #timer: Timer | undefined;
  /** Resolves the result of the running job. */
  #finished: ((result: CheckpointResult) => void) | undefined;
  /** Pages and changes that are not in config.db yet, by our own count. */
  #pages = 0;
  #changes = 0;
  /** Pages that were written since the running checkpoint began. */
  #grown = 0;
  #firstChangeMs = 0;
  #lastChangeMs = 0;
  /** No checkpoint is due before this: the last one left pages although nothing was written. */
  #notBeforeMs = 0;
  #failure = "";
  #isLongWalLogged = false;
  #stopped = false;

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    this.#file = options.file;
    this.#log = options.log;
    this.#limits = { ...CheckpointLimits, ...options.limits };
    this.#counters = options.counters ?? newCheckpointCounters();
  }

  /** A change of about `pages` pages was committed. */
  changed(pages: number): void {
    if (this.#stopped) return;
    const now = performance.now();
    if (this.#changes === 0) this.#firstChangeMs = now;
    this.#changes++;
    this.#pages += pages;
    this.#grown += pages;
    this.#lastChangeMs = now;
    if (this.#pages >= this.#limits.pages && now >= this.#notBeforeMs) this.#start("passive");
    else this.#arm(this.#limits.idleMs);
  }

  /** True while a checkpoint runs. */
  get running(): boolean {
    return this.#busy;
  }

  /**
   * True while the thread has, or is about to take, the lock that a change needs, and while changes
   * are too far ahead of it.
   */
  get writersWait(): boolean {
    const isTruncating = this.#mode !== "passive" && Atomics.load(this.#running, 0) === 1;
    return isTruncating || (this.#busy && this.#grown * FRAME_BYTES > this.#limits.longWalBytes);
  }

  /** Blocks until a running checkpoint has ended, at most for `stopMs`. */
  wait(): void {
    if (this.#busy) Atomics.wait(this.#running, 0, 1, this.#limits.stopMs);
    // The thread's answer arrives only when the caller no longer blocks.
    this.#grown = 0;
  }

  /** Waits for a running checkpoint, so that the caller's is the last connection to be closed. */
  [Symbol.dispose](): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.wait();
    this.#end("stopped");
  }

  get #busy(): boolean {
    return Atomics.load(this.#running, 0) === 1 || this.#finished !== undefined;
  }

  #arm(afterMs: number): void {
    if (this.#timer !== undefined || this.#busy) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#due();
    }, afterMs);
    this.#timer.unref();
  }

  #due(): void {
    const now = performance.now();
    const idleMs = now - this.#lastChangeMs;
    const isOld = now - this.#firstChangeMs >= this.#limits.maxAgeMs;
    if (isOld || idleMs >= this.#limits.idleMs) this.#start("passive");
    else this.#arm(this.#limits.idleMs - idleMs);
  }

  #start(mode: CheckpointMode): void {
    if (this.#busy || this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const mayWrite = this.#options.mayWrite();
    if (this.#stopped) return;
    if (!mayWrite) {
      this.#notBeforeMs = performance.now() + this.#limits.retryMs;
      this.#arm(this.#limits.retryMs);
      return;
    }
    clearTimeout(this.#endTimer);
    const before = { changes: this.#changes, pages: this.#pages, atMs: performance.now() };
    this.#mode = mode;
    void this.#run(mode).then((result) => this.#took(result, before));
  }

  async #run(mode: CheckpointMode): Promise<CheckpointResult> {
    const worker = (this.#worker ??= this.#startThread());
    worker.ref();
    Atomics.store(this.#running, 0, 1);
    this.#grown = 0;
    const { file, device, inode } = this.#options;
    const job: CheckpointJob = { file, device, inode, mode, running: this.#running };
    return await new Promise((resolve) => {
      this.#finished = resolve;
      worker.postMessage(job);
    });
  }

  #startThread(): Worker {
    const worker = new Worker(WORKER);
    worker.addEventListener("message", ({ data }) => this.#finish(data as CheckpointResult));
    worker.addEventListener("error", ({ message }) => {
      // It takes no further job: the next one gets another thread.
      if (worker === this.#worker) this.#end(message);
    });
    return worker;
  }

  /** Ends the running job, if there is one. */
  #finish(result: CheckpointResult): void {
    const finished = this.#finished;
    this.#finished = undefined;
    this.#worker?.unref();
    Atomics.store(this.#running, 0, 0);
    finished?.(result);
  }

  #took(result: CheckpointResult, before: { changes: number; pages: number; atMs: number }): void {
    if (this.#stopped) return;
    this.#options.ended(this.#mode);
    if (result.error !== undefined) {
      this.#failed(result.error);
      this.#arm(this.#limits.retryMs);
      return;
    }
    if (this.#failure !== "") this.#log.info(`${this.#file}: checkpoints work again`);
    this.#failure = "";
    // -1 pages: another process checkpoints at this moment, and nothing was done.
    const isDone = result.pages >= 0 && result.moved >= result.pages;
    if (isDone) this.#done(before);
    const isLong = result.pages * FRAME_BYTES > this.#limits.longWalBytes;
    const isUnderChanges = !isDone || this.#changes > 0;
    const isTooLong = isUnderChanges ? isLong : walBytes(this.#file) > this.#limits.keptWalBytes;
    if (isTooLong && this.#mode === "passive") {
      this.#start("truncate");
    } else if (isTooLong) {
      this.#notBeforeMs = performance.now() + this.#limits.retryMs;
      if (isLong && !isDone) this.#nameReaders(result.pages);
      this.#arm(this.#limits.retryMs);
    } else if (isUnderChanges) {
      this.#arm(isDone ? this.#limits.idleMs : this.#limits.retryMs);
    } else {
      this.#endLater();
    }
  }

  #done(before: { changes: number; pages: number; atMs: number }): void {
    this.#isLongWalLogged = false;
    this.#counters.done++;
    this.#counters.doneAt = Date.now();
    this.#changes = Math.max(0, this.#changes - before.changes);
    this.#pages = Math.max(0, this.#pages - before.pages);
    this.#firstChangeMs = before.atMs;
  }

  #failed(error: string): void {
    this.#counters.failed++;
    if (error === this.#failure) return;
    this.#failure = error;
    this.#log.warn(`${this.#file}: checkpoint failed (${error}): the WAL is kept for the next try`);
  }

  /** Pages were left in the WAL although nothing was written: a reader uses an older state. */
  #nameReaders(pages: number): void {
    if (this.#isLongWalLogged) return;
    this.#isLongWalLogged = true;
    const holders = lockHolders(this.#file).map((pid) => `${pid} (${commandOf(pid)})`);
    const by = holders.length === 0 ? "a reader that cannot be named" : `pid ${holders.join(", ")}`;
    const mib = ((pages * FRAME_BYTES) / MIB).toFixed(1);
    this.#log.warn(
      `${this.#file}-wal has ${mib} MiB: ${by} keeps a transaction open, so ` +
        "it cannot be emptied; end that transaction",
    );
  }

  #endLater(): void {
    this.#endTimer = setTimeout(() => this.#end("idle"), this.#limits.threadMs);
    this.#endTimer.unref();
  }

  /** Ends the thread; a job that is running fails with `error`. */
  #end(error: string): void {
    clearTimeout(this.#endTimer);
    this.#finish({ error });
    this.#worker?.terminate();
    this.#worker = undefined;
  }
}

/** Size of the WAL beside `file`; 0 without one, or when that cannot be found out. */
export function walBytes(file: string): number {
  try {
    return statSync(`${behindLinks(file)}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  } catch {
    return 0;
  }
}
