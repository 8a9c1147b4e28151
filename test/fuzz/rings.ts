/** Fuzzers of rings whose peer writes arbitrary values at any place between two of our steps. */
import fc from "fast-check";
import { Errno } from "../../src/base/errno.ts";
import { newScratch, RingReader, RingWriter } from "../../src/shm/ring.ts";
import type { RingSet } from "../../src/shm/ring-set.ts";
import { PAGE_BYTES } from "../../src/platform/memory.ts";
import { ChunkMagic, RingHeader } from "../../src/wire/qb.ts";
import { makeRings } from "../support/connection.ts";

const MIN_BYTES = 16;
const MAX_BYTES = 2000;
/** Value of the bytes after the memory for a message, which must stay unchanged. */
const FENCE = 0x5c;

/** One write by the peer: a word of the header or of the data, and its new value. */
export interface Scribble {
  readonly at: number;
  readonly value: number;
}

const interesting = fc.constantFrom(
  ChunkMagic.LIVE,
  ChunkMagic.ALLOC,
  ChunkMagic.DEAD,
  0,
  1,
  15,
  16,
  17,
  100,
  PAGE_BYTES,
  -1,
  0x7fffffff,
  -0x80000000,
);

/** Words near the start of a ring, where a reader begins, more often than others. */
export const scribble: fc.Arbitrary<Scribble> = fc.record({
  at: fc.oneof(fc.nat(40), fc.nat(PAGE_BYTES / 4 - 1)),
  value: fc.oneof(interesting, interesting, fc.integer()),
});

/** Zeroes the rings, so that each run begins with the same state. */
export function clear(set: RingSet): void {
  for (const { words, headerWord, dataWord, wordCount } of Object.values(set.rings)) {
    words.fill(0, headerWord, headerWord + RingHeader.fileBytes / 4);
    words.fill(0, dataWord, dataWord + wordCount);
  }
}

const SEMAPHORE = RingHeader.semaphore >> 2;
const READ_PT = RingHeader.readPt >> 2;

/** The reader returns chunks of allowed sizes, or an error; it never reads outside the ring. */
export function ringReaderFuzzer(kept: DisposableStack): fc.IProperty<unknown> {
  const { set } = makeRings("fuzz-reader", kept);
  const { request } = set.rings;
  const scratch = newScratch(MAX_BYTES + 64);
  const steps = fc.array(fc.array(scribble, { maxLength: 6 }), { maxLength: 12 });
  return fc.property(steps, fc.nat(50), (rounds, posted) => {
    clear(set);
    scratch.bytes.fill(FENCE);
    const reader = new RingReader(request, MIN_BYTES, MAX_BYTES);
    request.words[request.headerWord + SEMAPHORE] = posted;
    for (const scribbles of rounds) {
      for (const { at, value } of scribbles) request.words[request.dataWord + at] = value;
      const size = reader.peek();
      if (size <= 0) continue;
      if (size < MIN_BYTES || size > MAX_BYTES) throw new Error(`read a chunk of ${size} bytes`);
      reader.copyTo(scratch);
      reader.reclaim();
      const readPt = request.words[request.headerWord + READ_PT] ?? -1;
      if (readPt < 0 || readPt >= request.wordCount) throw new Error(`read_pt is ${readPt}`);
      if (reader.backlogWords < 0 || reader.backlogWords > request.wordCount)
        throw new Error(`a backlog of ${reader.backlogWords} words`);
    }
    if (scratch.bytes.subarray(MAX_BYTES + 4).some((byte) => byte !== FENCE))
      throw new Error(`copied more than ${MAX_BYTES} bytes`);
  });
}

const ALLOWED = new Set<number>([Errno.EMSGSIZE, Errno.EAGAIN, Errno.EPROTO]);

/** The writer allocates inside its ring, or returns an error, whatever index the reader writes. */
export function ringWriterFuzzer(kept: DisposableStack): fc.IProperty<unknown> {
  const { set } = makeRings("fuzz-writer", kept);
  const { response } = set.rings;
  const step = fc.record({
    size: fc.oneof(fc.nat(200), fc.nat(PAGE_BYTES * 2)),
    readPt: fc.option(fc.oneof(fc.nat(PAGE_BYTES / 4), fc.integer()), { nil: undefined }),
    semaphore: fc.option(fc.oneof(fc.constant(0), fc.integer()), { nil: undefined }),
  });
  return fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
    clear(set);
    const writer = new RingWriter(response);
    const first = response.dataWord * 4;
    for (const { size, readPt, semaphore } of steps) {
      if (readPt !== undefined) response.words[response.headerWord + READ_PT] = readPt;
      if (semaphore !== undefined) response.words[response.headerWord + SEMAPHORE] = semaphore;
      const at = writer.allocChunk(size);
      if (at < 0 && !ALLOWED.has(at)) throw new Error(`allocChunk returned ${at}`);
      if (at < 0) continue;
      if (at < first || at + size > first + 2 * PAGE_BYTES) throw new Error(`allocated at ${at}`);
      response.bytes.fill(1, at, at + size);
      const committed = writer.commit();
      if (committed !== 0 && committed !== Errno.EPROTO) throw new Error(`commit ${committed}`);
    }
  });
}
