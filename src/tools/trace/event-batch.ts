/**
 * What a watcher is told, kept back for some milliseconds and then told in one go: whoever waits
 * for an answer waits for nothing else, and the processor is free for it when it wakes up.
 */
import type { Span } from "../../wire/struct.ts";
import type { Watcher } from "./exchange.ts";

/** People do not notice, and a client that asks once a millisecond is disturbed once in fifty. */
const KEPT_MS = 50;
/** Kept back at most: what is beyond is told in the next turn of the event loop. */
const KEPT_MAX = 256;
const KEPT_BYTES_MAX = 4 * 1024 * 1024;

/** Bodies are copied into one piece of memory after the other: making one for each costs more. */
const SLAB_BYTES = 64 * 1024;

/** A copy of a body; its slab goes when the last of its bodies has been told. */
export interface Kept {
  readonly slab: Buffer;
  readonly at: number;
  readonly size: number;
}

/** performance.now() is corrected by the clock on the wall when they are so far apart. */
const DRIFT_MS = 2;

/** Called with the time of what it tells, ms since 1970. */
export type Tell = (watcher: Watcher, atMs: number) => void;

export class Tellings {
  readonly #watcher: Watcher;
  #kept: { readonly start: number; readonly tell: Tell }[] = [];
  #originMs = 0;
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #used = 0;
  #bytes = 0;
  #timer: Timer | undefined;
  #hurried = false;

  constructor(watcher: Watcher) {
    this.#watcher = watcher;
  }

  /**
   * Has `tell` called later, behind all that was added before, about what happened at `start` of
   * performance.now(); it holds on to `bytes`.
   */
  add(start: number, tell: Tell, bytes = 0): void {
    this.#kept.push({ start, tell });
    this.#bytes += bytes;
    this.#timer ??= setTimeout(() => this.tellNow(), KEPT_MS);
    if (this.#kept.length < KEPT_MAX && this.#bytes < KEPT_BYTES_MAX) return;
    if (this.#hurried) return;
    this.#hurried = true;
    setImmediate(() => this.tellNow());
  }

  /** A copy of a message's body. */
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

  /** Tells all there is. */
  tellNow(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#hurried = false;
    const kept = this.#kept;
    if (kept.length === 0) return;
    this.#kept = [];
    this.#bytes = 0;
    const originMs = Date.now() - performance.now();
    // Kept where it is good enough: what came later never seems to have come before.
    if (Math.abs(originMs - this.#originMs) > DRIFT_MS) this.#originMs = originMs;
    for (const { start, tell } of kept) tell(this.#watcher, this.#originMs + start);
    this.#watcher.toldAll();
  }
}
