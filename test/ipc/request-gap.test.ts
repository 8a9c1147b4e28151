/** How long the next request of a connection is polled for, and when polling stops. */
import { expect, test } from "bun:test";
import { RequestGapPredictor } from "../../src/ipc/scheduling/request-gap.ts";
import { PollLimits } from "../../src/base/limits.ts";

const US = 1000;
const IDLE_NS = PollLimits.idleUs * US;
const WAKE_UP_NS = 50 * US;

/**
 * The present time, and a predictor whose client has sent `count` requests, each `gapNs` after the
 * last reply.
 */
function after(count: number, gapNs: number): { predictor: RequestGapPredictor; now: number } {
  const predictor = new RequestGapPredictor(PollLimits);
  let now = 1_000_000;
  predictor.replied(now, false);
  for (let i = 0; i < count; i++) {
    now += gapNs;
    predictor.found(now);
    predictor.replied(now, false);
  }
  return { predictor, now };
}

test("a quick client is polled for briefly, a slower one for twice its usual gap", () => {
  const quick = after(20, US);
  expect(quick.predictor.dueNs - quick.now).toBe(IDLE_NS);
  const thinking = after(50, 40 * US);
  const patience = thinking.predictor.dueNs - thinking.now;
  expect(patience).toBeGreaterThan(79 * US);
  expect(patience).toBeLessThanOrEqual(80 * US);
});

test("a client that had to be woken for its reply gets extra time to wake up", () => {
  const { predictor, now } = after(20, US);
  predictor.replied(now, true);
  expect(predictor.dueNs - now).toBe(IDLE_NS + WAKE_UP_NS);
  // The wake-up does not count in the average: the next gap is predicted as short as before.
  predictor.found(now + WAKE_UP_NS + US);
  predictor.replied(now + WAKE_UP_NS + US, false);
  expect(predictor.dueNs - (now + WAKE_UP_NS + US)).toBe(IDLE_NS);
});

test("two misses in a row stop the polling", () => {
  const { predictor, now } = after(20, US);
  expect(predictor.lookedUntil(now + IDLE_NS - 1)).toBe(false);
  expect(predictor.lookedUntil(now + IDLE_NS)).toBe(false);
  expect(predictor.lookedUntil(now + 10 * IDLE_NS)).toBe(false);
  predictor.replied(now, false);
  expect(predictor.lookedUntil(now + IDLE_NS)).toBe(true);
  predictor.replied(now, false);
  expect(predictor.dueNs).toBe(0);
});

test("a request in time resets the misses", () => {
  const { predictor, now } = after(20, US);
  predictor.lookedUntil(now + IDLE_NS);
  predictor.found(now + 2 * IDLE_NS);
  predictor.replied(now + 2 * IDLE_NS, false);
  expect(predictor.lookedUntil(now + 3 * IDLE_NS)).toBe(false);
});

test("a client whose gaps are too long is not polled for", () => {
  const { predictor } = after(20, 2 * PollLimits.maxGapUs * US);
  expect(predictor.dueNs).toBe(0);
});

test("quick requests start the polling again; their number doubles with each stop", () => {
  const { predictor } = after(20, 2 * PollLimits.maxGapUs * US);
  let now = 1e9;
  const wakesUntilPolled = (): number => {
    for (let wakes = 1; wakes < 1000; wakes++) {
      predictor.replied(now, true);
      if (predictor.dueNs > 0) return wakes - 1;
      now += WAKE_UP_NS + 10 * US;
      predictor.woke(now);
    }
    return Infinity;
  };
  const first = wakesUntilPolled();
  expect(first).toBe(4);
  for (let miss = 0; miss < PollLimits.missesToStop; miss++) {
    predictor.replied(now, false);
    now += 1_000_000;
    predictor.lookedUntil(now);
  }
  expect(wakesUntilPolled()).toBe(2 * first);
});

test("slow requests do not start it again", () => {
  const { predictor } = after(20, 2 * PollLimits.maxGapUs * US);
  let now = 1e9;
  for (let i = 0; i < 100; i++) {
    predictor.replied(now, true);
    now += 1_000_000;
    predictor.woke(now);
  }
  predictor.replied(now, true);
  expect(predictor.dueNs).toBe(0);
});
