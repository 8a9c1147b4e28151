/** A reply that waits for room: it keeps its bytes, and its client has until a deadline. */
import { expect, setSystemTime, test } from "bun:test";
import type { Connection } from "../../src/ipc/connection/connection.ts";
import type { Request } from "../../src/ipc/handler.ts";
import { RunQueue } from "../../src/ipc/scheduling/run-queue.ts";
import { newScratch, RingReader } from "../../src/shm/ring.ts";
import { PAGE_BYTES } from "../../src/platform/memory.ts";
import { ResponseHeader } from "../../src/wire/qb.ts";
import { eventually } from "../support/eventually.ts";
import { asker, connectionOver, hostOf, makeRings } from "../support/connection.ts";

const BODY = 1000;

/** Answers with the request's memory. */
function handle({ span }: Request): Buffer {
  return span.bytes.subarray(span.at, span.at + span.size);
}

/** Sends requests, and reads no answer, until a reply waits for room; returns their number. */
function stall(connection: Connection, ask: (body: Uint8Array) => void): number {
  let asked = 0;
  while (connection.stalledSince === undefined && asked < 20) {
    ask(Buffer.alloc(BODY, ++asked));
    connection.serve(1);
  }
  expect(connection.stalledSince).toBeDefined();
  return asked;
}

test("a held reply in its request's memory is not overwritten by the next client's request", () => {
  using kept = new DisposableStack();
  const first = makeRings("first", kept);
  const second = makeRings("second", kept);
  // Shared by all connections of a service, as is the memory of requests.
  const host = hostOf(handle);
  const one = connectionOver(first, host, 1);
  const other = connectionOver(second, host, 2);
  const asked = stall(one, asker(first));
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

test("the deadline of a reply that waits for room ignores steps of the clock", async () => {
  using kept = new DisposableStack();
  kept.defer(() => setSystemTime());
  const rings = makeRings("clock", kept);
  const connection = connectionOver(rings, hostOf(handle));
  stall(connection, asker(rings));
  const patient = new RunQueue({ replyRetryMs: 1, replyDeadlineMs: 60_000 }, () => {});
  patient.addStalled(connection);
  setSystemTime(new Date(Date.now() + 3_600_000));
  const tries = connection.stats.sendRetries;
  await eventually("two more tries", () => connection.stats.sendRetries >= tries + 2);
  patient.remove(connection);
  expect(connection.ended).toBe(false);
  const impatient = new RunQueue({ replyRetryMs: 1, replyDeadlineMs: 1 }, () => {});
  impatient.addStalled(connection);
  await eventually("the end", () => connection.ended);
  impatient.remove(connection);
});
