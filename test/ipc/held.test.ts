/** A reply that waits for room is not changed by requests of other clients meanwhile. */
import { expect, test } from "bun:test";
import type { Request } from "../../src/ipc/handler.ts";
import { newScratch, RingReader } from "../../src/shm/ring.ts";
import { PAGE_BYTES } from "../../src/platform/memory.ts";
import { ResponseHeader } from "../../src/wire/qb.ts";
import { asker, connectionOver, hostOf, makeRings } from "../support/connection.ts";

const BODY = 1000;

/** Answers with the request's memory. */
function handle({ span }: Request): Buffer {
  return span.bytes.subarray(span.at, span.at + span.size);
}

test("a held reply in its request's memory is not overwritten by the next client's request", () => {
  using kept = new DisposableStack();
  const first = makeRings("first", kept);
  const second = makeRings("second", kept);
  // Shared by all connections of a service, as is the memory of requests.
  const host = hostOf(handle);
  const one = connectionOver(first, host, 1);
  const other = connectionOver(second, host, 2);
  const ask = asker(first);
  let asked = 0;
  while (one.stalledSince === undefined && asked < 20) {
    ask(Buffer.alloc(BODY, ++asked));
    one.serve(1);
  }
  expect(one.stalledSince).toBeDefined();
  asker(second)(Buffer.alloc(BODY, 0xee));
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
