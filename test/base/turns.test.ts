/** Urgent work between the pieces of other work: who is asked, and how often. */
import { expect, test } from "bun:test";
import { addUrgent, giveWay } from "../../src/base/turns.ts";

/** Works for some ms; returns the present time. */
function workFor(ms: number): number {
  const until = performance.now() + ms;
  while (performance.now() < until);
  return performance.now();
}

/** A time at which `giveWay` has something to do, however long urgent work took before. */
function later(): number {
  return performance.now() + 60_000;
}

test("urgent work is asked for until it is taken out, with a pause between two looks", () => {
  let looks = 0;
  const urgent = addUrgent(() => looks++);
  giveWay(later());
  expect(looks).toBe(1);
  giveWay(0);
  expect(looks).toBe(1);
  giveWay(later());
  expect(looks).toBe(2);
  urgent[Symbol.dispose]();
  giveWay(later());
  expect(looks).toBe(2);
});

test("long urgent work says how long it took, and leaves as much time to other work", () => {
  // Without urgent work: from now on there is the usual pause only.
  giveWay(later());
  let looks = 0;
  using _urgent = addUrgent(() => {
    looks++;
    workFor(5);
  });
  const start = workFor(1);
  expect(giveWay(start)).toBeGreaterThanOrEqual(5);
  // 5 ms of urgent work, and at least 5 ms for other work.
  expect(giveWay(start + 9)).toBe(0);
  expect(looks).toBe(1);
  giveWay(later());
  expect(looks).toBe(2);
});

test("the pause after urgent work is bounded: the process may have been stopped in it", () => {
  giveWay(later());
  let looks = 0;
  using _urgent = addUrgent(() => {
    looks++;
    if (looks === 1) workFor(200);
  });
  giveWay(workFor(1));
  giveWay(workFor(11));
  expect(looks).toBe(2);
});
