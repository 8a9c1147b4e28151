/**
 * Messages of a server, read from a ring: checked on a private copy, never in shared memory. A
 * response has libqb's 24-byte header; an event may have the 16-byte request header.
 */
import { BROKEN, newScratch, NOTHING, RingReader, type Scratch } from "../shm/ring.ts";
import type { RingMemory } from "../shm/ring.ts";
import type { Address } from "../platform/shim.ts";
import { RequestHeader, ResponseHeader } from "../wire/qb.ts";
import { spanOf, type Span } from "../wire/struct.ts";
import { garbage, type QbFailure } from "./failure.ts";

/** One message from the server; the receiver owns its memory. */
export interface QbMessageIn {
  readonly id: number;
  /** The size in its header, header included: at most `chunkBytes`. */
  readonly size: number;
  /** The received size; from libqb servers both are equal. */
  readonly chunkBytes: number;
  /** 0, or a negative errno; 0 for an event with a short header. */
  readonly error: number;
  readonly body: Buffer;
}

/** A response: `error` 0 and a body, or a negative errno (some servers send positive ones). */
export type QbResponse = QbMessageIn;

/** Messages up to this size use a shared buffer and are copied out; larger ones get their own. */
const SHARED_SCRATCH_BYTES = 4096;

/** Reads the responses or the events of a connection. */
export class MessageReader<M extends QbMessageIn = QbMessageIn> {
  readonly kind: "response" | "event";
  readonly semaphoreAddress: Address;
  readonly #ring: RingReader;
  readonly #scratch = newScratch(SHARED_SCRATCH_BYTES);
  readonly #span = spanOf(this.#scratch.bytes);
  readonly #headerBytes: number;

  constructor(memory: RingMemory, kind: "response" | "event") {
    this.kind = kind;
    this.semaphoreAddress = memory.semaphoreAddress;
    this.#headerBytes = kind === "response" ? ResponseHeader.size : RequestHeader.size;
    this.#ring = new RingReader(memory, this.#headerBytes, memory.wordCount * 4);
  }

  /** The next message, what is wrong with it, or undefined when there is none. */
  read(): M | QbFailure | undefined {
    const size = this.#ring.peek();
    return size === NOTHING ? undefined : this.#take(size);
  }

  /** As `read`, after the semaphore was taken. */
  readTaken(): M | QbFailure {
    return this.#take(this.#ring.peekTaken());
  }

  #take(chunkBytes: number): M | QbFailure {
    if (chunkBytes === BROKEN)
      return garbage(`the server wrote a broken chunk (${this.kind} ring)`);
    const shared = chunkBytes <= SHARED_SCRATCH_BYTES;
    const scratch: Scratch = shared ? this.#scratch : newScratch(chunkBytes);
    this.#ring.copyTo(scratch);
    this.#ring.reclaim();
    const span = shared ? this.#span : spanOf(scratch.bytes);
    const size = RequestHeader.read.size(span);
    if (size < this.#headerBytes || size > chunkBytes) {
      return garbage(`a ${this.kind} of ${chunkBytes} bytes claims to have ${size}`);
    }
    return this.#decode(span, size, chunkBytes, shared) as M;
  }

  #decode(span: Span, size: number, chunkBytes: number, shared: boolean): QbMessageIn {
    const long = size >= ResponseHeader.size;
    const from = long ? ResponseHeader.size : RequestHeader.size;
    const view = span.bytes.subarray(from, size);
    return {
      id: RequestHeader.read.id(span),
      size,
      chunkBytes,
      error: long ? ResponseHeader.read.error(span) : 0,
      body: shared ? Buffer.from(view) : view,
    };
  }
}
