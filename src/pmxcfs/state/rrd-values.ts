/**
 * The statistics that nodes report under `rrd/KEY`: the latest value of each key, kept for five
 * minutes, and their dump for GET_RRD_DUMP. C counterpart: status.c, rrdentry_hash and
 * cfs_rrd_dump; unlike C's, the dump is always current and always ends in a NUL.
 */
import { Errno } from "../../base/errno.ts";
import { CfsLimits } from "../../base/limits.ts";

interface Entry {
  /** `key:value\n`, latin1. */
  line: string;
  /** The time of the report, in ms of the monotonic clock. */
  at: number;
}

export interface RrdOptions {
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number;
  readonly maxKeys?: number;
  readonly expiryMs?: number;
}

/** An empty dump: no lines, one NUL. */
const EMPTY_DUMP = Buffer.from([0]);

/** The latest value of each key. Bytes of a returned dump are never changed. */
export class Rrd {
  /** In the order of the reports: a repeated key moves to the end, so the first is the oldest. */
  readonly #entries = new Map<string, Entry>();
  readonly #now: () => number;
  readonly #maxKeys: number;
  readonly #expiryMs: number;
  #dump: Buffer | undefined;

  constructor(options: RrdOptions = {}) {
    this.#now = options.now ?? (() => performance.now());
    this.#maxKeys = options.maxKeys ?? CfsLimits.rrdKeys;
    this.#expiryMs = options.expiryMs ?? CfsLimits.rrdExpiryMs;
  }

  /** Number of keys, including those that expired but were not dropped yet. */
  get count(): number {
    return this.#entries.size;
  }

  /**
   * Stores `value` (latin1, without NUL) under `key` until it expires. The key is not checked: it
   * may be empty or unknown. ENOSPC: there are too many keys.
   */
  set(key: string, value: string): 0 | Errno {
    const now = this.#now();
    const known = this.#entries.delete(key);
    if (!known && this.#entries.size >= this.#maxKeys) {
      this.#expire(now);
      if (this.#entries.size >= this.#maxKeys) return Errno.ENOSPC;
    }
    this.#entries.set(key, { line: `${key}:${value}\n`, at: now });
    this.#dump = undefined;
    return 0;
  }

  /** A line `key:value\n` for every entry that has not expired, then one NUL. */
  dump(): Buffer {
    this.#expire(this.#now());
    this.#dump ??= this.#render();
    return this.#dump;
  }

  #expire(now: number): void {
    for (const [key, entry] of this.#entries) {
      if (now - entry.at <= this.#expiryMs) break;
      this.#entries.delete(key);
      this.#dump = undefined;
    }
  }

  #render(): Buffer {
    if (this.#entries.size === 0) return EMPTY_DUMP;
    const lines: string[] = [];
    for (const entry of this.#entries.values()) lines.push(entry.line);
    lines.push("\0");
    return Buffer.from(lines.join(""), "latin1");
  }
}
