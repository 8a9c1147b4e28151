/** A reply that waits for room keeps its bytes, whatever other clients ask meanwhile. */
import { expect, test } from "bun:test";
import { Connection, type ConnectionHost } from "../../src/ipc/connection.ts";
import type { Request } from "../../src/ipc/handler.ts";
import { ScratchPool } from "../../src/ipc/scratch.ts";
import { PollLimits } from "../../src/limits.ts";
import { RingDirectory, SHM } from "../../src/memory/ring-directory.ts";
import { newScratch, RingReader, RingWriter } from "../../src/memory/ring.ts";
import { Directory } from "../../src/platform/files.ts";
import { PAGE_BYTES } from "../../src/platform/memory.ts";
import { RequestHeader, ResponseHeader } from "../../src/wire/qb.ts";

const BODY = 1000;

function ask(client: RingWriter, byte: number): void {
  const at = client.claim(RequestHeader.size + BODY);
  const { words, bytes } = client.memory;
  words[(at + RequestHeader.offset.id) >> 2] = 1;
  words[(at + RequestHeader.offset.size) >> 2] = RequestHeader.size + BODY;
  bytes.fill(byte, at + RequestHeader.size, at + RequestHeader.size + BODY);
  client.commit();
}

/** Answers with the request's own memory. */
function handle({ span }: Request): Buffer {
  return span.bytes.subarray(span.at, span.at + span.size);
}

test("a held reply that lies in its request's memory is not the next client's", () => {
  const shm = Directory.open(SHM);
  if (typeof shm === "number") throw new Error(`errno ${-shm}`);
  using directory = shm;
  const make = (name: string): RingDirectory => {
    const made = RingDirectory.make(directory, `${name}-${process.pid}`, PAGE_BYTES);
    if (typeof made === "number") throw new Error(`errno ${-made}`);
    return made;
  };
  using first = make("first");
  using second = make("second");
  const host: ConnectionHost = {
    handler: { authenticate: () => "read-write", handle },
    scratch: new ScratchPool(PAGE_BYTES),
    queuedRequests: 8,
    outstandingNotifies: 3,
    poll: PollLimits,
    stalled: () => {},
    more: () => {},
    ended: () => {},
    discard: () => {},
  };
  const caller = { pid: 1, uid: 0, gid: 0, permissions: "read-write" } as const;
  const wire = { fd: -1, close: () => {}, notify: () => 0 };
  const connect = (number: number, rings: RingDirectory) =>
    new Connection(number, caller, rings, PAGE_BYTES - 13, wire, host);
  const one = connect(1, first);
  const other = connect(2, second);
  const client = new RingWriter(first.set.rings.request);
  let asked = 0;
  while (one.stalledSince === undefined && asked < 20) {
    ask(client, ++asked);
    one.serve(1);
  }
  expect(one.stalledSince).toBeDefined();
  ask(new RingWriter(second.set.rings.request), 0xee);
  expect(other.serve(1)).toBe(1);
  const answers = new RingReader(first.set.rings.response, ResponseHeader.size, PAGE_BYTES);
  const scratch = newScratch(PAGE_BYTES);
  for (let answer = 1; answer <= asked; answer++) {
    if (answer === asked) expect(one.retry()).toBe(true);
    const size = answers.peek();
    expect(size).toBe(ResponseHeader.size + BODY);
    answers.copyTo(scratch);
    answers.reclaim();
    const body = scratch.bytes.subarray(ResponseHeader.size, size);
    expect(body.equals(Buffer.alloc(BODY, answer))).toBe(true);
  }
  for (const each of [one, other]) each.disconnect("done");
});
