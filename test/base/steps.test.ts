/** How long a slice of a job is. */
import { expect, test } from "bun:test";
import { slice, type Steps, WAITS } from "../../src/base/steps.ts";

/** A job of steps that take `ms` each. */
function* job(steps: number, ms: number, step?: number): Steps<string> {
  for (let count = 0; count < steps; count++) {
    const until = performance.now() + ms;
    while (performance.now() < until);
    yield step;
  }
  return "over";
}

/** How many slices a job takes, at most 1000. */
function slicesOf(steps: Steps<string>, leastSteps?: number): number {
  for (let count = 1; count <= 1000; count++) {
    if (typeof slice(steps, leastSteps) === "object") return count;
  }
  return Infinity;
}

test("slow steps end a slice after five", () => {
  // 30 steps in six slices, and the seventh finds that the job is over.
  expect(slicesOf(job(30, 2))).toBe(7);
});

test("unless the caller needs more of them", () => {
  expect(slicesOf(job(30, 2), 20)).toBe(2);
});

test("a job of few steps is over in one slice, however slow they are", () => {
  expect(slicesOf(job(4, 5))).toBe(1);
});

test("a yield may count for several steps, or end the slice", () => {
  expect(slicesOf(job(10, 2, 5))).toBe(11);
  const waiting = job(1, 0, WAITS);
  expect(slice(waiting)).toBe("another thread");
  expect(slice(waiting)).toEqual({ value: "over" });
});
