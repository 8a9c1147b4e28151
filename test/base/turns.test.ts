/** Urgent work between the pieces of other work: who is asked, and how often. */
import { expect, test } from "bun:test";
import { addUrgent, giveWay, TimeSlices } from "../../src/base/turns.ts";

/** Works for some ms. */
function workFor(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

/** A piece of other work after which urgent work is due, however long that took before. */
function enough(): number {
  return giveWay(60_000);
}

test("urgent work is asked for until it is taken out, with other work between two looks", () => {
  let looks = 0;
  const urgent = addUrgent(() => looks++);
  enough();
  expect(looks).toBe(1);
  giveWay(0);
  expect(looks).toBe(1);
  enough();
  expect(looks).toBe(2);
  urgent[Symbol.dispose]();
  enough();
  expect(looks).toBe(2);
});

test("pieces of other work add up; the time between them does not count", () => {
  enough();
  let looks = 0;
  using _urgent = addUrgent(() => looks++);
  giveWay(0.1);
  workFor(5);
  giveWay(0.1);
  expect(looks).toBe(0);
  giveWay(0.1);
  expect(looks).toBe(1);
});

test("long urgent work says how long it took, and leaves as much time to other work", () => {
  // Without urgent work: from now on there is the usual pause only.
  enough();
  let looks = 0;
  using _urgent = addUrgent(() => {
    looks++;
    workFor(5);
  });
  expect(enough()).toBeGreaterThanOrEqual(5);
  // 5 ms of urgent work, and at least 5 ms for other work.
  expect(giveWay(4)).toBe(0);
  expect(looks).toBe(1);
  enough();
  expect(looks).toBe(2);
});

test("the pause after urgent work is bounded: the process may have been stopped in it", () => {
  enough();
  let looks = 0;
  using _urgent = addUrgent(() => {
    looks++;
    if (looks === 1) workFor(200);
  });
  enough();
  giveWay(11);
  expect(looks).toBe(2);
});

test("the turn between two slices is no urgent work", async () => {
  enough();
  let looks = 0;
  using _urgent = addUrgent(() => looks++);
  const slices = new TimeSlices(0.5);
  workFor(1);
  setImmediate(() => workFor(50));
  await slices.next();
  expect(looks).toBe(1);
  // Less than the longest pause, and more than the usual one.
  giveWay(9);
  expect(looks).toBe(2);
});
