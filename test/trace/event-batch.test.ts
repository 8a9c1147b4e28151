/** Batches of observations: complete, in order, a little late, and few of them. */
import { expect, test } from "bun:test";
import type { Watcher } from "../../src/tools/trace/exchange.ts";
import { EventBatch } from "../../src/tools/trace/event-batch.ts";
import { spanOf } from "../../src/wire/struct.ts";
import { eventually } from "../support/eventually.ts";

/** A watcher that counts batches. */
class BatchCounter {
  count = 0;
  readonly watcher = { batchEnd: () => void this.count++ } as unknown as Watcher;
}

function body(text: string): ReturnType<typeof spanOf> {
  return spanOf(Buffer.from(text));
}

test("a batch is delivered later, in order, as one", async () => {
  const batches = new BatchCounter();
  const batch = new EventBatch(batches.watcher);
  const delivered: number[] = [];
  for (let i = 0; i < 100; i++) batch.add(performance.now(), () => delivered.push(i));
  expect(delivered).toEqual([]);
  await eventually("it is delivered", () => delivered.length === 100);
  expect(delivered).toEqual([...delivered.keys()]);
  expect(batches.count).toBe(1);
});

test("a flushed batch is not delivered again", async () => {
  const batches = new BatchCounter();
  const batch = new EventBatch(batches.watcher);
  const delivered: string[] = [];
  batch.add(performance.now(), () => delivered.push("first"));
  batch.flush();
  expect(delivered).toEqual(["first"]);
  batch.add(performance.now(), () => delivered.push("second"));
  await eventually("the second", () => delivered.length === 2);
  batch.flush();
  expect([delivered.length, batches.count]).toEqual([2, 2]);
});

test("a full batch is delivered in the next turn of the event loop", async () => {
  for (const [times, bytes] of [
    [1000, 0],
    [6, 1024 * 1024],
  ] as const) {
    const batch = new EventBatch(new BatchCounter().watcher);
    let delivered = 0;
    for (let i = 0; i < times; i++) batch.add(performance.now(), () => delivered++, bytes);
    await new Promise((resolve) => setImmediate(resolve));
    expect(delivered).toBe(times);
  }
});

test("a copied body does not change while others are copied", () => {
  const batch = new EventBatch(new BatchCounter().watcher);
  const sizes = [0, 1, 100, 60_000, 5, 70_000, 1_000_000, 3];
  const kept = sizes.map((size, index) => batch.keep(body(`${index}`.repeat(size))));
  batch.flush();
  for (let i = 0; i < 100; i++) batch.keep(body("x".repeat(9000)));
  const found = kept.map(({ slab, at, size }) => slab.subarray(at, at + size).toString());
  expect(found).toEqual(sizes.map((size, index) => `${index}`.repeat(size)));
});

test("times are wall-clock times of the observation and never decrease", () => {
  const batch = new EventBatch(new BatchCounter().watcher);
  const times: number[] = [];
  const before = Date.now();
  for (let i = 0; i < 50; i++) {
    batch.add(performance.now(), (_, atMs) => times.push(atMs));
    if (i % 10 === 0) batch.flush();
  }
  const after = Date.now();
  batch.flush();
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  // A tolerance of 3 ms, because two clocks are compared.
  expect(times[0]).toBeGreaterThan(before - 3);
  expect(times.at(-1)).toBeLessThan(after + 3);
});
