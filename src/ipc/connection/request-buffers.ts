/**
 * Private memory that requests are copied to before they are parsed. All synchronous requests share
 * one buffer; an asynchronous request keeps its buffer until its reply is sent.
 */
import type { Request } from "../handler.ts";
import { newScratch, type Scratch } from "../../shm/ring.ts";
import { type Span, spanOf } from "../../wire/struct.ts";

/** One buffer, with the span a handler gets. */
export interface RequestMemory {
  readonly scratch: Scratch;
  readonly span: Span;
}

/** A request that its connection fills in again for the next one. */
export type MutableRequest = { -readonly [K in keyof Request]: Request[K] };

/** Most buffers kept for the next asynchronous requests; further ones are garbage-collected. */
const MAX_SPARE_BUFFERS = 16;

export class RequestBuffers {
  readonly #spare: RequestMemory[] = [];
  #bytes: number;
  #current: RequestMemory;

  /** The buffers have `bytes` until a connection needs larger ones. */
  constructor(bytes: number) {
    this.#bytes = bytes;
    this.#current = this.#make();
  }

  /** The buffer for the request that is served now. */
  get current(): RequestMemory {
    return this.#current;
  }

  /** Makes buffers of at least `bytes` from now on. */
  grow(bytes: number): void {
    if (bytes <= this.#bytes) return;
    this.#bytes = bytes;
    this.#spare.length = 0;
    this.#current = this.#make();
  }

  /** Lends `memory`, the current buffer, to its request; call the result to give it back. */
  lend(memory: RequestMemory): () => void {
    this.#current = this.#spare.pop() ?? this.#make();
    return () => {
      // Compared with the current buffer, which has the zeros after the largest message, too.
      const isLargeEnough = memory.scratch.bytes.length >= this.#current.scratch.bytes.length;
      if (isLargeEnough && this.#spare.length < MAX_SPARE_BUFFERS) this.#spare.push(memory);
    };
  }

  #make(): RequestMemory {
    const scratch = newScratch(this.#bytes);
    return { scratch, span: spanOf(scratch.bytes) };
  }
}
