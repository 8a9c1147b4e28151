/** The difference of two clocks, from the times in messages that arrive with any delay. */
import { expect, test } from "bun:test";
import { ClockDifference } from "../../src/pmxcfs/replication/clock-difference.ts";

const BASE = 1_700_000_000;

/** The difference after each message: [arrival by our clock, time by the sender's], in s. */
function differences(messages: readonly (readonly [arrivalS: number, sentS: number])[]) {
  const clock = new ClockDifference();
  return messages.map(([arrivalS, sentS]) => {
    clock.add(BASE + sentS, { seconds: BASE + arrivalS, ms: arrivalS * 1000 });
    return clock.seconds;
  });
}

test("before the first message the difference is unknown", () => {
  expect(new ClockDifference().seconds).toBeUndefined();
});

test("a message that is delivered late does not count as a clock that is behind", () => {
  const late = [
    [1, 1],
    [60, 40],
    [61, 40],
    [100, 80],
    [101, 101],
  ] as const;
  expect(differences(late)).toEqual([0, 0, 0, 0, 0]);
});

test("a clock that is ahead is seen at its first message", () => {
  const ahead = [
    [1, 1],
    [2, 3602],
  ] as const;
  expect(differences(ahead)).toEqual([0, 3600]);
});

test("a clock that was set back is seen after two minutes of messages", () => {
  const back = [
    [1, 1],
    [2, -3598],
    [70, -3530],
    [140, -3460],
    [141, -3459],
  ] as const;
  const seen = differences(back);
  expect(seen.slice(0, 2)).toEqual([0, 0]);
  expect(seen.at(-1)).toBe(-3600);
});
