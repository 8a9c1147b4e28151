/**
 * Authentication: each policy is a server on the library, tested by real libqb clients that run as
 * root, www-data and nobody. Covers the nine authentication tests of the seed.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { type Identity, NOBODY, ROOT, WWW_DATA } from "../support/identity.ts";
import { bodyText, QbClient } from "../support/qb-client.ts";
import { libraryCommand, startService, type Service } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";

setDefaultTimeout(60_000);

const pids: number[] = [];

afterAll(async () => {
  await noRingsLeft(...pids);
});

async function serve(policy: string): Promise<Service> {
  const service = await startService(libraryCommand("policy", policy));
  pids.push(service.pid);
  return service;
}

/** The result for `who`: the errno of its connect, or its permissions as a request reports them. */
async function fares(server: Service, who: Identity): Promise<string | number> {
  await using client = await QbClient.open(server.name, who);
  if (client.connected.res !== 0) return client.connected.res;
  return bodyText(await client.call(1));
}

/** The shortest of five connects that all end with `result`, in ns. */
async function bestConnect(server: Service, result: number): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    await using client = await QbClient.open(server.name);
    expect(client.connected.res).toBe(result);
    times.push(client.connected.ns ?? Infinity);
  }
  return Math.min(...times);
}

/** The calls of the server's handler, in order. */
function calls(server: Service, call: string): Record<string, unknown>[] {
  const lines = server.output.split("\n").filter((line) => line.startsWith("{"));
  return lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((each) => each["call"] === call);
}

/** Stops the server first, so that all its output has arrived. */
async function callsAfterStop(server: Service, call: string): Promise<Record<string, unknown>[]> {
  expect(await server.stop()).toBe(0);
  return calls(server, call);
}

test("a handler that accepts all accepts every client", async () => {
  await using server = await serve("accept-all");
  for (const who of [ROOT, WWW_DATA, NOBODY]) expect(await fares(server, who)).toBe("read-write");
});

test("a handler that rejects all refuses every client with its errno", async () => {
  await using server = await serve("reject-all");
  for (const who of [ROOT, WWW_DATA, NOBODY]) expect(await fares(server, who)).toBe(Errno.EACCES);
});

test("a rejection is sent in the handshake, without making rings and without delay", async () => {
  await using server = await serve("reject-all");
  await using other = await serve("accept-all");
  const refused = await bestConnect(server, Errno.EACCES);
  // A connect that succeeds also has to make and map rings.
  expect(refused).toBeLessThan(5 * (await bestConnect(other, 0)));
  expect(await callsAfterStop(server, "handle")).toEqual([]);
  await noRingsLeft(server.pid);
});

test("a handler for root only refuses other users", async () => {
  await using server = await serve("root-only");
  expect(await fares(server, ROOT)).toBe("read-write");
  expect(await fares(server, WWW_DATA)).toBe(Errno.EPERM);
  expect(await fares(server, NOBODY)).toBe(Errno.EPERM);
});

test("authenticate is called once per connection, with the peer's pid, uid and gid", async () => {
  await using server = await serve("accept-all");
  const expected: Record<string, unknown>[] = [];
  for (const who of [ROOT, WWW_DATA, { uid: 33, gid: 65_534 }]) {
    await using client = await QbClient.open(server.name, who);
    await client.call(1);
    await client.call(2);
    expected.push({ call: "authenticate", pid: client.pid, ...who });
  }
  expect(await callsAfterStop(server, "authenticate")).toEqual(expected);
});

test("every connection of one client is authenticated", async () => {
  await using server = await serve("accept-all");
  await using client = await QbClient.open(server.name);
  for (let i = 0; i < 2; i++) {
    await client.run("disconnect");
    expect((await client.run("connect")).res).toBe(0);
  }
  expect(await callsAfterStop(server, "authenticate")).toHaveLength(3);
});

test("a read-only caller is accepted, and each of its requests has that permission", async () => {
  await using server = await serve("read-only-but-root");
  expect(await fares(server, ROOT)).toBe("read-write");
  expect(await fares(server, NOBODY)).toBe("read-only");
  const handled = await callsAfterStop(server, "handle");
  expect(handled.map((call) => call["permissions"])).toEqual(["read-write", "read-only"]);
});

test("the Proxmox policy: root may write, www-data may read, others are refused", async () => {
  await using server = await serve("proxmox");
  expect(await fares(server, ROOT)).toBe("read-write");
  expect(await fares(server, WWW_DATA)).toBe("read-only");
  expect(await fares(server, NOBODY)).toBe(Errno.EPERM);
});

test("a policy by group checks the gid for any uid", async () => {
  await using server = await serve("by-group");
  expect(await fares(server, WWW_DATA)).toBe("read-write");
  expect(await fares(server, { uid: 65_534, gid: 33 })).toBe("read-write");
  expect(await fares(server, { uid: 33, gid: 65_534 })).toBe(Errno.EPERM);
  expect(await fares(server, ROOT)).toBe(Errno.EPERM);
});
