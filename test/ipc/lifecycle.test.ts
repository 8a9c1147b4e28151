/**
 * Clean and unclean ends: clients that are killed, servers that are stopped or killed with clients
 * connected. In no case does a ring directory stay in /dev/shm.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { eventually } from "../support/eventually.ts";
import { QbClient } from "../support/qb-client.ts";
import { echoCommand, startService, type Service } from "../support/service.ts";
import { noRingsLeft, ringDirectories } from "../support/shm.ts";

setDefaultTimeout(120_000);

const pids: number[] = [];

async function start(name?: string): Promise<Service> {
  const service = await startService(echoCommand, name === undefined ? {} : { name });
  pids.push(service.pid);
  return service;
}

/** The directories of one client, whose pid is in their names. */
function directoriesOf(server: Service, client: QbClient): string[] {
  return ringDirectories(server.pid).filter((name) => name.split("-")[2] === `${client.pid}`);
}

async function seesTheEnd(client: QbClient): Promise<void> {
  await eventually("ENOTCONN", async () => (await client.run("recv 50")).res === Errno.ENOTCONN);
  expect((await client.run("alive")).res).toBe(0);
}

afterAll(async () => {
  await noRingsLeft(...pids);
});

test("a client that disconnects leaves no files behind", async () => {
  await using server = await start();
  await using client = await QbClient.open(server.name);
  expect((await client.call(1, "x")).error).toBe(0);
  expect(directoriesOf(server, client)).toHaveLength(1);
  await client.run("disconnect");
  await eventually("its directory gone", () => directoriesOf(server, client).length === 0);
});

test("a client that is killed leaves no files behind, and others go on", async () => {
  await using server = await start();
  await using other = await QbClient.open(server.name);
  await using client = await QbClient.open(server.name);
  await client.run("send 1 00");
  await client.kill();
  await eventually("its directory gone", () => directoriesOf(server, client).length === 0);
  expect((await other.call(2, "y")).error).toBe(0);
});

test("a client that asks for the disconnect with id -3 is closed without an answer", async () => {
  await using server = await start();
  await using client = await QbClient.open(server.name);
  expect((await client.run("send -3 -")).res).toBe(16);
  await seesTheEnd(client);
  await eventually("its directory gone", () => directoriesOf(server, client).length === 0);
  // The client was active when it left: the server must not poll its rings again.
  for (let round = 0; round < 20; round++) {
    await using polled = await QbClient.open(server.name);
    await polled.run("pipeline 20 1 00");
    expect((await polled.run("send -3 -")).res).toBe(16);
    await seesTheEnd(polled);
  }
  await using other = await QbClient.open(server.name);
  expect((await other.call(1, "still there")).error).toBe(0);
  expect(await server.stop()).toBe(0);
});

test("SIGTERM with clients connected ends with 0, closes them and leaves nothing", async () => {
  const server = await start();
  await using one = await QbClient.open(server.name);
  await using two = await QbClient.open(server.name);
  expect((await one.call(1, "x")).error).toBe(0);
  expect(await server.stop("SIGTERM")).toBe(0);
  await noRingsLeft(server.pid);
  for (const client of [one, two]) {
    await seesTheEnd(client);
  }
});

test("after SIGTERM, requests that are in the rings are still answered", async () => {
  const server = await start();
  await using client = await QbClient.open(server.name);
  server.signal("SIGSTOP");
  for (let i = 0; i < 10; i++) await client.run(`send ${i} 0${i}`);
  server.signal("SIGTERM");
  server.signal("SIGCONT");
  for (let i = 0; i < 10; i++) {
    expect(await client.run("recv 5000")).toMatchObject({ id: i, error: 0, body: `0${i}` });
  }
  expect(await server.ended()).toBe(0);
});

test("when a killed server is started again, clients reconnect and nothing is left", async () => {
  const dead = await start();
  await using client = await QbClient.open(dead.name);
  await using gone = await QbClient.open(dead.name);
  expect((await client.call(1, "x")).error).toBe(0);
  await gone.kill();
  await dead.stop("SIGKILL");
  await using server = await start(dead.name);
  await noRingsLeft(dead.pid);
  await seesTheEnd(client);
  await client.run("disconnect");
  expect((await client.run("connect")).res).toBe(0);
  expect((await client.run("server")).pid).toBe(server.pid);
  expect((await client.call(1, "again")).error).toBe(0);
});

test("a second server with the same name fails to start, and the first goes on", async () => {
  await using server = await start();
  const second = Bun.spawnSync([...echoCommand(server.name)], { timeout: 20_000 });
  expect(second.exitCode).not.toBe(0);
  await using client = await QbClient.open(server.name);
  expect((await client.call(1, "x")).error).toBe(0);
});
