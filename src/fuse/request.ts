/**
 * A request as it lies in the device's memory, and the readers of what follows its header. A
 * request is good until the next one is read: what must outlive that is copied.
 */
import type { Requester } from "./file-system.ts";
import { InHeader } from "./layouts.ts";
import { UNIQUE_RESEND } from "./opcodes.ts";
import { spanOf, type Span } from "../wire/struct.ts";

/** The two words of `unique` as one number, the same when the request is sent again. */
export function requestNumber(low: number, high: number): number {
  return low + (high & ~UNIQUE_RESEND & 0x1f_ffff) * 2 ** 32;
}

/** The request under way. One object per session, filled anew for each request. */
export class FuseRequest {
  /** Of the whole memory; `at` and `size` are the body's, behind the header. */
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

  /** Takes the header of the `length` bytes that were read; false when it lies about its length. */
  take(length: number): boolean {
    const header = this.#header;
    if (length < InHeader.size) return false;
    this.opcode = InHeader.read.opcode(header);
    this.uniqueLow = InHeader.read.uniqueLow(header);
    this.uniqueHigh = InHeader.read.uniqueHigh(header);
    this.node = InHeader.read.node(header);
    this.body.at = InHeader.size;
    // Extensions (security contexts, groups) are never asked for; they would follow the names.
    this.body.size = length - InHeader.size - 8 * InHeader.read.extensions(header);
    return InHeader.read.length(header) === length && this.body.size >= 0;
  }

  /** The request in memory of its own. */
  copy(): FuseRequest {
    const { bytes, at, size } = this.body;
    const copied = new FuseRequest(spanOf(Buffer.from(bytes.subarray(0, at + size))));
    copied.take(at + size);
    return copied;
  }

  /** `unique` as one number: its words count up and stay below 2^53. */
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

  /** The NUL-terminated name that begins `from` bytes into the body; undefined without its NUL. */
  name(from: number): string | undefined {
    const { bytes, at, size } = this.body;
    const start = at + from;
    const end = at + size;
    const nul = bytes.subarray(start, end).indexOf(0);
    return nul <= 0 ? undefined : bytes.toString("latin1", start, start + nul);
  }

  /** Body bytes from `from` on, as a view. */
  rest(from: number): Buffer {
    return this.body.bytes.subarray(this.body.at + from, this.body.at + this.body.size);
  }
}

/** Milliseconds a request may take before an interrupt ends it: a younger one is let finish. */
const INTERRUPTIBLE_AFTER_MS = 1000;

/** Who asked, kept beyond the request's memory; the signal is made only for who waits. */
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

  /** The process that waits got a signal: the wait ends, when it is a second old. */
  interrupt(): void {
    if (this.#interrupted) return;
    this.#interrupted = true;
    const wait = Math.max(0, INTERRUPTIBLE_AFTER_MS - this.ageMs);
    this.#timer = setTimeout(() => this.#controller?.abort(), wait);
  }

  /** It was answered. */
  done(): void {
    clearTimeout(this.#timer);
  }
}
