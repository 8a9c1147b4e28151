/**
 * The ring compared with a model (an array of messages), in real shared memory: random sequences of
 * writes and reads, wrap-around, odd sizes, a full ring, a ring one byte short of full, a chunk at
 * the end of the ring; and chunks that no libqb client writes.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Errno } from "../../src/base/errno.ts";
import { RingDirectory } from "../../src/shm/ring-directory.ts";
import {
  BROKEN,
  newScratch,
  NOTHING,
  RingReader,
  type RingMemory,
  RingWriter,
} from "../../src/shm/ring.ts";
import type { Directory } from "../../src/platform/files.ts";
import { PAGE_BYTES } from "../../src/platform/memory.ts";
import { CHUNK_MARGIN_BYTES, ChunkMagic, RingHeader } from "../../src/wire/qb.ts";
import { openShm } from "../support/shm.ts";

const DATA_BYTES = PAGE_BYTES;
const MIN_BYTES = 16;

let shm: Directory;

/** A new ring of one page, with a reader and a writer. */
function open(): Disposable & { memory: RingMemory; reader: RingReader; writer: RingWriter } {
  const made = RingDirectory.make(shm, `ring-${process.pid}`, DATA_BYTES);
  if (typeof made === "number") throw new Error(`no ring: errno ${-made}`);
  const memory = made.set.rings.request;
  return {
    memory,
    reader: new RingReader(memory, MIN_BYTES, DATA_BYTES),
    writer: new RingWriter(memory),
    [Symbol.dispose]: () => made[Symbol.dispose](),
  };
}

const scratch = newScratch(DATA_BYTES);

/** Writes `size` bytes that start with `seed`; 0 or an errno. */
function write(writer: RingWriter, size: number, seed: number): number {
  const at = writer.allocChunk(size);
  if (at < 0) return at;
  for (let i = 0; i < size; i++) writer.memory.bytes[at + i] = (seed + i) & 0xff;
  return writer.commit();
}

/** Reads one message: its bytes, or the result of `peek`. */
function read(reader: RingReader): Buffer | number {
  const size = reader.peek();
  if (size <= 0) return size;
  reader.copyTo(scratch);
  reader.reclaim();
  return Buffer.from(scratch.bytes.subarray(0, size));
}

function message(size: number, seed: number): Buffer {
  return Buffer.from(Array.from({ length: size }, (_, i) => (seed + i) & 0xff));
}

/** Words of a chunk: two for the header, and the payload rounded up. */
function chunkWords(size: number): number {
  return 2 + Math.ceil(size / 4);
}

/** Commits one message, overwrites shared memory, and reads. */
function peekScribbled(scribble: (memory: RingMemory, chunk: number) => void): number {
  using ring = open();
  expect(write(ring.writer, 64, 0)).toBe(0);
  scribble(ring.memory, ring.memory.dataWord);
  return ring.reader.peek();
}

beforeAll(() => {
  shm = openShm();
});

afterAll(() => shm[Symbol.dispose]());

describe("against a model", () => {
  test("random writes and reads: the ring is a queue, and full exactly when libqb says so", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("write"), size: fc.integer({ min: MIN_BYTES, max: 1500 }) }),
      fc.record({ kind: fc.constant("read"), size: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), fc.nat(255), (steps, seed) => {
        using ring = open();
        const queue: Buffer[] = [];
        let taken = 0;
        for (const [index, { kind, size }] of steps.entries()) {
          if (kind === "read") {
            const got = read(ring.reader);
            const want = queue.shift();
            if (want === undefined) expect(got).toBe(NOTHING);
            else {
              expect(got).toEqual(want);
              taken -= chunkWords(want.length);
            }
            continue;
          }
          const total = DATA_BYTES / 4;
          const free = queue.length === 0 ? total : total - taken - 1;
          const fits = free * 4 >= size + CHUNK_MARGIN_BYTES;
          const result = write(ring.writer, size, seed + index);
          expect(result).toBe(fits ? 0 : Errno.EAGAIN);
          if (!fits) continue;
          queue.push(message(size, seed + index));
          taken += chunkWords(size);
        }
        for (const want of queue) expect(read(ring.reader)).toEqual(want);
        expect(read(ring.reader)).toBe(NOTHING);
      }),
      { numRuns: 300 },
    );
  });

  test("messages of every odd size are read unchanged, many times around the ring", () => {
    using ring = open();
    for (let round = 0; round < 40; round++) {
      for (let size = MIN_BYTES; size < 160; size++) {
        expect(write(ring.writer, size, size + round)).toBe(0);
        expect(read(ring.reader)).toEqual(message(size, size + round));
      }
    }
  });
});

