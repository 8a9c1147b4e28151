/**
 * One ring in shared memory: chunks in, chunks out (libqb ringbuffer.c). A reader and a writer,
 * each with a private copy of its own index; the peer's index, sizes and magic are read once and
 * checked against bounds. The memory belongs to a RingSet.
 */
import { Errno } from "../base/errno.ts";
import { wakeOne } from "../platform/futex.ts";
import { CHUNK_HEADER_WORDS, CHUNK_MARGIN_BYTES, ChunkMagic, RingHeader } from "../wire/qb.ts";

/** The memory of one ring: indices in words of `words`, offsets in bytes of `bytes`. */
export interface RingMemory {
  readonly words: Int32Array;
  readonly bytes: Buffer;
  /** Where the ring's header starts, in words of `words`. */
  readonly headerWord: number;
  /** Where its data starts, in words; mapped twice, so a chunk never wraps. */
  readonly dataWord: number;
  /** Words of data (libqb's word_size), our own copy. */
  readonly wordCount: number;
  /** Address of the semaphore, for the system call that wakes a waiter. */
  readonly semaphoreAddress: number;
}

const READ_PT = RingHeader.readPt >> 2;
const WRITE_PT = RingHeader.writePt >> 2;
const SEMAPHORE = RingHeader.semaphore >> 2;
const WAITERS = RingHeader.semaphoreWaiters >> 2;

/** glibc's SEM_VALUE_MAX; a value at or above it has been scribbled. */
const SEMAPHORE_MAX = 0x7fffffff;

/** Attempts at a compare-and-swap; after them the peer counts as corrupting the semaphore. */
const TAKE_ATTEMPTS = 64;

/** Copies up to this many words in a loop: under it the loop beats the native call (17 ns). */
const LOOP_WORDS = 16;

/** `peek` found nothing to read. */
export const NOTHING = 0;
/** `peek` found what no libqb client writes; the connection must end. */
export const BROKEN = -1;

/** Private memory that messages are copied to before they are parsed, in two views. */
export interface Scratch {
  readonly bytes: Buffer;
  readonly words: Int32Array;
}

/** Zero bytes that follow every copied message: a struct may be read across its short end. */
const ZERO_TAIL_BYTES = 4;

/** Private memory for messages of at most `size` bytes and the zeros after them. */
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

  /** Words between our index and the writer's, by the shared header: a hint for flow control. */
  get backlogWords(): number {
    const { words, headerWord, wordCount } = this.#memory;
    const writePt = (Atomics.load(words, headerWord + WRITE_PT) >>> 0) % wordCount;
    return writePt < this.#readPt ? writePt + wordCount - this.#readPt : writePt - this.#readPt;
  }

  /** Chunks to read, by the semaphore's value: a hint; `peek` decides. */
  get pendingCount(): number {
    const { words, headerWord } = this.#memory;
    return Atomics.load(words, headerWord + SEMAPHORE) >>> 0;
  }

  /**
   * Takes the semaphore for the next chunk: its payload bytes, NOTHING or BROKEN. The semaphore
   * counts committed chunks, so a value without one is a broken peer. Follow with copyTo, reclaim.
   */
  peek(): number {
    const { words, headerWord, dataWord } = this.#memory;
    if (Atomics.load(words, headerWord + SEMAPHORE) === 0) return NOTHING;
    const chunk = dataWord + this.#readPt;
    if (Atomics.load(words, chunk + 1) !== ChunkMagic.LIVE) return BROKEN;
    if (!this.#take()) return NOTHING;
    return this.#accept(chunk);
  }

  /** `peek` for a reader that has taken the semaphore already (a client that waited on it). */
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

  /** Copies the peeked payload to the start of `scratch`, which must have room for it. */
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

  /** Gives the peeked chunk's space back to the writer. */
  reclaim(): void {
    const { words, headerWord, dataWord, wordCount } = this.#memory;
    const chunk = dataWord + this.#readPt;
    const next = this.#readPt + CHUNK_HEADER_WORDS + ((this.#size + 3) >> 2);
    this.#readPt = next >= wordCount ? next - wordCount : next;
    words[chunk] = 0;
    Atomics.store(words, chunk + 1, ChunkMagic.DEAD);
    // Last: a fast writer may write its next chunk here as soon as it sees this.
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
  #wakes = 0;

  constructor(memory: RingMemory) {
    this.memory = memory;
  }

  /** How often its reader slept when a chunk was published. */
  get wakes(): number {
    return this.#wakes;
  }

  /** Payload bytes that fit an empty ring. */
  get capacity(): number {
    return this.memory.wordCount * 4 - CHUNK_MARGIN_BYTES;
  }

  /**
   * Allocates a chunk of `size` payload bytes; the byte offset of its payload in the ring's
   * `bytes`. EMSGSIZE: never fits; EAGAIN: no room until the reader reads; EPROTO: the reader's
   * index lies outside the ring. Follow with commit.
   */
  allocChunk(size: number): number {
    const { words, headerWord, dataWord, wordCount } = this.memory;
    if (size + CHUNK_MARGIN_BYTES > wordCount * 4) return Errno.EMSGSIZE;
    const readPt = Atomics.load(words, headerWord + READ_PT) >>> 0;
    if (readPt >= wordCount) return Errno.EPROTO;
    if (this.#freeWords(readPt) * 4 < size + CHUNK_MARGIN_BYTES) return Errno.EAGAIN;
    const chunk = dataWord + this.#writePt;
    words[chunk] = 0;
    Atomics.store(words, chunk + 1, ChunkMagic.ALLOC);
    this.#allocated = size;
    return (chunk + CHUNK_HEADER_WORDS) * 4;
  }

  /** Words free for a chunk; the writer's half of qb_rb_space_free (ringbuffer.c). */
  #freeWords(readPt: number): number {
    const { words, headerWord, wordCount } = this.memory;
    const distance = readPt - this.#writePt;
    if (distance < 0) return distance + wordCount - 1;
    if (distance > 0) return distance - 1;
    return Atomics.load(words, headerWord + SEMAPHORE) === 0 ? wordCount : 0;
  }

  /** Publishes the allocated chunk and wakes its reader. EPROTO: the semaphore was scribbled. */
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
    // A waiter announces itself before it sleeps (glibc), so one look after the post suffices.
    if (Atomics.load(words, headerWord + WAITERS) !== 0) {
      this.#wakes++;
      wakeOne(semaphoreAddress);
    }
    return 0;
  }
}
