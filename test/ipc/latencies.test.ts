/** The buckets of latencies: their bounds, and the latencies of a real server. */
import { expect, test } from "bun:test";
import { Latencies } from "../../src/ipc/connection/latencies.ts";
import { Service } from "../../src/ipc/service.ts";
import { eventually } from "../support/eventually.ts";
import { native } from "../support/native.ts";
import { uniqueName } from "../support/service.ts";

test("a bucket's bound is above the time, by at most 25 % and one step", () => {
  for (let ns = 1; ns < 1e11; ns = Math.ceil(ns * 1.07)) {
    const latencies = new Latencies();
    latencies.record(ns, 3);
    const counts = latencies.counts();
    expect(counts).toHaveLength(1);
    const [upper = 0, count] = counts[0] ?? [];
    expect(count).toBe(3);
    expect(upper).toBeGreaterThan(ns);
    expect(upper).toBeLessThanOrEqual(ns * 1.25 + 64);
  }
});

test("counts are listed shortest first; more than two minutes is in the last bucket", () => {
  const latencies = new Latencies();
  for (const ns of [1e15, 0, 1e6, 1e3]) latencies.record(ns, 1);
  const bounds = latencies.counts().map(([upper]) => upper);
  expect(bounds).toEqual(bounds.toSorted((a, b) => a - b));
  expect(bounds).toHaveLength(4);
  expect(bounds.at(-1)).toBe(2 ** 31 * 64);
});

test("a flood's requests are timed in its extra turns too", async () => {
  const handler = {
    authenticate: () => "read-write" as const,
    handle: () => new Uint8Array(4),
  };
  const name = uniqueName();
  const service = Service.start(name, handler, { requestsPerTurn: 2 });
  if (!(service instanceof Service)) throw new Error(service.message);
  // Keeps its connection, and its ring filled, until it is killed.
  const flood = Bun.spawn([native("qb-load"), name, "--ms", "60000", "--depth", "64"]);
  try {
    const { requests, timed } = await eventually("a few thousand requests", () => {
      const [connection] = service.connections();
      if (connection === undefined || connection.requests < 5000) return undefined;
      const counts = connection.latencies.map(([, count]) => count);
      return { requests: connection.requests, timed: counts.reduce((sum, n) => sum + n, 0) };
    });
    expect(timed).toBeGreaterThan(requests - 3);
    expect(timed).toBeLessThanOrEqual(requests);
  } finally {
    flood.kill();
    await flood.exited;
    await service.stop();
  }
});
