/** Until when the next request of a connection is waited for, and when that is given up. */
import { expect, test } from "bun:test";
import { Pace } from "../../src/ipc/scheduling/request-gap.ts";
import { PollLimits } from "../../src/base/limits.ts";

const US = 1000;
const IDLE_NS = PollLimits.idleUs * US;
const WAKE_UP_NS = 50 * US;

/** A pace whose client has asked `count` times, each `gapNs` after the reply; now, and the pace. */
function after(count: number, gapNs: number): { pace: Pace; now: number } {
  const pace = new Pace(PollLimits);
  let now = 1_000_000;
  pace.replied(now, false);
  for (let i = 0; i < count; i++) {
    now += gapNs;
    pace.found(now);
    pace.replied(now, false);
  }
  return { pace, now };
}

test("a quick client is waited for a moment, a thinking one for twice as long as it thinks", () => {
  const quick = after(20, US);
  expect(quick.pace.dueNs - quick.now).toBe(IDLE_NS);
  const thinking = after(50, 40 * US);
  const patience = thinking.pace.dueNs - thinking.now;
  expect(patience).toBeGreaterThan(79 * US);
  expect(patience).toBeLessThanOrEqual(80 * US);
});

test("a client that its reply had to wake is given the time to wake up", () => {
  const { pace, now } = after(20, US);
  pace.replied(now, true);
  expect(pace.dueNs - now).toBe(IDLE_NS + WAKE_UP_NS);
  // The wake-up is no habit of the client: its next gap is as short as ever.
  pace.found(now + WAKE_UP_NS + US);
  pace.replied(now + WAKE_UP_NS + US, false);
  expect(pace.dueNs - (now + WAKE_UP_NS + US)).toBe(IDLE_NS);
});

test("two requests in a row that were due and did not come end the waiting", () => {
  const { pace, now } = after(20, US);
  expect(pace.looked(now + IDLE_NS - 1)).toBe(false);
  expect(pace.looked(now + IDLE_NS)).toBe(false);
  expect(pace.looked(now + 10 * IDLE_NS)).toBe(false);
  pace.replied(now, false);
  expect(pace.looked(now + IDLE_NS)).toBe(true);
  pace.replied(now, false);
  expect(pace.dueNs).toBe(0);
});

test("a request that comes in time forgives the miss before it", () => {
  const { pace, now } = after(20, US);
  pace.looked(now + IDLE_NS);
  pace.found(now + 2 * IDLE_NS);
  pace.replied(now + 2 * IDLE_NS, false);
  expect(pace.looked(now + 3 * IDLE_NS)).toBe(false);
});

test("one that thinks longer than polling pays is not waited for", () => {
  const { pace } = after(20, 2 * PollLimits.maxGapUs * US);
  expect(pace.dueNs).toBe(0);
});

test("quick wake-ups bring the waiting back, twice as many after each time it did not pay", () => {
  const { pace } = after(20, 2 * PollLimits.maxGapUs * US);
  let now = 1e9;
  const wakesUntilPolled = (): number => {
    for (let wakes = 1; wakes < 1000; wakes++) {
      pace.replied(now, true);
      if (pace.dueNs > 0) return wakes - 1;
      now += WAKE_UP_NS + 10 * US;
      pace.woke(now);
    }
    return Infinity;
  };
  const first = wakesUntilPolled();
  expect(first).toBe(4);
  for (let miss = 0; miss < PollLimits.missesToStop; miss++) {
    pace.replied(now, false);
    now += 1_000_000;
    pace.looked(now);
  }
  expect(wakesUntilPolled()).toBe(2 * first);
});

test("slow wake-ups do not bring it back", () => {
  const { pace } = after(20, 2 * PollLimits.maxGapUs * US);
  let now = 1e9;
  for (let i = 0; i < 100; i++) {
    pace.replied(now, true);
    now += 1_000_000;
    pace.woke(now);
  }
  pace.replied(now, true);
  expect(pace.dueNs).toBe(0);
});
