/** The checks of each second share one timer. */
import { expect, test } from "bun:test";
import { everySecond } from "../../src/base/heartbeat.ts";
import { eventually } from "../support/eventually.ts";

test("all checks are made in the same turn, until each is disposed", async () => {
  const counts = [0, 0];
  /** Counts of the second check, when the first is made. */
  const seen: number[] = [];
  const first = everySecond(() => {
    counts[0]!++;
    seen.push(counts[1]!);
    queueMicrotask(() => seen.push(counts[1]!));
  });
  const second = everySecond(() => counts[1]!++);
  await eventually("a beat", () => counts[0] === 1);
  expect([counts[1], ...seen]).toEqual([1, 0, 1]);
  first[Symbol.dispose]();
  await eventually("another beat", () => counts[1] === 2);
  expect(counts[0]).toBe(1);
  second[Symbol.dispose]();
});
