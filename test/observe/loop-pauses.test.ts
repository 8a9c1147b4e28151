/** The time the event loop is held for, measured from inside. */
import { expect, test } from "bun:test";
import { LoopPauses, PAUSE_BOUNDS_MS } from "../../src/observe/loop-pauses.ts";
import { eventually } from "../support/eventually.ts";

test("a loop that is held for 60 ms is a pause of more than 20, and a free one few", async () => {
  const pauses = new LoopPauses();
  const total = () => pauses.buckets.counts.reduce((sum, count) => sum + count, 0);
  const longerThan = (ms: number) => {
    const from = PAUSE_BOUNDS_MS.indexOf(ms) + 1;
    return pauses.buckets.counts.slice(from).reduce((sum, count) => sum + count, 0);
  };
  await eventually("some ticks", () => total() >= 3);
  const before = longerThan(20);
  const until = performance.now() + 60;
  while (performance.now() < until);
  await eventually("the late tick", () => longerThan(20) > before);
  expect(pauses.buckets.sum).toBeGreaterThan(20);
  pauses.close();
  const after = total();
  const end = performance.now() + 50;
  await eventually("two more intervals", () => performance.now() > end);
  expect(total()).toBe(after);
});
