/**
 * One ring of chunks in shared memory (libqb ringbuffer.c). Reader and writer each keep a private
 * copy of their own index; the peer's index, sizes and magic are read once and bounds-checked. The
 * memory belongs to a RingSet.
 */
import { Errno } from "../base/errno.ts";
import { wakeOne } from "../platform/futex.ts";
import { CHUNK_HEADER_WORDS, CHUNK_MARGIN_BYTES, ChunkMagic, RingHeader } from "../wire/qb.ts";

/** The memory of one ring, as words and as bytes. */
export interface RingMemory {
  readonly words: Int32Array;
  readonly bytes: Buffer;
  /** Index of the header's first word in `words`. */
  readonly headerWord: number;
  /** Index of the data's first word. The data is mapped twice, so a chunk never wraps. */
  readonly dataWord: number;
  /** Words of data (libqb's word_size): our private copy. */
  readonly wordCount: number;
  /** Address of the semaphore, for the system call that wakes a waiter. */
  readonly semaphoreAddress: number;
}

const READ_PT = RingHeader.readPt >> 2;
const WRITE_PT = RingHeader.writePt >> 2;
const SEMAPHORE = RingHeader.semaphore >> 2;
const WAITERS = RingHeader.semaphoreWaiters >> 2;

/** glibc's SEM_VALUE_MAX; a value at or above it was corrupted by the peer. */
const SEMAPHORE_MAX = 0x7fffffff;

/** Most compare-and-swap attempts: after that many, the peer is corrupting the semaphore. */
const TAKE_ATTEMPTS = 64;

/** Up to this many words are copied in a loop, which is faster than the native call (17 ns). */
const LOOP_WORDS = 16;

/** `peek`: there is nothing to read. */
export const NOTHING = 0;
/** `peek`: the chunk is not valid for libqb; the connection must end. */
export const BROKEN = -1;

/** Private memory, in two views, to which messages are copied before they are parsed. */
export interface Scratch {
  readonly bytes: Buffer;
  readonly words: Int32Array;
}

/**
 * Zero bytes after every copied message, so that a field may be read past the end of a short one.
 */
const ZERO_TAIL_BYTES = 4;

/** Makes memory for messages of up to `size` bytes and the zeros after them. */
export function newScratch(size: number): Scratch {
  const buffer = new ArrayBuffer(Math.ceil((size + ZERO_TAIL_BYTES) / 8) * 8);
  return { bytes: Buffer.from(buffer), words: new Int32Array(buffer) };
}

/** The reading end. */
export class RingReader {
  readonly #memory: RingMemory;
  readonly #maxBytes: number;
  readonly #minBytes: number;
  #readPt = 0;
  #size = 0;

  /** Accepts chunks of `minBytes` to `maxBytes` of payload; other sizes are BROKEN. */
  constructor(memory: RingMemory, minBytes: number, maxBytes: number) {
    this.#memory = memory;
    this.#minBytes = minBytes;
    this.#maxBytes = Math.min(maxBytes, memory.wordCount * 4 - CHUNK_MARGIN_BYTES);
  }

  /** Words from our index to the writer's in the shared header: a hint for flow control. */
  get backlogWords(): number {
    const { words, headerWord, wordCount } = this.#memory;
    const writePt = (Atomics.load(words, headerWord + WRITE_PT) >>> 0) % wordCount;
    return writePt < this.#readPt ? writePt + wordCount - this.#readPt : writePt - this.#readPt;
  }

  /** The semaphore's value, the number of unread chunks: a hint; `peek` decides. */
  get pendingCount(): number {
    const { words, headerWord } = this.#memory;
    return Atomics.load(words, headerWord + SEMAPHORE) >>> 0;
  }

