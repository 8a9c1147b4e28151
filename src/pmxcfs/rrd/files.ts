/**
 * Writes reported statistics to RRD files: `update` only appends to a bounded queue, which a
 * separate task empties in batches. Values go to rrdcached; while none runs, to rrdtool (a child
 * process). When neither works (rrdcached hangs, rrdtool is not installed), one line is logged, the
 * newest values are kept, and both are tried again. C counterpart: status.c, update_rrd_data, which
 * writes in the thread that answers requests, holding the lock.
 */
import { RRDCACHED } from "../../base/paths.ts";
import { jsonText } from "../../base/escape.ts";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Log } from "../../base/log.ts";
import { dayStartSeconds, rrdUpdate, type RrdUpdate } from "./formats.ts";
import { Rrdcached, withoutFile } from "./rrdcached.ts";
import { Rrdtool } from "./rrdtool.ts";
import { type RrdValues, type RrdWriter, Unavailable } from "./writer.ts";

export interface RrdFilesOptions {
  readonly log: Log;
  readonly socketPath?: string;
  /** The directory of the files, absolute. Only its subdirectories are made, not itself. */
  readonly baseDirectory?: string;
  /** Delay before values are sent, so that a batch has more of them. */
  readonly gatherMs?: number;
  /** Timeout for a batch. */
  readonly timeoutMs?: number;
  /** Path of rrdtool, for tests. */
  readonly rrdtool?: string;
  /** The first and the longest pause before the next attempt. */
  readonly retryMs?: number;
  readonly maxRetryMs?: number;
  /** Most values in the queue; beyond that the oldest are dropped. */
  readonly maxPending?: number;
  readonly now?: () => number;
}

/** Counts of values by outcome, for metrics. */
export interface RrdFilesCounters {
  /** Accepted by rrdcached or rrdtool. */
  readonly written: number;
  /** Refused by the writer, or invalid and not sent. */
  readonly rejected: number;
  /** Dropped because too many were waiting. */
  readonly dropped: number;
  readonly pending: number;
}

/** As in C: only root and rrdcached's group may read the files. */
const DIRECTORY_MODE = 0o750;

const DEFAULTS = {
  socketPath: RRDCACHED.socket,
  baseDirectory: RRDCACHED.directory,
  gatherMs: 100,
  retryMs: 1000,
  maxRetryMs: 30_000,
  maxPending: 16_384,
};

/** Most values per batch: preparing them takes well under 1 ms. */
const BATCH_VALUES = 100;

/** A full queue drops an eighth of its values at a time, so that this happens rarely. */
const DROPPED_PART = 8;

/** Shortest interval between two log lines about bad values; the second counts those between. */
const COMPLAINT_INTERVAL_MS = 60_000;

interface Reported {
  readonly key: string;
  readonly value: string;
}

/** A value with its file. */
interface Prepared extends RrdValues {
  readonly reported: Reported;
  readonly update: RrdUpdate;
}

/** The writer in use. */
type Mode = "rrdcached" | "rrdtool" | "neither";

/** Owns the queue, both writers and the timer; none of them keeps the process alive. */
export class RrdFiles {
  readonly #log: Log;
  readonly #daemon: Rrdcached;
  readonly #tool: Rrdtool;
  readonly #options: typeof DEFAULTS;
  readonly #now: () => number;
  #queue: Reported[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #working = false;
  #closed = false;
  #mode: Mode = "rrdcached";
  #retryMs: number;
  #written = 0;
  #rejected = 0;
  #dropped = 0;
  #lastComplaintMs = -Infinity;
  #heldBack = 0;

