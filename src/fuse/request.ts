/**
 * A request in the device's memory, and readers of its body. It is valid until the next one is
 * read: copy what is needed longer.
 */
import type { Requester } from "./file-system.ts";
import { InHeader } from "./layouts.ts";
import { spanOf, type Span } from "../wire/struct.ts";

/** The bits of the upper word that a number below 2^53 can hold: 53 - 32 bits. */
const HIGH_BITS = 0x1f_ffff;

/**
 * The two words of `unique` as one number. Above HIGH_BITS is only FUSE_UNIQUE_RESEND (bit 63),
 * which marks a request that is sent again.
 */
export function requestNumber(low: number, high: number): number {
  return low + (high & HIGH_BITS) * 2 ** 32;
}

/** The current request. One object per session, refilled for each request. */
export class FuseRequest {
  /** The device's memory; `at` and `size` are those of the body, which follows the header. */
  readonly body: Span;
  readonly #header: Span;
  opcode = 0;
  uniqueLow = 0;
  uniqueHigh = 0;
  node = 0;

  constructor(memory: Span) {
    this.#header = { ...memory, at: 0 };
    this.body = { ...memory };
  }

  /** Decodes the header of `length` bytes; false when it states another length. */
  take(length: number): boolean {
    const header = this.#header;
    if (length < InHeader.size) return false;
    this.opcode = InHeader.read.opcode(header);
    this.uniqueLow = InHeader.read.uniqueLow(header);
    this.uniqueHigh = InHeader.read.uniqueHigh(header);
    this.node = InHeader.read.node(header);
    this.body.at = InHeader.size;
    // Extensions (security contexts, groups) follow the names; INIT never asked for them.
    this.body.size = length - InHeader.size - 8 * InHeader.read.extensions(header);
    return InHeader.read.length(header) === length && this.body.size >= 0;
  }

  /** A copy in its own memory. */
  copy(): FuseRequest {
    const { bytes, at, size } = this.body;
    const copied = new FuseRequest(spanOf(Buffer.from(bytes.subarray(0, at + size))));
    copied.take(at + size);
    return copied;
  }

  /** `unique` as one number; the kernel counts it up from 0, so it stays below 2^53. */
  get number(): number {
    return requestNumber(this.uniqueLow, this.uniqueHigh);
  }

  get pid(): number {
    return InHeader.read.pid(this.#header);
  }

  get uid(): number {
    return InHeader.read.uid(this.#header);
  }

  get gid(): number {
    return InHeader.read.gid(this.#header);
  }

  /** The NUL-terminated name at `from` in the body; undefined if empty or without its NUL. */
  name(from: number): string | undefined {
    const { bytes, at, size } = this.body;
    const start = at + from;
    const end = at + size;
    const nul = bytes.subarray(start, end).indexOf(0);
    return nul <= 0 ? undefined : bytes.toString("latin1", start, start + nul);
  }

  /** A view of the body from `from` on. */
  rest(from: number): Buffer {
    return this.body.bytes.subarray(this.body.at + from, this.body.at + this.body.size);
  }
}

/** An interrupt ends a request no earlier than this: younger ones may still finish. */
const INTERRUPTIBLE_AFTER_MS = 1000;

/** The process that asked, copied from the request. The AbortSignal is made on first use. */
export class Asker implements Requester {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly request: number;
  readonly #sinceMs = performance.now();
  #controller: AbortController | undefined;
  #timer: Timer | undefined;
  #interrupted = false;

  constructor({ pid, uid, gid, number }: FuseRequest) {
    this.pid = pid;
    this.uid = uid;
    this.gid = gid;
    this.request = number;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  /** Milliseconds since the request was read. */
  get ageMs(): number {
    return performance.now() - this.#sinceMs;
  }

  /** FUSE_INTERRUPT: aborts the signal once the request is INTERRUPTIBLE_AFTER_MS old. */
  interrupt(): void {
    if (this.#interrupted) return;
    this.#interrupted = true;
    const wait = Math.max(0, INTERRUPTIBLE_AFTER_MS - this.ageMs);
    this.#timer = setTimeout(() => this.#controller?.abort(), wait);
  }

  /** The request was answered: a later interrupt has no effect. */
  done(): void {
    clearTimeout(this.#timer);
  }
}
