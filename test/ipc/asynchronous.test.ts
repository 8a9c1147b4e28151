/**
 * Handlers that answer later: the answers of a connection keep the order of its requests, other
 * connections do not wait, and a handler that fails ends only one connection.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { IpcLimits } from "../../src/base/limits.ts";
import { QbClient } from "../support/qb-client.ts";
import { libraryCommand, startService, type Service } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";

setDefaultTimeout(60_000);

const LATER = 1;
const AT_ONCE = 2;
const WHEN_TOLD = 3;
const TELL = 4;
const FAIL = 5;

let server: Service;

beforeAll(async () => {
  server = await startService(libraryCommand("asynchronous"));
});

afterAll(async () => {
  expect(await server.stop()).toBe(0);
  await noRingsLeft(server.pid);
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
