/**
 * Reported statistics on their way to RRD files: a bounded queue, sent to rrdcached in batches
 * from a task of its own. Nothing waits for it: `update` only takes note. When rrdcached is
 * absent, slow or hung, one line says so, the newest values are kept, and it is tried again
 * until it answers. C counterpart: status.c, update_rrd_data, which does this in the thread that
 * answers, under the lock.
 */
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Log } from "../../base/log.ts";
import { createArguments, dayStartSeconds, rrdUpdate, type RrdUpdate } from "./formats.ts";
import { Rrdcached } from "./rrdcached.ts";

export interface RrdFilesOptions {
  readonly log: Log;
  readonly socketPath?: string;
  /** Where the files are, an absolute path; directories below it are made as needed. */
  readonly baseDirectory?: string;
  /** How long values are gathered before they are sent. */
  readonly gatherMs?: number;
  /** rrdcached must answer a batch within this. */
  readonly timeoutMs?: number;
  /** First and longest pause before it is tried again. */
  readonly retryMs?: number;
  readonly maxRetryMs?: number;
  /** Values kept while it does not answer; the oldest go first. */
  readonly maxPending?: number;
  readonly now?: () => number;
}

/** What became of the values, for metrics. */
export interface RrdFilesCounters {
  /** Accepted by rrdcached. */
  readonly written: number;
  /** Refused by it, or not fit to be sent. */
  readonly rejected: number;
  /** Given up because too many were waiting. */
  readonly dropped: number;
  readonly pending: number;
}

const DEFAULTS = {
  socketPath: "/var/run/rrdcached.sock",
  baseDirectory: "/var/lib/rrdcached/db",
  gatherMs: 100,
  retryMs: 1000,
  maxRetryMs: 30_000,
  maxPending: 16_384,
};

/** Values in one batch: small enough that preparing one delays nobody. */
const BATCH_VALUES = 100;

/** When the queue is full this part of it goes at once, so that dropping costs little. */
const DROPPED_PART = 8;

/** Complaints about values go to the log at most this often, with how many there were. */
const COMPLAINT_INTERVAL_MS = 60_000;

interface Reported {
  readonly key: string;
  readonly value: string;
}

/** Owns the queue, the connection and the timer; none of them holds the process open. */
export class RrdFiles {
  readonly #log: Log;
  readonly #daemon: Rrdcached;
  readonly #options: typeof DEFAULTS;
  readonly #now: () => number;
  #queue: Reported[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #working = false;
  #closed = false;
  #available = true;
  #retryMs: number;
  #written = 0;
  #rejected = 0;
  #dropped = 0;
  #lastComplaintMs = -Infinity;
  #heldBack = 0;

