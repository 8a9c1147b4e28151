/** How long a proxy blocks: for servers that answer at once, and rarely for others. */
import { expect, test } from "bun:test";
import { AdaptiveWait } from "../../src/client/adaptive-wait.ts";

/** For how many of `times` requests the caller blocks, and for how many of those it spins. */
function tried(wait: AdaptiveWait, times: number, tookUs: number): { held: number; spun: number } {
  const seen = { held: 0, spun: 0 };
  for (let i = 0; i < times; i++) {
    const holdUs = wait.holdUs();
    if (holdUs === 0) continue;
    seen.held++;
    const spinUs = wait.spinUs();
    if (spinUs > 0) seen.spun++;
    if (tookUs <= holdUs) wait.answered(tookUs, spinUs);
    else wait.unanswered(spinUs);
  }
  return seen;
}

test("for a server that polls, the wait spins", () => {
  expect(tried(new AdaptiveWait(), 1000, 2)).toEqual({ held: 1000, spun: 1000 });
});

test("for a server that must wake up, the wait sleeps, and rarely spins", () => {
  const { held, spun } = tried(new AdaptiveWait(), 1000, 60);
  expect(held).toBe(1000);
  expect(spun).toBeGreaterThan(2);
  expect(spun).toBeLessThan(20);
});

test("for a slow server, the caller blocks only for rare attempts", () => {
  const { held } = tried(new AdaptiveWait(), 10_000, 5000);
  expect(held).toBeGreaterThan(10);
  expect(held).toBeLessThan(60);
});

test("for a server that hung and answers again, the caller blocks at the first attempt", () => {
  const wait = new AdaptiveWait();
  tried(wait, 40, Infinity);
  const { held } = tried(wait, 1000, 2);
  expect(held).toBeGreaterThan(950);
});

test("a quick answer counts even if the caller did not block for it", () => {
  const wait = new AdaptiveWait();
  tried(wait, 10_000, Infinity);
  wait.answered(50, 0);
  expect(wait.holdUs()).toBeGreaterThan(0);
});
