/**
 * Observations of a proxy, delivered to its watcher in batches some milliseconds later. Formatting
 * and writing a line costs more than passing a request on, and a client waits for its answer: the
 * processor is left to the client when it wakes up.
 */
import type { Span } from "../../wire/struct.ts";
import type { Watcher } from "./exchange.ts";

/** Delay of a batch: too short to notice, and one wake-up per 50 requests of a client at 1 kHz. */
const KEPT_MS = 50;
/** Bounds of a batch; one that is full is delivered in the next turn of the event loop. */
const KEPT_MAX = 256;
const KEPT_BYTES_MAX = 4 * 1024 * 1024;

/** Bodies are copied into slabs: one allocation per body would cost more than the copy. */
const SLAB_BYTES = 64 * 1024;

/** A copy of a body. The slab is garbage when no body in it is referenced. */
export interface Kept {
  readonly slab: Buffer;
  readonly at: number;
  readonly size: number;
}

/** performance.now() is realigned with the wall clock when the two differ by more than this. */
const DRIFT_MS = 2;

/** Reports one observation; called with its time, ms since 1970. */
export type Report = (watcher: Watcher, atMs: number) => void;

export class EventBatch {
  readonly #watcher: Watcher;
  #kept: { readonly start: number; readonly report: Report }[] = [];
  #originMs = 0;
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #used = 0;
  #bytes = 0;
  #timer: Timer | undefined;
  #scheduled = false;

  constructor(watcher: Watcher) {
    this.#watcher = watcher;
  }

  /**
   * Queues a report. `start` is its time by performance.now(); `bytes` is the memory that it keeps
   * alive.
   */
  add(start: number, report: Report, bytes = 0): void {
    this.#kept.push({ start, report });
    this.#bytes += bytes;
    this.#timer ??= setTimeout(() => this.flush(), KEPT_MS);
    if (this.#kept.length < KEPT_MAX && this.#bytes < KEPT_BYTES_MAX) return;
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.flush());
  }

  /** Copies a body. */
  keep({ bytes, at: from, size }: Span): Kept {
    if (this.#used + size > this.#slab.byteLength) {
      this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, size));
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += size;
    bytes.copy(this.#slab, at, from, from + size);
    return { slab: this.#slab, at, size };
  }

  /** Delivers all queued reports now. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#scheduled = false;
    const kept = this.#kept;
    if (kept.length === 0) return;
    this.#kept = [];
    this.#bytes = 0;
    const originMs = Date.now() - performance.now();
    // The origin is not changed while it is accurate enough, so that times do not go back.
    if (Math.abs(originMs - this.#originMs) > DRIFT_MS) this.#originMs = originMs;
    for (const { start, report } of kept) report(this.#watcher, this.#originMs + start);
    this.#watcher.batchEnd();
  }
}
