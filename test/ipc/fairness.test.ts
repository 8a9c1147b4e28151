/** Slow handlers and late answers: their effect on other connections, and on the poller. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { RequestGapPredictor } from "../../src/ipc/scheduling/request-gap.ts";
import { type Polled, RingPoller } from "../../src/ipc/scheduling/ring-poller.ts";
import { PollLimits } from "../../src/base/limits.ts";
import { allocatePermanent, PAGE_BYTES } from "../../src/platform/memory.ts";
import { eventually } from "../support/eventually.ts";
import { LineProcess } from "../support/lines.ts";
import { native } from "../support/native.ts";
import { idleConnection } from "../support/polled.ts";
import { QbClient } from "../support/qb-client.ts";
import { libraryCommand, startService } from "../support/service.ts";

setDefaultTimeout(60_000);

test("a client that floods a slow handler does not keep others from their turns", async () => {
  await using server = await startService(libraryCommand("slow"));
  await using client = await QbClient.open(server.name);
  const flags = ["--id", "2", "--depth", "64", "--ms", "30000"];
  const flood = new LineProcess([native("qb-load"), server.name, ...flags]);
  const between: number[] = [];
  while (between.length < 100) {
    const { body = "" } = await client.run("sendrecv 1 -");
    const served = Buffer.from(body, "hex").readUInt32LE();
    // Waits until the flood has started.
    if (served > 0) between.push(served);
  }
  await flood.kill();
  // A turn serves at most 64 requests, but only four or five slow ones. Not the median: beside
  // load, several turns may pass between an answer and the client's next request.
  const [tenth = 0] = between.toSorted((one, other) => one - other).slice(10);
  expect(tenth).toBeLessThan(40);
});

const REQUESTS = 20;
const TEN_SECONDS_US = 10_000_000;
/** Turns that are so long that they do not end early even on a busy host. */
const PATIENT = {
  ...PollLimits,
  idleUs: 1_000_000,
  perConnectionUs: TEN_SECONDS_US,
  perTurnUs: TEN_SECONDS_US,
};

interface Turn {
  /** Answers that were not sent yet, at each request. */
  readonly behind: readonly number[];
  readonly timed: number;
}

/** One turn of a poller whose handler answers with settled promises. */
async function pollTwenty(): Promise<Turn> {
  const { address, buffer } = allocatePermanent(PAGE_BYTES);
  // The semaphore is never 0: a next request is always there.
  new Int32Array(buffer)[0] = 1;
  let asked = 0;
  let answered = 0;
  let timed = 0;
  const behind: number[] = [];
  const connection: Polled = {
    ...idleConnection(address),
    predictor: new RequestGapPredictor(PATIENT),
    get underWay() {
      return asked > answered;
    },
    recordLatency(_, served) {
      timed += served;
    },
  };
  const serve = (): number => {
    behind.push(asked - answered);
    if (asked === REQUESTS) return 0;
    asked++;
    void Promise.resolve().then(() => answered++);
    return 1;
  };
  const poller = new RingPoller(PATIENT, { serve, again() {}, isLoopReady: () => false });
  poller.activate(connection, Bun.nanoseconds(), 1);
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  return { behind, timed };
}

test("an answer whose promise is settled when its handler returns is sent at once", async () => {
  // Repeated if this process was not scheduled for 2 ms: the poller then deactivates a connection.
  const { behind, timed } = await eventually("a turn with all requests", async () => {
    const turn = await pollTwenty();
    return turn.behind.length >= REQUESTS ? turn : undefined;
  });
  expect(behind.slice(0, REQUESTS)).toEqual(Array.from({ length: REQUESTS }, () => 0));
  // Late answers are timed when they are sent, so only those reported by `activate` count here.
  expect(timed).toBe(1);
});

test("a poller has at most as many active connections as its table has rows", () => {
  const { address } = allocatePermanent(PAGE_BYTES);
  const served: Polled[] = [];
  const poller = new RingPoller(
    { ...PollLimits, activeConnections: 1000 },
    { serve: (connection) => served.push(connection), again() {}, isLoopReady: () => false },
  );
  // A row has 48 bytes, and the table one page.
  const rows = Math.floor(PAGE_BYTES / 48);
  const connections = Array.from({ length: rows + 1 }, () => idleConnection(address));
  for (const connection of connections) poller.activate(connection, Bun.nanoseconds(), 1);
  // The last connection takes the row of the first, whose requests are served before that.
  expect(served).toEqual([connections[0] as Polled]);
});

test("for a connection that is not polled any more, no reply is copied beforehand", async () => {
  const { address, buffer } = allocatePermanent(PAGE_BYTES);
  // The semaphore announces a request, but none can be served: a reply waits for room.
  new Int32Array(buffer)[0] = 1;
  const calls: string[] = [];
  const idle = idleConnection(address);
  const responses = {
    ...idle.responses,
    prepare: () => void calls.push("prepare"),
    forget: () => void calls.push("forget"),
  };
  const connection: Polled = { ...idle, responses, answeredNs: 1 };
  const poller = new RingPoller<Polled>(PollLimits, {
    serve: () => 0,
    again() {},
    isLoopReady: () => false,
  });
  poller.activate(connection, Bun.nanoseconds(), 1);
  await eventually("it is not polled any more", () => calls.includes("forget"));
  expect(calls).toEqual(["forget"]);
});

test("a connection that ends while the one that it replaces is served is not polled", async () => {
  const { address, buffer } = allocatePermanent(PAGE_BYTES);
  // The semaphore announces a request.
  new Int32Array(buffer)[0] = 1;
  const served: Polled[] = [];
  let hasEnded = false;
  const first = idleConnection(address);
  const second: Polled = {
    ...idleConnection(address),
    get ended() {
      return hasEnded;
    },
  };
  const serve = (connection: Polled): number => {
    served.push(connection);
    // A handler that ends another connection, or sends an event to one with a broken event ring.
    hasEnded = true;
    poller.deactivate(second);
    return 1;
  };
  const poller = new RingPoller<Polled>(
    { ...PollLimits, activeConnections: 1 },
    { serve, again() {}, isLoopReady: () => false },
  );
  for (const connection of [first, second]) poller.activate(connection, Bun.nanoseconds(), 1);
  await eventually("the poller's turn", () => !poller.isPolling);
  expect(served).toEqual([first]);
});
