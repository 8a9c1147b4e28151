/** The echo servers that the benchmark compares: ours and the C server behave the same. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { command, SIDES } from "../../bench/target.ts";
import { eventually } from "../support/eventually.ts";
import { isRunning } from "../support/process-state.ts";
import { LineProcess } from "../support/lines.ts";
import { native } from "../support/native.ts";
import { QbClient } from "../support/qb-client.ts";
import { loadService } from "../support/qb-load.ts";
import { startService, type Service } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";

setDefaultTimeout(60_000);

const MS = 1e6;
const GOOD = { errors: 0, error: 0, mismatches: 0 };
const SLOW = 2;

for (const side of SIDES) {
  const serving = (...echo: string[]) => {
    let server: Service;
    beforeAll(async () => {
      server = await startService((name) => command(side, name, { echo }));
    });
    afterAll(async () => {
      expect(await server.stop()).toBe(0);
      await noRingsLeft(server.pid);
    });
    return {
      load: (...flags: string[]) => loadService(server.name, ...flags),
      connect: () => QbClient.open(server.name),
    };
  };

  describe(`${side}: an answer that is settled when the handler returns`, () => {
    const { load } = serving("--late");

    test("has the body of its request, with one request in flight", async () => {
      const flags = ["--requests", "500", "--body", "200", "--verify"];
      expect(await load(...flags, "--clients", "3")).toMatchObject({ ...GOOD, requests: 1500 });
    });

    test("has the body of its request, with 30 in flight", async () => {
      const flags = ["--requests", "2000", "--body", "77", "--verify", "--depth", "30"];
      expect(await load(...flags)).toMatchObject({ ...GOOD, requests: 2000 });
    });
  });

  describe(`${side}: an answer that is settled after 20 ms`, () => {
    const { load, connect } = serving("--late-ms", "20");

    test("does not arrive earlier", async () => {
      const result = await load("--requests", "10", "--body", "200", "--verify");
      expect(result).toMatchObject({ ...GOOD, requests: 10 });
      expect(result.p50_ns).toBeGreaterThan(19 * MS);
    });

    test("arrives also after clients were killed that waited for one", async () => {
      for (let i = 0; i < 5; i++) {
        await using client = await connect();
        for (let sent = 0; sent < 8; sent++) await client.run("send 1 0011");
        await client.kill();
      }
      expect(await load("--requests", "2", "--verify")).toMatchObject({ ...GOOD, requests: 2 });
    });
  });

  describe(`${side}: a handler that takes 3 ms for request 2`, () => {
    const { load } = serving("--burn-us", "3000");

    test("delays no other request", async () => {
      const slow = await load("--requests", "20", "--id", String(SLOW));
      expect(slow).toMatchObject({ ...GOOD, requests: 20 });
      expect(slow.p50_ns).toBeGreaterThan(2.9 * MS);
      const quick = await load("--requests", "20");
      expect(quick.p50_ns).toBeLessThan(slow.p50_ns);
    });
  });
}

test("the clients of a load end when it is killed", async () => {
  await using server = await startService((name) => command("c", name, { echo: [] }));
  const load = new LineProcess([native("qb-load"), server.name, "--clients", "3", "--ms", "30000"]);
  const children = `/proc/${load.pid}/task/${load.pid}/children`;
  const clients = await eventually("three clients", () => {
    const pids = readFileSync(children, "latin1").trim().split(" ");
    return pids.length === 3 ? pids : undefined;
  });
  await load.kill();
  await eventually("no clients", () => !clients.some((pid) => isRunning(Number(pid))));
});
