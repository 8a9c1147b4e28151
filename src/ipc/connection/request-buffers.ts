/**
 * Private memory that requests are copied to before they are parsed. One piece serves all
 * synchronous requests; an asynchronous one keeps its piece until its reply is sent.
 */
import { newScratch, type Scratch } from "../../shm/ring.ts";
import { type Span, spanOf } from "../../wire/struct.ts";

/** One piece, with the span a handler gets. */
export interface RequestMemory {
  readonly scratch: Scratch;
  readonly span: Span;
}

/** Pieces kept for the next asynchronous requests; more than these go back to the heap. */
const SPARE_PIECES = 16;

export class RequestBuffers {
  readonly #spare: RequestMemory[] = [];
  #bytes: number;
  #current: RequestMemory;

  /** Pieces of `bytes` until a connection needs larger ones. */
  constructor(bytes: number) {
    this.#bytes = bytes;
    this.#current = this.#make();
  }

  /** The piece for the request that is served now. */
  get current(): RequestMemory {
    return this.#current;
  }

  /** Makes sure that messages of `bytes` fit. */
  grow(bytes: number): void {
    if (bytes <= this.#bytes) return;
    this.#bytes = bytes;
    this.#spare.length = 0;
    this.#current = this.#make();
  }

  /** Leaves `memory`, the current piece, to its request; call the result when it is free. */
  lend(memory: RequestMemory): () => void {
    this.#current = this.#spare.pop() ?? this.#make();
    return () => {
      const { byteLength } = memory.scratch.bytes;
      if (byteLength >= this.#bytes && this.#spare.length < SPARE_PIECES) this.#spare.push(memory);
    };
  }

  #make(): RequestMemory {
    const scratch = newScratch(this.#bytes);
    return { scratch, span: spanOf(scratch.bytes) };
  }
}