  constructor(options: RrdFilesOptions) {
    const { log, now, timeoutMs, ...rest } = options;
    this.#options = { ...DEFAULTS, ...rest };
    this.#log = log;
    this.#now = now ?? Date.now;
    const { socketPath } = this.#options;
    this.#daemon = new Rrdcached({ socketPath, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
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

  /** Takes note of a value (latin1) reported under `rrd/` + `key`. */
  update(key: string, value: string): void {
    if (this.#closed) return;
    if (this.#queue.length >= this.#options.maxPending) {
      const part = Math.ceil(this.#options.maxPending / DROPPED_PART);
      this.#dropped += this.#queue.splice(0, part).length;
    }
    this.#queue.push({ key, value });
    if (!this.#working) this.#schedule(this.#options.gatherMs);
  }

  /** Stops. What is still waiting is lost. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#daemon.close();
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

  /** Sends batch after batch until none is left, or until rrdcached fails. Never rejects. */
  async #work(): Promise<void> {
    this.#working = true;
    let failure: string | undefined;
    while (this.#queue.length > 0 && failure === undefined && !this.#closed) {
      const reported = this.#queue.splice(0, BATCH_VALUES);
      failure = await this.#send(this.#prepare(reported));
      if (failure === undefined) this.#recovered();
      else this.#queue.unshift(...reported);
    }
    this.#working = false;
    if (failure !== undefined && !this.#closed) this.#failed(failure);
  }

  #prepare(reported: readonly Reported[]): RrdUpdate[] {
    const updates: RrdUpdate[] = [];
    for (const { key, value } of reported) {
      const update = rrdUpdate(key, value);
      if (typeof update === "object") updates.push(update);
      else this.#reject(`${update} key or value: ${JSON.stringify(`rrd/${key}`)}`);
    }
    return updates;
  }

  /** Sends one batch; files that turn out to be missing are created, and tried once more. */
  async #send(updates: readonly RrdUpdate[]): Promise<string | undefined> {
    const refused = await this.#sendBatch(updates);
    if (typeof refused === "string") return refused;
    const missing: RrdUpdate[] = [];
    for (const [update, reason] of refused) {
      if (reason.startsWith("No such file")) missing.push(update);
      // A batch that is sent again may have arrived the first time, its answer too late.
      else if (!this.#available && reason.startsWith("illegal attempt")) this.#written++;
      else this.#reject(`${update.file}: ${reason}`);
    }
    const failure = await this.#create(missing);
    if (failure !== undefined) return failure;
    const again = await this.#sendBatch(missing);
    if (typeof again === "string") return again;
    for (const [update, reason] of again) this.#reject(`${update.file}: ${reason}`);
    return undefined;
  }

  /** The updates that rrdcached refused, and why; a string when it failed altogether. */
  async #sendBatch(updates: readonly RrdUpdate[]): Promise<Map<RrdUpdate, string> | string> {
    const refused = new Map<RrdUpdate, string>();
    if (updates.length === 0) return refused;
    const lines = updates.map(({ file, values }) => `UPDATE ${this.#path(file)} ${values}\n`);
    const replies = await this.#daemon.exchange(`BATCH\n${lines.join("")}.\n`, 2);
    if (typeof replies === "string") return replies;
    // The first says go ahead; the second has a line for each error: its number in the batch
    // and the reason.
    for (const line of replies[1]?.lines ?? []) {
      const [, number, reason = ""] = /^(\d+) (.*)$/.exec(line) ?? [];
      const update = updates[Number(number) - 1];
      if (update !== undefined) refused.set(update, reason);
    }
    this.#written += updates.length - refused.size;
    return refused;
  }

  /** Makes the files that are missing, and their directories. */
  async #create(updates: readonly RrdUpdate[]): Promise<string | undefined> {
    const layouts = new Map(updates.map(({ file, layout }) => [file, layout]));
    for (const [file, layout] of layouts) {
      const path = this.#path(file);
      try {
        await mkdir(dirname(path), { recursive: true });
      } catch (error) {
        this.#complain(`cannot make the directory of ${path}: ${String(error)}`);
        continue;
      }
      const start = dayStartSeconds(this.#now());
      const command = `CREATE ${path} ${createArguments(layout, start)}\n`;
      const replies = await this.#daemon.exchange(command, 1);
      if (typeof replies === "string") return replies;
      const reply = replies[0];
      if (reply !== undefined && reply.status < 0) {
        this.#complain(`cannot create ${path}: ${reply.message}`);
      }
    }
    return undefined;
  }

  #path(file: string): string {
    return join(this.#options.baseDirectory, file);
  }

  #failed(reason: string): void {
    if (this.#available) {
      this.#available = false;
      this.#log.warn(
        `rrdcached at ${this.#options.socketPath}: ${reason}; ` +
          "RRD files are not updated until it answers",
      );
    }
    this.#schedule(this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, this.#options.maxRetryMs);
  }

  #recovered(): void {
    this.#retryMs = this.#options.retryMs;
    if (this.#available) return;
    this.#available = true;
    this.#log.info(`rrdcached answers again; ${this.#dropped} values were dropped so far`);
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
