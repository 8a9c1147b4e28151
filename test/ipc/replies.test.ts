/** Replies that libqb servers may send: with an error and a body, with another id, or none. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { QbClient } from "../support/qb-client.ts";
import { libraryCommand, startService, type Service } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";

setDefaultTimeout(60_000);

let server: Service;

beforeAll(async () => {
  server = await startService(libraryCommand("replies"));
});

afterAll(async () => {
  expect(await server.stop()).toBe(0);
  await noRingsLeft(server.pid);
});

test("an error is sent with its body", async () => {
  await using client = await QbClient.open(server.name);
  const reply = await client.run("sendrecv 1 aabbcc");
  expect(reply).toMatchObject({ id: 1, error: Errno.EIO, size: 27, body: "aabbcc" });
});

test("a reply has the id that the handler chose", async () => {
  await using client = await QbClient.open(server.name);
  expect(await client.run("sendrecv 2 01")).toMatchObject({ id: 77, error: 0, body: "01" });
  const late = await client.run("sendrecv 4 02");
  expect(late).toMatchObject({ id: -9, error: 1234, body: "02" });
});

test("an empty reply message is sent as an empty body", async () => {
  await using client = await QbClient.open(server.name);
  expect(await client.run("sendrecv 100 05")).toMatchObject({ id: 100, error: 0, size: 24 });
});

test("one-way requests get no reply, and do not change the order of other replies", async () => {
  await using client = await QbClient.open(server.name);
  for (const id of [3, 5, 3, 4, 5, 1]) {
    expect((await client.run(`send ${id} 07`)).res).toBeGreaterThan(0);
  }
  expect(await client.run("recv 5000")).toMatchObject({ id: -9, body: "07" });
  expect(await client.run("recv 5000")).toMatchObject({ id: 1, body: "07" });
  expect((await client.run("recv 50")).res).toBe(Errno.ETIMEDOUT);
});

test("an error whose body does not fit is replaced by EMSGSIZE without a body", async () => {
  await using client = await QbClient.open(server.name);
  const reply = await client.run("sendrecv 8 -");
  expect(reply).toMatchObject({ id: 8, error: Errno.EMSGSIZE, size: 24 });
});

test.each([6, 7])("a header field that is no i32 ends the connection (request %d)", async (id) => {
  await using client = await QbClient.open(server.name);
  expect((await client.run(`sendrecv ${id} -`)).res).toBe(Errno.ENOTCONN);
  await using other = await QbClient.open(server.name);
  expect((await other.run("sendrecv 1 00")).error).toBe(Errno.EIO);
});
