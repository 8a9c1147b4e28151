/** Urgent work between the pieces of other work: who is asked, and how often. */
import { expect, test } from "bun:test";
import { addUrgent, giveWay } from "../../src/base/turns.ts";

/** Works for some ms. */
function workFor(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

/** A piece of other work after which urgent work is due, however long that took before. */
function enough(): number {
  const now = performance.now();
  return giveWay(now - 60_000, now);
}

test("urgent work is asked for until it is taken out, with other work between two looks", () => {
  let looks = 0;
  const urgent = addUrgent(() => looks++);
  enough();
  expect(looks).toBe(1);
  giveWay(0, 0);
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
  // 0.2 ms of work in pieces that are 1 s apart.
  for (const piece of [1, 2]) giveWay(piece * 1000, piece * 1000 + 0.1);
  expect(looks).toBe(0);
  giveWay(3000, 3000.1);
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
  expect(giveWay(0, 4)).toBe(0);
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
  giveWay(0, 11);
  expect(looks).toBe(2);
});