describe("edges", () => {
  test("the largest message fits in an empty ring, one byte more does not", () => {
    using ring = open();
    expect(ring.writer.capacity).toBe(DATA_BYTES - CHUNK_MARGIN_BYTES);
    expect(write(ring.writer, ring.writer.capacity + 1, 0)).toBe(Errno.EMSGSIZE);
    expect(write(ring.writer, ring.writer.capacity, 7)).toBe(0);
    expect(read(ring.reader)).toEqual(message(ring.writer.capacity, 7));
  });

  test("a ring that is one byte short of room is full, and has room after a read", () => {
    using ring = open();
    const first = 1000;
    expect(write(ring.writer, first, 1)).toBe(0);
    const freeWords = DATA_BYTES / 4 - (2 + first / 4) - 1;
    const fits = freeWords * 4 - CHUNK_MARGIN_BYTES;
    expect(write(ring.writer, fits + 1, 2)).toBe(Errno.EAGAIN);
    expect(write(ring.writer, fits, 3)).toBe(0);
    expect(write(ring.writer, MIN_BYTES, 4)).toBe(Errno.EAGAIN);
    expect(read(ring.reader)).toEqual(message(first, 1));
    expect(write(ring.writer, MIN_BYTES, 5)).toBe(0);
    expect(read(ring.reader)).toEqual(message(fits, 3));
    expect(read(ring.reader)).toEqual(message(MIN_BYTES, 5));
  });

  test("after a chunk at the end of the ring the next one is at its start", () => {
    using ring = open();
    const first = 1000;
    expect(write(ring.writer, first, 1)).toBe(0);
    expect(read(ring.reader)).toEqual(message(first, 1));
    const rest = DATA_BYTES - (8 + first) - 8;
    expect(write(ring.writer, rest, 2)).toBe(0);
    expect(ring.memory.words[ring.memory.headerWord + (RingHeader.writePt >> 2)]).toBe(0);
    expect(read(ring.reader)).toEqual(message(rest, 2));
    expect(write(ring.writer, 32, 3)).toBe(0);
    expect(read(ring.reader)).toEqual(message(32, 3));
  });

  test("an empty ring whose semaphore is posted counts as full, as for libqb's writer", () => {
    using ring = open();
    Atomics.store(ring.memory.words, ring.memory.headerWord + (RingHeader.semaphore >> 2), 1);
    expect(write(ring.writer, MIN_BYTES, 0)).toBe(Errno.EAGAIN);
  });
});

describe("memory that no libqb client writes", () => {
  test.each([0, 1, 8, 15, DATA_BYTES - CHUNK_MARGIN_BYTES + 1, 0x7fffffff, 0xffffffff | 0])(
    "a chunk of size %d is broken",
    (size) => {
      const said = peekScribbled((memory, chunk) => {
        memory.words[chunk] = size;
      });
      expect(said).toBe(BROKEN);
    },
  );

  test.each([ChunkMagic.ALLOC, ChunkMagic.DEAD, 0, 0x12345678])(
    "magic %d with the semaphore posted is broken",
    (magic) => {
      const said = peekScribbled((memory, chunk) => {
        memory.words[chunk + 1] = magic;
      });
      expect(said).toBe(BROKEN);
    },
  );

  test("a huge semaphore without messages is broken, not a message", () => {
    using ring = open();
    const at = ring.memory.headerWord + (RingHeader.semaphore >> 2);
    Atomics.store(ring.memory.words, at, 0xffffffff | 0);
    expect(ring.reader.peek()).toBe(BROKEN);
  });

  test("a wrong index of the writer has no effect: the reader uses its own", () => {
    using ring = open();
    expect(write(ring.writer, 64, 9)).toBe(0);
    const { words, headerWord } = ring.memory;
    words[headerWord + (RingHeader.writePt >> 2)] = 0x7fffffff;
    words[headerWord + (RingHeader.readPt >> 2)] = 0x7fffffff;
    words[headerWord + (RingHeader.wordCount >> 2)] = 3;
    expect(read(ring.reader)).toEqual(message(64, 9));
  });

  test.each([DATA_BYTES / 4, 0x7fffffff, -1])("a reader's index of %d is EPROTO", (index) => {
    using ring = open();
    ring.memory.words[ring.memory.headerWord + (RingHeader.readPt >> 2)] = index;
    expect(write(ring.writer, 64, 0)).toBe(Errno.EPROTO);
  });

  test("a semaphore at its maximum is broken", () => {
    using ring = open();
    const at = ring.memory.headerWord + (RingHeader.semaphore >> 2);
    expect(write(ring.writer, 64, 0)).toBe(0);
    Atomics.store(ring.memory.words, at, 0x7fffffff);
    expect(write(ring.writer, 64, 0)).toBe(Errno.EPROTO);
  });
});
