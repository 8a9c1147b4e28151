/**
 * Handlers that answer later, and handlers that work after their answer: the answers of a
 * connection keep the order of its requests, other connections do not wait for a late answer, and a
 * handler that fails ends only one connection.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Errno } from "../../src/base/errno.ts";
import { IpcLimits } from "../../src/base/limits.ts";
import { eventually } from "../support/eventually.ts";
import { QbClient } from "../support/qb-client.ts";
import { libraryCommand, startService, type Service } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";

setDefaultTimeout(60_000);

const LATER = 1;
const AT_ONCE = 2;
const WHEN_TOLD = 3;
const TELL = 4;
const FAIL = 5;
const WORK_AFTER = 6;
const IS_DONE = 7;
const FAIL_AFTER = 8;
const LATE_WORK_AFTER = 9;

let server: Service;
let directory: string;

function hex(text: string): string {
  return Buffer.from(text, "latin1").toString("hex");
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-after-"));
  server = await startService(libraryCommand("asynchronous"));
});

afterAll(async () => {
  expect(await server.stop()).toBe(0);
  await noRingsLeft(server.pid);
  rmSync(directory, { recursive: true });
});

test("late answers are sent in the order of the requests, not of completion", async () => {
  await using client = await QbClient.open(server.name);
  const delays = [60, 1, 30, 0, 45, 2];
  for (const ms of delays) await client.run(`send ${LATER} ${Buffer.of(ms).toString("hex")}`);
  for (const ms of delays) {
    const body = Buffer.of(ms).toString("hex");
    expect(await client.run("recv 5000")).toMatchObject({ id: LATER, error: 0, body });
  }
});

test("an immediate answer waits for the late one before it", async () => {
  await using client = await QbClient.open(server.name);
  await client.run(`send ${LATER} 32`);
  await client.run(`send ${AT_ONCE} aa`);
  expect(await client.run("recv 5000")).toMatchObject({ id: LATER, body: "32" });
  expect(await client.run("recv 5000")).toMatchObject({ id: AT_ONCE, body: "aa" });
});

test("another connection is served while one awaits its answer", async () => {
  await using waiting = await QbClient.open(server.name);
  await using other = await QbClient.open(server.name);
  await waiting.run(`send ${WHEN_TOLD} 07`);
  expect((await waiting.run("recv 50")).res).toBe(Errno.ETIMEDOUT);
  expect((await other.call(AT_ONCE, "x")).error).toBe(0);
  expect((await other.call(TELL, "go")).error).toBe(0);
  expect(await waiting.run("recv 5000")).toMatchObject({ id: WHEN_TOLD, body: "07" });
});

test("more requests than can be pending at once are all answered, in order", async () => {
  await using client = await QbClient.open(server.name);
  const count = IpcLimits.queuedRequests * 4;
  for (let i = 0; i < count; i++) {
    // A full queue may stop its client by flow control: EAGAIN until there is room again.
    for (let tries = 0; tries < 1000; tries++) {
      const { res } = await client.run(`send ${LATER} 01${Buffer.of(i).toString("hex")}`);
      if (res >= 0) break;
      expect(res).toBe(Errno.EAGAIN);
      await Bun.sleep(1);
    }
  }
  for (let i = 0; i < count; i++) {
    const body = `01${Buffer.of(i).toString("hex")}`;
    expect(await client.run("recv 5000")).toMatchObject({ id: LATER, body });
  }
});

test("a client that leaves while its answer is pending does not affect others", async () => {
  await using leaving = await QbClient.open(server.name);
  await using other = await QbClient.open(server.name);
  await leaving.run(`send ${WHEN_TOLD} 07`);
  await leaving.kill();
  expect((await other.call(TELL, "go")).error).toBe(0);
  expect((await other.call(AT_ONCE, "x")).error).toBe(0);
});

test("a handler whose promise rejects ends only that connection", async () => {
  await using failing = await QbClient.open(server.name);
  await using other = await QbClient.open(server.name);
  expect((await failing.run(`sendrecv ${FAIL} -`)).res).toBe(Errno.ENOTCONN);
  expect((await other.call(AT_ONCE, "x")).error).toBe(0);
});

test("a client has its reply while the server still does the work after it", async () => {
  await using client = await QbClient.open(server.name);
  const path = join(directory, "arrived");
  expect(await client.call(WORK_AFTER, path)).toMatchObject({ error: 0, body: hex(path) });
  writeFileSync(path, "");
  // Not handled before the work is done.
  expect(await client.call(IS_DONE, "")).toMatchObject({ error: 0, body: hex("done") });
});

test("work after a reply that waits for a late one is done before the next request", async () => {
  await using client = await QbClient.open(server.name);
  const path = join(directory, "exists");
  writeFileSync(path, "");
  await client.run(`send ${LATER} 32`);
  await client.run(`send ${WORK_AFTER} ${hex(path)}`);
  await client.run(`send ${IS_DONE} -`);
  expect(await client.run("recv 5000")).toMatchObject({ id: LATER, body: "32" });
  expect(await client.run("recv 5000")).toMatchObject({ id: WORK_AFTER });
  expect(await client.run("recv 5000")).toMatchObject({ id: IS_DONE, body: hex("done") });
});

test("an exception in the work after a reply ends that connection, and is logged", async () => {
  await using failing = await QbClient.open(server.name);
  await using other = await QbClient.open(server.name);
  expect((await failing.call(FAIL_AFTER, "x")).error).toBe(0);
  await eventually("the exception is logged", () =>
    server.output.includes("asked to fail after the reply"),
  );
  expect((await failing.run(`sendrecv ${AT_ONCE} -`)).res).toBe(Errno.ENOTCONN);
  expect((await other.call(AT_ONCE, "x")).error).toBe(0);
});

test("the work after a late reply is done also when its client has left", async () => {
  await using leaving = await QbClient.open(server.name);
  await using other = await QbClient.open(server.name);
  await leaving.run(`send ${LATE_WORK_AFTER} 07`);
  expect((await other.call(AT_ONCE, "x")).error).toBe(0);
  await leaving.kill();
  expect((await other.call(TELL, "go")).error).toBe(0);
  await eventually("the work is done", async () => {
    return (await other.call(IS_DONE, "")).body === hex("done");
  });
});
