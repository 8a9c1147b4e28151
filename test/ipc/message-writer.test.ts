/**
 * Messages that are copied to their place in the ring before they are asked for: only a large
 * constant body that was sent twice, only where there is room, and never in place of another one.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Errno } from "../../src/base/errno.ts";
import { MessageWriter } from "../../src/ipc/connection/message-writer.ts";
import {
  newScratch,
  NOTHING,
  type RingMemory,
  RingReader,
  RingWriter,
} from "../../src/shm/ring.ts";
import { PAGE_BYTES } from "../../src/platform/memory.ts";
import { ResponseHeader } from "../../src/wire/qb.ts";
import { makeRings } from "../support/connection.ts";

const RING_BYTES = 16 * PAGE_BYTES;
const LARGE = 6000;

interface Ends {
  readonly writer: MessageWriter;
  readonly memory: RingMemory;
  /** The body of the next message; undefined if there is none. */
  read(): Buffer | undefined;
}

function open(kept: DisposableStack, isConstant: boolean, ringBytes = RING_BYTES): Ends {
  const memory = makeRings("message-writer", kept, ringBytes).set.rings.response;
  const reader = new RingReader(memory, ResponseHeader.size, ringBytes);
  const scratch = newScratch(ringBytes);
  const read = (): Buffer | undefined => {
    const size = reader.peek();
    if (size === NOTHING) return undefined;
    reader.copyTo(scratch);
    reader.reclaim();
    return Buffer.from(scratch.bytes.subarray(ResponseHeader.size, size));
  };
  return { writer: new MessageWriter(new RingWriter(memory), isConstant), memory, read };
}

function body(bytes: number, seed: number): Buffer {
  return Buffer.from(Array.from({ length: bytes }, (_, index) => (seed + index) & 0xff));
}

/** How often `whole` is in the data of the ring, which is mapped twice. */
function copies({ bytes, dataWord, wordCount }: RingMemory, whole: Buffer): number {
  let count = 0;
  const from = dataWord * 4;
  for (let at = bytes.indexOf(whole, from); at >= 0; at = bytes.indexOf(whole, at + 1)) {
    if (at < from + wordCount * 4) count++;
  }
  return count;
}

function clear({ words, dataWord, wordCount }: RingMemory): void {
  words.fill(0, dataWord, dataWord + wordCount);
}

function sendTwice({ writer, read }: Ends, whole: Buffer): void {
  for (let turn = 0; turn < 2; turn++) {
    expect(writer.write(1, 0, whole)).toBe(0);
    expect(read()?.equals(whole)).toBe(true);
  }
}

test("a large constant body that was sent twice is copied beforehand, and only once", () => {
  using kept = new DisposableStack();
  const { writer, memory, read } = open(kept, true);
  const large = body(LARGE, 1);
  const counts: number[] = [];
  writer.prepare();
  for (let turn = 0; turn < 3; turn++) {
    expect(writer.write(1, 0, large)).toBe(0);
    expect(read()).toEqual(large);
    writer.prepare();
    writer.prepare();
    counts.push(copies(memory, large));
  }
  expect(counts).toEqual([1, 3, 4]);
});

test("a body that may change is sent as it is then", () => {
  using kept = new DisposableStack();
  const { writer, read } = open(kept, false);
  writer.prepare();
  const changing = body(LARGE, 1);
  for (let turn = 0; turn < 4; turn++) {
    changing[17] = turn;
    expect(writer.write(1, 0, changing)).toBe(0);
    expect(read()?.[17]).toBe(turn);
    writer.prepare();
  }
});

test("without room, and after `forget`, nothing is copied beforehand", () => {
  using kept = new DisposableStack();
  const { writer, memory, read } = open(kept, true);
  const half = body(RING_BYTES / 2, 3);
  writer.prepare();
  for (let turn = 0; turn < 2; turn++) {
    expect(writer.write(1, 0, half)).toBe(0);
    writer.prepare();
    expect(read()).toEqual(half);
  }
  // The second message lies over the start of the first.
  expect(copies(memory, half)).toBe(1);
  clear(memory);
  writer.prepare();
  expect(copies(memory, half)).toBe(1);
  clear(memory);
  writer.forget();
  writer.prepare();
  expect(copies(memory, half)).toBe(0);
});

test("a body of more than 1 MiB, and one that nobody waits for, is not copied beforehand", () => {
  using kept = new DisposableStack();
  const ends = open(kept, true, 4 << 20);
  const { writer, memory } = ends;
  const large = body((1 << 20) + 1, 5);
  writer.prepare();
  sendTwice(ends, large);
  clear(memory);
  writer.prepare();
  expect(copies(memory, large)).toBe(0);
  const small = body(LARGE, 5);
  writer.forget();
  sendTwice(ends, small);
  clear(memory);
  writer.prepare();
  expect(copies(memory, small)).toBe(0);
});

test("every message has its body, whatever was copied beforehand", () => {
  const bodies = [body(0, 9), body(LARGE, 1), body(LARGE, 2), body(LARGE + 1, 3), body(100, 4)];
  const step = fc.oneof(
    fc.nat({ max: bodies.length - 1 }),
    fc.constantFrom("prepare" as const, "read" as const, "forget" as const),
  );
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 200 }), (steps) => {
      using kept = new DisposableStack();
      const { writer, read } = open(kept, true);
      const expected: Buffer[] = [];
      for (const each of steps) {
        if (each === "prepare") writer.prepare();
        else if (each === "forget") writer.forget();
        else if (each === "read") expect(read()).toEqual(expected.shift());
        else {
          const chosen = bodies[each] ?? Buffer.alloc(0);
          const result = writer.write(1, 0, chosen);
          expect([0, Errno.EAGAIN]).toContain(result);
          if (result === 0) expected.push(chosen);
        }
      }
      for (const left of expected) expect(read()).toEqual(left);
    }),
    { numRuns: 200 },
  );
});
