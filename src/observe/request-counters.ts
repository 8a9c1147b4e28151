/**
 * Counts requests and answers by operation: a Handler around another one, used only if metrics are
 * on. A request costs a few additions in typed arrays. Only one request in 16 of each operation is
 * timed, because two clock reads cost more than these additions.
 */
import { Errno } from "../base/errno.ts";
import {
  type Handler,
  NO_REPLY,
  type Reply,
  replyBody,
  replyError,
  type Request,
} from "../ipc/handler.ts";

/** One request in this many of an operation is timed, beginning with the first. */
export const TIMED_ONE_IN = 16;

/** Upper bounds of the durations, in ns. */
export const DURATION_BOUNDS_NS: readonly number[] = [
  1e3, 2.5e3, 5e3, 1e4, 2.5e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 2.5e7, 1e8, 1e9,
];

/** Sizes are counted by power of two: slot n counts those up to 2^n bytes. */
const SIZE_SLOTS = 33;

/** Errno numbers with their own counter; larger ones count as the last. */
const ERRNOS = 134;

/** Ids below this can have a name; others count as `other`. */
const IDS = 256;

/** Counts by bucket, the last one without an upper bound, and the sum of the values. */
export interface Buckets {
  readonly counts: readonly number[];
  readonly sum: number;
}

/** The counts of one operation since the start. */
export interface OperationCounts {
  readonly operation: string;
  /** Slot n: bodies of at most 2^n bytes, and more than 2^(n-1). */
  readonly requestBytes: Buckets;
  /** Bodies of answers without an errno. */
  readonly replyBytes: Buckets;
  /** Durations of the timed requests, by DURATION_BOUNDS_NS, in ns. */
  readonly durations: Buckets;
  readonly requests: number;
  /** How often each errno, as a positive number, was answered. */
  readonly errors: ReadonlyMap<number, number>;
}

function add(counts: Float64Array, at: number, amount: number): void {
  counts[at] = (counts[at] ?? 0) + amount;
}

function sizeSlot(bytes: number): number {
  return bytes <= 1 ? 0 : 32 - Math.clz32(bytes - 1);
}

/** Counters with a row per operation: bucket counts, and a sum. */
class BucketRows {
  readonly #width: number;
  readonly #counts: Float64Array;
  readonly #sums: Float64Array;

  constructor(rows: number, width: number) {
    this.#width = width;
    this.#counts = new Float64Array(rows * width);
    this.#sums = new Float64Array(rows);
  }

  record(row: number, bucket: number, value: number): void {
    add(this.#counts, row * this.#width + bucket, 1);
    add(this.#sums, row, value);
  }

  row(row: number): Buckets {
    const start = row * this.#width;
    const counts = Array.from(this.#counts.subarray(start, start + this.#width));
    return { counts, sum: this.#sums[row] ?? 0 };
  }
}

/** The handler with counters. */
export class RequestCounters implements Handler {
  readonly #inner: Handler;
  readonly #names: readonly string[];
  /** Id -> row; 0 is `other`. */
  readonly #rows = new Uint8Array(IDS);
  readonly #requestBytes: BucketRows;
  readonly #replyBytes: BucketRows;
  readonly #durations: BucketRows;
  readonly #errors: Float64Array;
  /** For each row, the number of requests until the next timed one. */
  readonly #untilTimed: Uint8Array;
  readonly refusal?: NonNullable<Handler["refusal"]>;

  /** `names` of message ids below 256; ids without a name are counted as `other`. */
  constructor(inner: Handler, names: ReadonlyMap<number, string>) {
    this.#inner = inner;
    this.#names = ["other", ...names.values()];
    for (const [index, id] of [...names.keys()].entries()) this.#rows[id] = index + 1;
    const rows = this.#names.length;
    this.#requestBytes = new BucketRows(rows, SIZE_SLOTS);
    this.#replyBytes = new BucketRows(rows, SIZE_SLOTS);
    this.#durations = new BucketRows(rows, DURATION_BOUNDS_NS.length + 1);
    this.#errors = new Float64Array(rows * ERRNOS);
    this.#untilTimed = new Uint8Array(rows);
    if (inner.refusal !== undefined) {
      this.refusal = (peer, command) => inner.refusal?.(peer, command) ?? "";
    }
  }

  /** The operations with at least one request. */
  operations(): OperationCounts[] {
    return this.#names.flatMap((operation, row) => {
      const requestBytes = this.#requestBytes.row(row);
      const requests = requestBytes.counts.reduce((sum, count) => sum + count, 0);
      if (requests === 0) return [];
      const replyBytes = this.#replyBytes.row(row);
      const durations = this.#durations.row(row);
      const errors = this.#errorsOf(row);
      return [{ operation, requests, requestBytes, replyBytes, durations, errors }];
    });
  }

  #errorsOf(row: number): Map<number, number> {
    const counts = this.#errors.subarray(row * ERRNOS, (row + 1) * ERRNOS);
    return new Map([...counts.entries()].filter(([, count]) => count > 0));
  }

  get repliesAreConstant(): boolean {
    return this.#inner.repliesAreConstant ?? false;
  }

  authenticate(peer: Parameters<Handler["authenticate"]>[0]): ReturnType<Handler["authenticate"]> {
    return this.#inner.authenticate(peer);
  }

  handle(request: Request): Reply | Promise<Reply> {
    const row = this.#asked(request);
    const left = this.#untilTimed[row] ?? 0;
    if (left > 0) {
      this.#untilTimed[row] = left - 1;
      const reply = this.#inner.handle(request);
      if (reply instanceof Promise) return reply.then((late) => this.#answered(row, late));
      return this.#answered(row, reply);
    }
    this.#untilTimed[row] = TIMED_ONE_IN - 1;
    const start = Bun.nanoseconds();
    const reply = this.#inner.handle(request);
    if (reply instanceof Promise) {
      return reply.then((late) => {
        this.#took(row, Bun.nanoseconds() - start);
        return this.#answered(row, late);
      });
    }
    this.#took(row, Bun.nanoseconds() - start);
    return this.#answered(row, reply);
  }

  malformed(request: Request): Errno {
    const row = this.#asked(request);
    const error = this.#inner.malformed?.(request) ?? Errno.EINVAL;
    this.#answered(row, error);
    return error;
  }

  connected(peer: Request["peer"]): void {
    this.#inner.connected?.(peer);
  }

  disconnected(peer: Request["peer"]): void {
    this.#inner.disconnected?.(peer);
  }

  #asked({ id, span }: Request): number {
    const row = id >= 0 && id < IDS ? (this.#rows[id] ?? 0) : 0;
    this.#requestBytes.record(row, sizeSlot(span.size), span.size);
    return row;
  }

  #answered(row: number, reply: Reply): Reply {
    const error = replyError(reply);
    if (error !== 0) {
      add(this.#errors, row * ERRNOS + Math.min(Math.abs(error), ERRNOS - 1), 1);
    } else if (reply !== NO_REPLY) {
      const { byteLength } = replyBody(reply);
      this.#replyBytes.record(row, sizeSlot(byteLength), byteLength);
    }
    return reply;
  }

  #took(row: number, ns: number): void {
    const found = DURATION_BOUNDS_NS.findIndex((bound) => ns <= bound);
    this.#durations.record(row, found === -1 ? DURATION_BOUNDS_NS.length : found, ns);
  }
}
