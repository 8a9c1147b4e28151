/** Which requests count as back to back: the store need not be checked before each of those. */
import { expect, test } from "bun:test";
import { PollLimits } from "../../src/base/limits.ts";
import { EMPTY_REPLY, NO_REPLY, type Reply } from "../../src/ipc/handler.ts";
import { RequestGapPredictor } from "../../src/ipc/scheduling/request-gap.ts";
import { type Polled, RingPoller } from "../../src/ipc/scheduling/ring-poller.ts";
import { allocatePermanent, PAGE_BYTES } from "../../src/platform/memory.ts";
import { RingHeader } from "../../src/wire/qb.ts";
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

// Seconds instead of microseconds, because this process may not be scheduled for a while.
const PATIENT = { ...PollLimits, backToBackUs: 1e6, idleUs: 1e7, maxGapUs: 1e7 };
const LONG_AGO_NS = 11e9;

/** What a client has done with its last reply when its next request is waited for. */
interface Client {
  /** It slept until the reply came. */
  readonly slept: boolean;
  /** It has not taken the semaphore yet, copies the reply, or has copied it. */
  readonly state: "before" | "copying" | "after";
}

async function endOfTurn(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/**
 * What the poller tells of a request that it finds `sinceNs` after the last reply, which was a
 * large one, when it has looked for a turn before; undefined if this process was not scheduled for
 * 2 ms, after which the connection is no longer polled.
 */
async function toldOnce(sinceNs: number, { slept, state }: Client): Promise<number | undefined> {
  const { address, buffer } = allocatePermanent(4 * PAGE_BYTES);
  const response = new Int32Array(buffer, 0, (3 * PAGE_BYTES) / 4);
  const request = new Int32Array(buffer, 3 * PAGE_BYTES);
  response[RingHeader.writePt >> 2] = state === "after" ? 0 : 1;
  response[RingHeader.semaphore >> 2] = state === "before" ? 1 : 0;
  const idle = idleConnection(address + 3 * PAGE_BYTES);
  const responses = {
    ...idle.responses,
    semaphoreAddress: address + RingHeader.semaphore,
    isLarge: true,
    hasWoken: slept,
  };
  const answeredNs = Bun.nanoseconds() - sinceNs;
  const predictor = new RequestGapPredictor(PATIENT);
  const connection: Polled = { ...idle, predictor, responses, answeredNs, hasRequests: false };
  let told: number | undefined;
  const serve = (_: Polled, backToBackNs: number): number => {
    told = backToBackNs;
    return 0;
  };
  const poller = new RingPoller(PATIENT, { serve, again() {}, isLoopReady: () => false });
  poller.activate(connection, Bun.nanoseconds(), 1);
  await endOfTurn();
  request[0] = 1;
  await endOfTurn();
  return told;
}

async function isBackToBack(sinceNs: number, client: Client): Promise<boolean> {
  const before = Bun.nanoseconds();
  const { told } = await eventually("a request that was polled for", async () => {
    const backToBackNs = await toldOnce(sinceNs, client);
    return backToBackNs === undefined ? undefined : { told: backToBackNs };
  });
  if (told !== 0) expect(told).toBeGreaterThanOrEqual(before);
  return told !== 0;
}

test("a request is back to back if it is found soon after the last reply", async () => {
  for (const slept of [true, false]) {
    expect(await isBackToBack(0, { slept, state: "after" })).toBe(true);
    expect(await isBackToBack(LONG_AGO_NS, { slept, state: "after" })).toBe(false);
  }
});

test("also if it is found soon after the client has read that reply", async () => {
  for (const slept of [true, false]) {
    expect(await isBackToBack(LONG_AGO_NS, { slept, state: "copying" })).toBe(true);
  }
  expect(await isBackToBack(LONG_AGO_NS, { slept: true, state: "before" })).toBe(true);
});

test("a client that was awake may do something before it reads its reply", async () => {
  expect(await isBackToBack(LONG_AGO_NS, { slept: false, state: "before" })).toBe(false);
});