  constructor(options: RrdFilesOptions) {
    const { log, now, timeoutMs, rrdtool, ...rest } = options;
    this.#options = { ...DEFAULTS, ...rest };
    this.#log = log;
    this.#now = now ?? Date.now;
    const { socketPath } = this.#options;
    const deadline = timeoutMs === undefined ? {} : { timeoutMs };
    this.#daemon = new Rrdcached({ socketPath, ...deadline });
    this.#tool = new Rrdtool({
      ...deadline,
      ...(rrdtool === undefined ? {} : { program: rrdtool }),
    });
    this.#retryMs = this.#options.retryMs;
  }

  get counters(): RrdFilesCounters {
    return {
      written: this.#written,
      rejected: this.#rejected,
      dropped: this.#dropped,
      pending: this.#queue.length,
    };
  }

  /** Queues a value (latin1) that was reported under `rrd/KEY`. */
  update(key: string, value: string): void {
    if (this.#closed) return;
    if (this.#queue.length >= this.#options.maxPending) {
      const part = Math.ceil(this.#options.maxPending / DROPPED_PART);
      this.#dropped += this.#queue.splice(0, part).length;
    }
    this.#queue.push({ key, value });
    if (!this.#working) this.#schedule(this.#options.gatherMs);
  }

  /** Stops; queued values are lost. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#daemon.close();
    this.#tool.close();
    this.#queue = [];
  }

  #schedule(delayMs: number): void {
    if (this.#timer !== undefined || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#work();
    }, delayMs);
    this.#timer.unref();
  }

  /** Writes batches until the queue is empty or no writer works. Never rejects. */
  async #work(): Promise<void> {
    this.#working = true;
    let failure: string | undefined;
    while (this.#queue.length > 0 && failure === undefined && !this.#closed) {
      const prepared = this.#prepare(this.#queue.splice(0, BATCH_VALUES));
      failure = await this.#write(prepared);
      if (failure === undefined) this.#retryMs = this.#options.retryMs;
      else this.#queue.unshift(...prepared.map(({ reported }) => reported));
    }
    this.#working = false;
    if (failure !== undefined && !this.#closed) this.#failed(failure);
  }

  #prepare(values: readonly Reported[]): Prepared[] {
    const prepared: Prepared[] = [];
    for (const reported of values) {
      const { key, value } = reported;
      const update = rrdUpdate(key, value);
      if (typeof update === "object") {
        const path = join(this.#options.baseDirectory, update.file);
        prepared.push({ path, values: update.values, update, reported });
      } else this.#reject(`${update} key or value: ${jsonText(`rrd/${key}`)}`);
    }
    return prepared;
  }

  /**
   * Writes one batch through rrdcached, or through rrdtool if no rrdcached runs (one that hangs may
   * still have values to write). A string says why neither worked.
   */
  async #write(values: readonly Prepared[]): Promise<string | undefined> {
    if (values.length === 0) return undefined;
    const failure = await this.#writeThrough(this.#daemon, values);
    if (failure === undefined) {
      this.#switched("rrdcached", "");
      this.#tool.close();
      return undefined;
    }
    const why = `rrdcached at ${this.#options.socketPath}: ${failure.reason}`;
    if (!failure.isAbsent || this.#closed) return why;
    const { baseDirectory } = this.#options;
    // Not made here: without it, this host keeps no graphs.
    if (!existsSync(baseDirectory)) return `${why}; ${baseDirectory} does not exist`;
    const second = await this.#writeThrough(this.#tool, values);
    if (second !== undefined) return `${why}; rrdtool: ${second.reason}`;
    this.#switched("rrdtool", why);
    return undefined;
  }

  /** Writes values; if a file is missing, creates it and writes its values again. */
  async #writeThrough(
    writer: RrdWriter,
    values: readonly Prepared[],
  ): Promise<Unavailable | undefined> {
    const refused = await writer.update(values);
    if (refused instanceof Unavailable) return refused;
    const missing: Prepared[] = [];
    const taken: Prepared[] = [];
    for (const value of values) {
      const reason = refused.get(value);
      if (reason === undefined) taken.push(value);
      else if (reason.startsWith("No such file")) missing.push(value);
      // A repeated batch may have been written the first time: only its answer was late.
      else if (this.#mode === "neither" && reason.startsWith("illegal attempt")) this.#written++;
      else this.#reject(`${value.update.file}: ${reason}`);
    }
    const removed = writer === this.#daemon ? await withoutFile(taken) : [];
    const failure = await this.#create(writer, [...missing, ...removed]);
    if (failure !== undefined) return failure;
    const again =
      missing.length === 0 ? new Map<RrdValues, string>() : await writer.update(missing);
    if (again instanceof Unavailable) return again;
    // Counted only now: after a failure all values are written again.
    this.#written += taken.length;
    for (const value of missing) {
      const reason = again.get(value);
      if (reason === undefined) this.#written++;
      else this.#reject(`${value.update.file}: ${reason}`);
    }
    return undefined;
  }

  /** Makes missing files and their directories. */
  async #create(writer: RrdWriter, values: readonly Prepared[]): Promise<Unavailable | undefined> {
    const layouts = new Map(values.map(({ path, update }) => [path, update.layout]));
    for (const [path, layout] of layouts) {
      const directory = Buffer.from(dirname(path), "latin1");
      try {
        await mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
      } catch (error) {
        this.#complain(`cannot make the directory of ${path}: ${String(error)}`);
        continue;
      }
      const start = dayStartSeconds(this.#now());
      const failure = await writer.create({ path, layout, start });
      if (failure instanceof Unavailable) return failure;
      if (failure !== undefined) this.#complain(`cannot create ${path}: ${failure}`);
    }
    return undefined;
  }

  #failed(reason: string): void {
    if (this.#mode !== "neither") {
      this.#mode = "neither";
      this.#log.warn(
        `${reason}; RRD files are not updated until rrdcached answers, or (while none runs) ` +
          "until rrdtool and the directory exist",
      );
    }
    this.#schedule(this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, this.#options.maxRetryMs);
  }

  #switched(mode: Exclude<Mode, "neither">, why: string): void {
    if (this.#mode === mode) return;
    this.#mode = mode;
    this.#log.info(
      mode === "rrdcached"
        ? `rrdcached answers again; ${this.#dropped} values were dropped so far`
        : `${why}; RRD files are written by rrdtool`,
    );
  }

  #reject(reason: string): void {
    this.#rejected++;
    this.#complain(`not written: ${reason}`);
  }

  #complain(message: string): void {
    const now = this.#now();
    if (now - this.#lastComplaintMs < COMPLAINT_INTERVAL_MS) {
      this.#heldBack++;
      return;
    }
    const held = this.#heldBack === 0 ? "" : ` (${this.#heldBack} other lines held back)`;
    this.#lastComplaintMs = now;
    this.#heldBack = 0;
    this.#log.warn(`rrd: ${message}${held}`);
  }
}
