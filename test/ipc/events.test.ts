/**
 * Events (with their notify bytes) and flow control, as libqb clients see them. The same tests run
 * against a C server with the same behaviour.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { eventually } from "../support/eventually.ts";
import { native } from "../support/native.ts";
import { QbClient } from "../support/qb-client.ts";
import { libraryCommand, startService, type Service } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";

setDefaultTimeout(60_000);

const TO_ME = 100;
const TO_ALL = 101;
const HOLD = 102;
const EVENT_ID = 200;

let server: Service;

beforeAll(async () => {
  const onC = process.env["PMXCFS_IPC_TEST_TARGET"] === "c";
  server = await startService(
    onC ? (name) => [native("qb-control-server"), name] : libraryCommand("control"),
  );
});

afterAll(async () => {
  expect(await server.stop()).toBe(0);
  await noRingsLeft(server.pid);
});

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

async function expectEvents(client: QbClient, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const event = await client.run("event 5000");
    expect(event).toMatchObject({ res: 28, id: EVENT_ID, size: 28, error: 0 });
    expect(event.body).toBe(u32(i).toString("hex"));
  }
  expect((await client.run("event 20")).res).toBe(Errno.EAGAIN);
}

test("events to the client that asked arrive in order, beside its answers", async () => {
  await using client = await QbClient.open(server.name);
  expect((await client.call(TO_ME, u32(20))).error).toBe(0);
  await expectEvents(client, 20);
});

test("events to all reach the clients that did not ask", async () => {
  await using asking = await QbClient.open(server.name);
  await using other = await QbClient.open(server.name);
  expect((await asking.call(TO_ALL, u32(3))).error).toBe(0);
  await expectEvents(asking, 3);
  await expectEvents(other, 3);
});

test("more events than the socket has room for notify bytes all arrive", async () => {
  await using client = await QbClient.open(server.name);
  expect((await client.call(TO_ME, u32(900))).error).toBe(0);
  await expectEvents(client, 900);
});

test("requests are answered while events are unread", async () => {
  await using client = await QbClient.open(server.name);
  await client.call(TO_ME, u32(100));
  for (let i = 0; i < 100; i++) expect((await client.call(1, `${i}`)).error).toBe(0);
  await expectEvents(client, 100);
});

test("level 1 stops every client, until it is lifted", async () => {
  await using client = await QbClient.open(server.name);
  // Held again each time: the server lifts it after 300 ms, which may pass before the send.
  await eventually("a send refused", async () => {
    await client.call(HOLD, u32(1));
    const { res } = await client.run("send 1 -");
    if (res >= 0) await client.run("recv 2000");
    return res === Errno.EAGAIN;
  });
  await eventually("it is lifted", async () => (await client.call(1, "x")).error === 0);
});

test("level 2 stops only clients that agreed to be stopped", async () => {
  await using willing = await QbClient.open(server.name);
  await using other = await QbClient.open(server.name);
  expect((await willing.run("fc 2")).res).toBe(0);
  await eventually("the willing one is stopped", async () => {
    for (const client of [willing, other]) await client.call(HOLD, u32(2));
    const { res } = await willing.run("send 1 -");
    if (res >= 0) await willing.run("recv 2000");
    // The other one has the same level, and is never stopped.
    expect((await other.call(1, "x")).error).toBe(0);
    return res === Errno.EAGAIN;
  });
  await eventually("it is lifted", async () => (await willing.call(1, "x")).error === 0);
});
