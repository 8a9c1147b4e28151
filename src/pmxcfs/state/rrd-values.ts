/**
 * The statistics every node reports under `rrd/KEY`: the latest value of each key, kept for five
 * minutes, and their dump for GET_RRD_DUMP. C counterpart: status.c, rrdentry_hash and
 * cfs_rrd_dump; unlike it the dump is always fresh and always ends in NUL.
 */
import { Errno } from "../../base/errno.ts";
import { CfsLimits } from "../../base/limits.ts";

interface Entry {
  /** `key:value\n`, latin1. */
  line: string;
  /** When it was reported, in ms of the monotonic clock. */
  at: number;
}

export interface RrdOptions {
  /** Milliseconds of a clock that never steps back. */
  readonly now?: () => number;
  readonly maxKeys?: number;
  readonly expiryMs?: number;
}

/** An empty dump: no lines, one NUL. */
const EMPTY_DUMP = Buffer.from([0]);

/** The latest value per key. Owns the dump's bytes, which it does not change once returned. */
export class Rrd {
  /** In the order of reporting: a key that reports again moves to the end, so the first entry is
   *  always the oldest. */
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

  /** Keys that are held, with those that expired since the last set or dump. */
  get count(): number {
    return this.#entries.size;
  }

  /**
   * Keeps `value` (latin1, without NUL) under `key` until it expires; the key may be empty or of an
   * unknown kind. ENOSPC when there are too many keys.
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

  /** `key:value\n` of every entry not yet expired, then one NUL. */
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
