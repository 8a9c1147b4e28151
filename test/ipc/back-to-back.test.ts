/** Which requests count as back to back: the store need not be checked before each of those. */
import { expect, test } from "bun:test";
import { PollLimits } from "../../src/base/limits.ts";
import { EMPTY_REPLY, NO_REPLY, type Reply } from "../../src/ipc/handler.ts";
import { type Polled, RingPoller } from "../../src/ipc/scheduling/ring-poller.ts";
import { allocatePermanent, PAGE_BYTES } from "../../src/platform/memory.ts";
import { asker, connectionOver, hostOf, makeRings } from "../support/connection.ts";
import { eventually } from "../support/eventually.ts";
import { idleConnection } from "../support/polled.ts";

/** The times of the reply to each of `count` requests that are in the ring together. */
function repliesTo(count: number, reply: Reply = EMPTY_REPLY): number[] {
  using kept = new DisposableStack();
  const rings = makeRings("back-to-back", kept);
  const times: number[] = [];
  const connection = connectionOver(
    rings,
    hostOf(() => reply),
  );
  const ask = asker(rings);
  for (let index = 0; index < count; index++) ask();
  while (times.length < count && connection.serve(1) > 0) times.push(connection.answeredNs);
  connection.disconnect("done");
  return times;
}

test("the time of a reply is one before it was sent", () => {
  const before = Bun.nanoseconds();
  const [answeredNs = 0] = repliesTo(1);
  expect(answeredNs).toBeGreaterThanOrEqual(before);
  expect(answeredNs).toBeLessThanOrEqual(Bun.nanoseconds());
});

test("a reply has no time if the next request was there before, or if none was sent", () => {
  const [first, second, third = 0] = repliesTo(3);
  expect([first, second]).toEqual([0, 0]);
  expect(third).toBeGreaterThan(0);
  expect(repliesTo(1, NO_REPLY)).toEqual([0]);
});

/**
 * What the poller tells of a request that it finds `sinceNs` after the last reply; undefined if
 * this process was not scheduled for 2 ms, after which the connection is no longer polled.
 */
async function toldOnce(sinceNs: number): Promise<number | undefined> {
  const { address, buffer } = allocatePermanent(PAGE_BYTES);
  new Int32Array(buffer)[0] = 1;
  const answeredNs = Bun.nanoseconds() - sinceNs;
  const connection: Polled = { ...idleConnection(address), answeredNs, hasRequests: false };
  let told: number | undefined;
  const serve = (_: Polled, backToBackNs: number): number => {
    told = backToBackNs;
    return 0;
  };
  // 10 s instead of 2.2 us, because this process may not be scheduled for a while.
  const settings = { ...PollLimits, backToBackUs: 10_000_000, idleUs: 10_000_000 };
  const poller = new RingPoller(settings, { serve, again() {}, isLoopReady: () => false });
  poller.activate(connection, Bun.nanoseconds(), 1);
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  return told;
}

async function toldAt(sinceNs: number): Promise<number> {
  const told = await eventually("a request that was polled for", async () => {
    const backToBackNs = await toldOnce(sinceNs);
    return backToBackNs === undefined ? undefined : { backToBackNs };
  });
  return told.backToBackNs;
}

test("a request is back to back if it is found soon after the last reply", async () => {
  const before = Bun.nanoseconds();
  expect(await toldAt(0)).toBeGreaterThanOrEqual(before);
  expect(await toldAt(11e9)).toBe(0);
});