  /**
   * Decrements the semaphore for the next chunk; returns its payload size, NOTHING or BROKEN. The
   * semaphore counts committed chunks, so a value without a chunk means that the peer is broken.
   * Call copyTo and reclaim next.
   */
  peek(): number {
    const { words, headerWord, dataWord } = this.#memory;
    if (Atomics.load(words, headerWord + SEMAPHORE) === 0) return NOTHING;
    const chunk = dataWord + this.#readPt;
    if (Atomics.load(words, chunk + 1) !== ChunkMagic.LIVE) return BROKEN;
    if (!this.#take()) return NOTHING;
    return this.#accept(chunk);
  }

  /** `peek` for a client that has already decremented the semaphore, by waiting on it. */
  peekTaken(): number {
    const { words, dataWord } = this.#memory;
    const chunk = dataWord + this.#readPt;
    if (Atomics.load(words, chunk + 1) !== ChunkMagic.LIVE) return BROKEN;
    return this.#accept(chunk);
  }

  #accept(chunk: number): number {
    const size = this.#memory.words[chunk] ?? 0;
    if (size < this.#minBytes || size > this.#maxBytes) return BROKEN;
    this.#size = size;
    return size;
  }

  /** Copies the payload to the start of `scratch`, which must have room for it. */
  copyTo(scratch: Scratch): void {
    const { words, bytes, dataWord } = this.#memory;
    const size = this.#size;
    const from = dataWord + this.#readPt + CHUNK_HEADER_WORDS;
    const count = (size + 3) >> 2;
    if (count <= LOOP_WORDS) {
      for (let i = 0; i < count; i++) scratch.words[i] = words[from + i] ?? 0;
    } else {
      bytes.copy(scratch.bytes, 0, from * 4, from * 4 + size);
    }
    for (let at = size; at < size + ZERO_TAIL_BYTES; at++) scratch.bytes[at] = 0;
  }

  /** Frees the chunk's space for the writer. */
  reclaim(): void {
    const { words, headerWord, dataWord, wordCount } = this.#memory;
    const chunk = dataWord + this.#readPt;
    const next = this.#readPt + CHUNK_HEADER_WORDS + ((this.#size + 3) >> 2);
    this.#readPt = next >= wordCount ? next - wordCount : next;
    words[chunk] = 0;
    Atomics.store(words, chunk + 1, ChunkMagic.DEAD);
    // Last: as soon as the writer sees this, it may write its next chunk here.
    Atomics.store(words, headerWord + READ_PT, this.#readPt);
  }

  #take(): boolean {
    const { words, headerWord } = this.#memory;
    const at = headerWord + SEMAPHORE;
    let value = Atomics.load(words, at);
    for (let attempt = 0; attempt < TAKE_ATTEMPTS && value !== 0; attempt++) {
      const seen = Atomics.compareExchange(words, at, value, value - 1);
      if (seen === value) return true;
      value = seen;
    }
    return false;
  }
}

/** The writing end. */
export class RingWriter {
  readonly memory: RingMemory;
  #writePt = 0;
  #allocated = 0;
  #hasWoken = false;

  constructor(memory: RingMemory) {
    this.memory = memory;
  }

  /** Whether the reader had to be woken for the last chunk. */
  get hasWoken(): boolean {
    return this.#hasWoken;
  }

  /** Most payload bytes of a chunk in an empty ring. */
  get capacity(): number {
    return this.memory.wordCount * 4 - CHUNK_MARGIN_BYTES;
  }

  /**
   * The offset in `bytes` of the next chunk's payload, for `size` bytes. EMSGSIZE: they never fit;
   * EAGAIN: no room until the reader reads; EPROTO: the reader's index is outside the ring.
   */
  nextPayload(size: number): number {
    const { words, headerWord, dataWord, wordCount } = this.memory;
    if (size + CHUNK_MARGIN_BYTES > wordCount * 4) return Errno.EMSGSIZE;
    const readPt = Atomics.load(words, headerWord + READ_PT) >>> 0;
    if (readPt >= wordCount) return Errno.EPROTO;
    if (this.#freeWords(readPt) * 4 < size + CHUNK_MARGIN_BYTES) return Errno.EAGAIN;
    return (dataWord + this.#writePt + CHUNK_HEADER_WORDS) * 4;
  }

  /** `nextPayload`, and allocates the chunk. Call commit next. */
  allocChunk(size: number): number {
    const at = this.nextPayload(size);
    if (at < 0) return at;
    const { words, dataWord } = this.memory;
    const chunk = dataWord + this.#writePt;
    words[chunk] = 0;
    Atomics.store(words, chunk + 1, ChunkMagic.ALLOC);
    this.#allocated = size;
    return at;
  }

  /** Free words; the writer's part of qb_rb_space_free (ringbuffer.c). */
  #freeWords(readPt: number): number {
    const { words, headerWord, wordCount } = this.memory;
    const distance = readPt - this.#writePt;
    if (distance < 0) return distance + wordCount - 1;
    if (distance > 0) return distance - 1;
    return Atomics.load(words, headerWord + SEMAPHORE) === 0 ? wordCount : 0;
  }

  /** Publishes the allocated chunk and wakes the reader. EPROTO: the semaphore is corrupt. */
  commit(): 0 | Errno {
    const { words, headerWord, dataWord, wordCount, semaphoreAddress } = this.memory;
    const chunk = dataWord + this.#writePt;
    const next = this.#writePt + CHUNK_HEADER_WORDS + ((this.#allocated + 3) >> 2);
    this.#writePt = next >= wordCount ? next - wordCount : next;
    words[chunk] = this.#allocated;
    Atomics.store(words, headerWord + WRITE_PT, this.#writePt);
    Atomics.store(words, chunk + 1, ChunkMagic.LIVE);
    const before = Atomics.add(words, headerWord + SEMAPHORE, 1);
    if (before < 0 || before >= SEMAPHORE_MAX) return Errno.EPROTO;
    // A waiter counts itself before it sleeps (glibc), so one check after the post suffices.
    this.#hasWoken = Atomics.load(words, headerWord + WAITERS) !== 0;
    if (this.#hasWoken) wakeOne(semaphoreAddress);
    return 0;
  }
}
