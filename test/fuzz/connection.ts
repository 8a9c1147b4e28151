/**
 * Fuzzer of a connection over rings whose client sends arbitrary messages and overwrites shared
 * memory: the connection answers, or ends once with a reason, and never throws.
 */
import fc from "fast-check";
import { Errno } from "../../src/base/errno.ts";
import type { CloseReason } from "../../src/ipc/connection/close-reason.ts";
import { NO_REPLY, type Reply, type Request } from "../../src/ipc/handler.ts";
import { RingWriter } from "../../src/shm/ring.ts";
import { PAGE_BYTES } from "../../src/platform/memory.ts";
import { RingHeader } from "../../src/wire/qb.ts";
import { connectionOver, hostOf, makeRings, MAX_MESSAGE } from "../support/connection.ts";
import { clear, scribble } from "./rings.ts";

/** Answers in each way that a handler can, by the low bits of the id. */
function answer({ id, span }: Request): Reply | Promise<Reply> {
  switch (id & 7) {
    case 0:
      throw new Error("asked to fail");
    case 1:
      return Errno.EIO;
    case 2:
      return new Uint8Array(PAGE_BYTES * 3);
    case 3:
      return Promise.resolve(Errno.EAGAIN);
    case 4:
      return NO_REPLY;
    case 5:
      return Promise.resolve({ id: id ^ 7, error: -id, body: new Uint8Array(id & 0xff) });
    default:
      return span.bytes.subarray(span.at, span.at + span.size);
  }
}

interface Message {
  readonly id: number;
  readonly size: number;
  /** The size in the header, if not `size`. */
  readonly claimed: number | undefined;
}

const message: fc.Arbitrary<Message> = fc.record({
  id: fc.oneof(fc.integer({ min: -4, max: 20 }), fc.integer()),
  size: fc.oneof(fc.integer({ min: 16, max: 200 }), fc.nat(MAX_MESSAGE)),
  claimed: fc.option(fc.integer(), { nil: undefined }),
});

/** Writes a message as a client does, except for the size in the header. */
function send(writer: RingWriter, { id, size, claimed }: Message): void {
  const at = writer.allocChunk(size);
  if (at < 0) return;
  writer.memory.words[at >> 2] = id;
  writer.memory.words[(at >> 2) + 2] = claimed ?? size;
  writer.commit();
}

/** The connection serves at most its limit of requests, and ends at most once. */
export function connectionFuzzer(kept: DisposableStack): fc.IProperty<unknown> {
  const rings = makeRings("fuzz-connection", kept);
  const { request, response } = rings.set.rings;
  const host = hostOf(answer, { outstandingNotifies: 10 });
  const step = fc.record({
    messages: fc.array(message, { maxLength: 4 }),
    scribbles: fc.array(scribble, { maxLength: 3 }),
    readAll: fc.boolean(),
    limit: fc.integer({ min: 1, max: 70 }),
  });
  return fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
    clear(rings.set);
    const ends: CloseReason[] = [];
    const onEnded = (_: unknown, reason: CloseReason) => void ends.push(reason);
    const connection = connectionOver(rings, { ...host, onEnded });
    const client = new RingWriter(request);
    for (const { messages, scribbles, readAll, limit } of steps) {
      for (const each of messages) send(client, each);
      for (const { at, value } of scribbles) request.words[request.dataWord + at] = value;
      connection.retry();
      const served = connection.serve(limit);
      if (served < 0 || served > limit) throw new Error(`served ${served} of ${limit}`);
      if (!readAll) continue;
      const { words, headerWord } = response;
      words[headerWord + (RingHeader.readPt >> 2)] = words[headerWord] ?? 0;
      words[headerWord + (RingHeader.semaphore >> 2)] = 0;
    }
    if (ends.length > 1) throw new Error("it ended more than once");
    if (connection.ended !== (ends.length === 1)) throw new Error("it ended without a reason");
    connection.disconnect("done");
  });
}
