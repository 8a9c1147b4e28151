/**
 * An idle server is not woken by anything, not even by the garbage collection timer: without
 * clients, and with clients that send nothing.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { eventually } from "../support/eventually.ts";
import { QbClient } from "../support/qb-client.ts";
import { echoCommand, startService, type Service } from "../support/service.ts";

setDefaultTimeout(60_000);

/** Longer than the interval of Bun's garbage collection timer. */
const WATCHED_MS = 1500;

let server: Service;

beforeAll(async () => {
  server = await startService(echoCommand);
});

afterAll(async () => {
  expect(await server.stop()).toBe(0);
});

/** How often the main thread of a process was scheduled. */
function switches(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const counts = [...status.matchAll(/ctxt_switches:\s+(\d+)/g)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Waits until the main thread sleeps for WATCHED_MS; after a start or a request it works on. */
async function sleepsWithoutWakeUp(): Promise<void> {
  let seen = { count: -1, at: 0 };
  await eventually(
    "a while without a wake-up",
    () => {
      const count = switches(server.pid);
      if (count !== seen.count) seen = { count, at: performance.now() };
      return performance.now() - seen.at > WATCHED_MS;
    },
    30_000,
  );
}

test("a server runs with the settings of the collector and the allocator", () => {
  const variables = readFileSync(`/proc/${server.pid}/environ`, "utf8").split("\0");
  expect(variables).toContain("BUN_GC_TIMER_INTERVAL=3600000");
  const allocator = variables.filter((variable) => variable.startsWith("MIMALLOC_")).toSorted();
  // Which of them depends on the machine, and near the limit on the moment of the measurement.
  expect([
    ["MIMALLOC_PURGE_DELAY=10000", "MIMALLOC_PURGE_HOLES=0"],
    ["MIMALLOC_PURGE_HOLES_MIN_INTERVAL=2000"],
  ]).toContainEqual(allocator);
});

test("a server without clients sleeps for longer than a second", async () => {
  await sleepsWithoutWakeUp();
});

test("a server whose clients send nothing sleeps for longer than a second", async () => {
  await using first = await QbClient.open(server.name);
  await using second = await QbClient.open(server.name);
  expect((await first.call(1, "x")).error).toBe(0);
  await sleepsWithoutWakeUp();
  expect((await second.call(1, "x")).error).toBe(0);
});
