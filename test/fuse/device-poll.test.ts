/** The device is polled after each answer while that finds requests, otherwise less and less. */
import { expect, test } from "bun:test";
import { availableParallelism } from "node:os";
import { DevicePoll } from "../../src/fuse/device-poll.ts";
import { testUnless } from "../support/unless.ts";

const oneProcessor = availableParallelism() > 1 ? undefined : "needs two processors";
const NS = 20_000;

/** The lengths of the polls before `count` requests, each of which ends with `found`. */
function polls(poll: DevicePoll, count: number, found: boolean): number[] {
  return Array.from({ length: count }, () => {
    const ns = poll.take();
    poll.ended(ns, found);
    return ns;
  });
}

testUnless(oneProcessor)("polling continues while polls find requests", () => {
  expect(polls(new DevicePoll(NS), 5, true)).toEqual([NS, NS, NS, NS, NS]);
});

testUnless(oneProcessor)(
  "polls that find nothing come after 1, 2, 4 and at most 64 requests",
  () => {
    const lengths = polls(new DevicePoll(NS), 400, false);
    const at = lengths.flatMap((ns, index) => (ns === 0 ? [] : [index]));
    const between = at.slice(1).map((index, place) => index - (at[place] ?? 0) - 1);
    expect(between).toEqual([1, 2, 4, 8, 16, 32, 64, 64, 64, 64, 64]);
  },
);

testUnless(oneProcessor)("one that finds something again ends the pause", () => {
  const poll = new DevicePoll(NS);
  polls(poll, 20, false);
  while (poll.take() === 0);
  poll.ended(NS, true);
  expect(polls(poll, 3, true)).toEqual([NS, NS, NS]);
});

test("a poll of 0 ns does not count as a poll", () => {
  expect(polls(new DevicePoll(0), 3, true)).toEqual([0, 0, 0]);
});
