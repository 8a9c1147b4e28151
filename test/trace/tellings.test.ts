/** What a watcher is told: everything, in order, a little later, and in few goes. */
import { expect, test } from "bun:test";
import type { Watcher } from "../../src/tools/trace/exchange.ts";
import { Tellings } from "../../src/tools/trace/event-batch.ts";
import { spanOf } from "../../src/wire/struct.ts";
import { eventually } from "../support/eventually.ts";

/** A watcher that only hears of the ends of what it is told. */
class Goes {
  count = 0;
  readonly watcher = { toldAll: () => void this.count++ } as unknown as Watcher;
}

function body(text: string): ReturnType<typeof spanOf> {
  return spanOf(Buffer.from(text));
}

test("nothing at once, then all in order and in one go", async () => {
  const goes = new Goes();
  const tellings = new Tellings(goes.watcher);
  const told: number[] = [];
  for (let i = 0; i < 100; i++) tellings.add(performance.now(), () => told.push(i));
  expect(told).toEqual([]);
  await eventually("it is told", () => told.length === 100);
  expect(told).toEqual([...told.keys()]);
  expect(goes.count).toBe(1);
});

test("what is told when it all ends is not told again", async () => {
  const goes = new Goes();
  const tellings = new Tellings(goes.watcher);
  const told: string[] = [];
  tellings.add(performance.now(), () => told.push("first"));
  tellings.tellNow();
  expect(told).toEqual(["first"]);
  tellings.add(performance.now(), () => told.push("second"));
  await eventually("the second", () => told.length === 2);
  tellings.tellNow();
  expect([told.length, goes.count]).toEqual([2, 2]);
});

test("many, or much, does not wait", async () => {
  for (const [times, bytes] of [
    [1000, 0],
    [6, 1024 * 1024],
  ] as const) {
    const tellings = new Tellings(new Goes().watcher);
    let told = 0;
    for (let i = 0; i < times; i++) tellings.add(performance.now(), () => told++, bytes);
    await new Promise((resolve) => setImmediate(resolve));
    expect(told).toBe(times);
  }
});

test("bodies stay what they were, also those told long after others", () => {
  const tellings = new Tellings(new Goes().watcher);
  const sizes = [0, 1, 100, 60_000, 5, 70_000, 1_000_000, 3];
  const kept = sizes.map((size, index) => tellings.keep(body(`${index}`.repeat(size))));
  tellings.tellNow();
  for (let i = 0; i < 100; i++) tellings.keep(body("x".repeat(9000)));
  const found = kept.map(({ slab, at, size }) => slab.subarray(at, at + size).toString());
  expect(found).toEqual(sizes.map((size, index) => `${index}`.repeat(size)));
});

test("times are of what happened, on the clock on the wall, and never go back", () => {
  const tellings = new Tellings(new Goes().watcher);
  const times: number[] = [];
  const before = Date.now();
  for (let i = 0; i < 50; i++) {
    tellings.add(performance.now(), (_, atMs) => times.push(atMs));
    if (i % 10 === 0) tellings.tellNow();
  }
  const after = Date.now();
  tellings.tellNow();
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  // Three, for two clocks that tick on their own.
  expect(times[0]).toBeGreaterThan(before - 3);
  expect(times.at(-1)).toBeLessThan(after + 3);
});
