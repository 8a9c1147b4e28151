/**
 * The echo server under the load of real libqb clients: many requests, deep pipelines, many
 * connects, many clients; every echoed byte is checked, and nothing is left in /dev/shm.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { WWW_DATA } from "../support/identity.ts";
import { QbClient } from "../support/qb-client.ts";
import { loadService } from "../support/qb-load.ts";
import { echoCommand, startService, type Service } from "../support/service.ts";
import { noRingsLeft, ringDirectories } from "../support/shm.ts";

setDefaultTimeout(120_000);

let server: Service;
/** Directories of an idle server: the pooled ones. */
let idleDirectories: number;

beforeAll(async () => {
  server = await startService(echoCommand);
  idleDirectories = ringDirectories(server.pid).length;
});

afterAll(async () => {
  expect(await server.stop()).toBe(0);
  await noRingsLeft(server.pid);
});

const GOOD = { errors: 0, error: 0, mismatches: 0 };

test("100,000 sequential requests on one connection are answered", async () => {
  const load = await loadService(server.name, "--requests", "100000", "--body", "200", "--verify");
  expect(load).toMatchObject({ ...GOOD, requests: 100_000 });
});

test("1,000 requests in flight on one connection, answered in order", async () => {
  await using client = await QbClient.open(server.name);
  const pipeline = await client.run("pipeline 1000 5 00ff10");
  expect(pipeline).toMatchObject({ res: 0, sent: 1000, received: 1000, mismatches: 0 });
});

test("requests kept in flight for a while wrap the rings many times", async () => {
  const flags = ["--requests", "20000", "--body", "5003", "--depth", "100"];
  expect(await loadService(server.name, ...flags)).toMatchObject({ ...GOOD, requests: 20_000 });
});

test("bodies of many sizes up to the ring's limit are echoed", async () => {
  for (const bytes of [0, 1, 2, 3, 4, 5, 4095, 4096, 4097, 65_537, 524_288, 1_048_000]) {
    const flags = ["--requests", "20", "--body", String(bytes), "--verify"];
    expect(await loadService(server.name, ...flags)).toMatchObject({ ...GOOD, requests: 20 });
  }
});

test("5,000 connects and disconnects succeed", async () => {
  const load = await loadService(server.name, "--requests", "5000", "--connects");
  expect(load).toMatchObject({ ...GOOD, requests: 5000 });
});

test("200 clients at once are served", async () => {
  const flags = ["--clients", "200", "--requests", "100", "--body", "64", "--verify"];
  const load = await loadService(server.name, ...flags, "--max-msg-size", "16384");
  expect(load).toMatchObject({ ...GOOD, requests: 20_000 });
});

test("a www-data client is served by a root server", async () => {
  const { uid, gid } = WWW_DATA;
  const flags = ["--requests", "1000", "--body", "100", "--verify"];
  const load = await loadService(server.name, ...flags, "--uid", `${uid}`, "--gid", `${gid}`);
  expect(load).toMatchObject({ ...GOOD, requests: 1000 });
});

test("after all these loads only pooled directories are left", async () => {
  await using client = await QbClient.open(server.name);
  expect((await client.call(1, "still here")).error).toBe(0);
  const allowed = Math.max(idleDirectories, 16) + 1;
  // The rings of clients that have left are removed later, in slices.
  await eventually("few directories", () => ringDirectories(server.pid).length <= allowed);
});
