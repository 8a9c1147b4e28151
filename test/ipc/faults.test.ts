/**
 * A handler that throws, rejects, never settles, or answers twice, too much or nothing affects only
 * one connection or one answer. Also a socket that takes only some of the notify bytes.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { Errno } from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";
import { connectionOver, hostOf, makeRings } from "../support/connection.ts";
import { bodyText, QbClient } from "../support/qb-client.ts";
import { libraryCommand, startService, type Service } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";
import { testUnless } from "../support/unless.ts";

setDefaultTimeout(60_000);

let server: Service;
let bystander: QbClient;

beforeAll(async () => {
  server = await startService(libraryCommand("faulty"));
  bystander = await QbClient.open(server.name);
});

afterAll(async () => {
  await bystander[Symbol.asyncDispose]();
  expect(await server.stop()).toBe(0);
  await noRingsLeft(server.pid);
});

async function othersAreServed(): Promise<void> {
  expect(bodyText(await bystander.call(0, "still here"))).toBe("still here");
}

for (const [id, what] of [
  [1, "throws"],
  [2, "rejects"],
  [7, "answers nothing"],
  [8, "answers text"],
  [9, "disconnects its caller"],
] as const) {
  test(`a handler that ${what} ends that connection only`, async () => {
    await using client = await QbClient.open(server.name);
    expect((await client.call(id)).res).toBeLessThan(0);
    expect((await client.call(0)).res).toBeLessThan(0);
    await othersAreServed();
  });
}

test("a handler that never settles blocks only that connection", async () => {
  await using client = await QbClient.open(server.name);
  expect((await client.run("send 3 -")).res).toBeGreaterThan(0);
  await othersAreServed();
});

test("of a handler that answers twice, only the first answer counts", async () => {
  await using client = await QbClient.open(server.name);
  expect(bodyText(await client.call(4, "once"))).toBe("once");
  expect(bodyText(await client.call(0, "next"))).toBe("next");
});

test("an exception in a handler or in a hook of the server is logged with its stack", async () => {
  await using own = await startService(libraryCommand("faulty"));
  await using client = await QbClient.open(own.name);
  expect((await client.call(1)).res).toBeLessThan(0);
  const line = /crit: .*serving request 1 failed: Error: asked to fail <- .*faulty\.ts:\d+/;
  await eventually("a line with a stack", () => line.test(own.output));
  expect(own.output).toContain("the handler failed: Error: asked to fail <- ");
});

for (const id of [5, 6]) {
  test(`an answer of 2 MiB is replaced by EMSGSIZE (request ${id})`, async () => {
    await using client = await QbClient.open(server.name);
    expect((await client.call(id)).error).toBe(Errno.EMSGSIZE);
    expect(bodyText(await client.call(0, "next"))).toBe("next");
  });
}

test("a handler whose malformed() throws ends that connection only", async () => {
  await using client = await QbClient.open(server.name);
  expect((await client.call(0, "", 5)).res).toBeLessThan(0);
  await othersAreServed();
});

const asRoot = testUnless(process.getuid?.() === 0 ? undefined : "needs root, to be a stranger");

asRoot("an authenticate that throws refuses the client", async () => {
  await using client = await QbClient.open(server.name, { uid: 65_534, gid: 65_534 });
  expect(client.connected.res).toBeLessThan(0);
  await othersAreServed();
});

test("notify bytes for which the socket had no room are sent when it has", () => {
  using kept = new DisposableStack();
  let room = 0;
  const sent: number[] = [];
  const wire = {
    fd: -1,
    close: () => {},
    setQuiet: () => {},
    notify(count: number) {
      const taken = Math.min(count, room);
      room -= taken;
      sent.push(taken);
      return taken;
    },
  };
  const host = hostOf(() => Errno.EIO);
  const connection = connectionOver(makeRings("short", kept), host, 1, wire);
  const body = new Uint8Array(8);
  for (let i = 0; i < 3; i++) expect(connection.sendEvent(1, body)).toBe(0);
  expect(connection.sendEvent(1, body)).toBe(Errno.EAGAIN);
  room = 2;
  connection.flushNotifies();
  room = 5;
  connection.flushNotifies();
  connection.flushNotifies();
  expect(sent).toEqual([0, 0, 0, 2, 1]);
  connection.disconnect("done");
});
