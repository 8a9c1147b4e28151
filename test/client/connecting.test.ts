/** A connection that is being made: polled, waited for, and cancelled. */
import { readdirSync } from "node:fs";
import { expect, test } from "bun:test";
import { QbFailure } from "../../src/client/failure.ts";
import { QbClient } from "../../src/client/qb-client.ts";
import { eventually } from "../support/eventually.ts";
import { native } from "../support/native.ts";
import { startService, uniqueName } from "../support/service.ts";
import { noRingsLeft, ringDirectories } from "../support/shm.ts";
import { FakeServer } from "./fake-server.ts";

const SMALL = { maxMessageBytes: 12_328 };

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

test("a blocking wait returns the client if the server is quick", async () => {
  await using service = await startService((name) => [native("qb-echo-server"), name]);
  const connecting = QbClient.begin(service.name, SMALL);
  const client = connecting.now(10_000);
  if (!(client instanceof QbClient)) throw new Error(String(client));
  expect(client.sendRecvBlocking(1, Buffer.from("x"))).toMatchObject({ id: 1, error: 0 });
  // Each call returns the same client.
  expect(connecting.now(0)).toBe(client);
  expect(await connecting.later(0)).toBe(client);
  expect(connecting.answered).toBe(true);
  client.close();
});

test("the answer of a stopped server arrives later, on the same connection", async () => {
  await using service = await startService((name) => [native("qb-echo-server"), name]);
  service.signal("SIGSTOP");
  const connecting = QbClient.begin(service.name, SMALL);
  expect(connecting.now(20)).toBeUndefined();
  expect(connecting.answered).toBe(false);
  service.signal("SIGCONT");
  const client = await connecting.later(10_000);
  if (!(client instanceof QbClient)) throw new Error(String(client));
  await eventually("one connection", () => ringDirectories(service.pid).length === 1);
  client.close();
  await noRingsLeft(service.pid);
});

test("a cancelled or late attempt leaves nothing, and pending waits get a failure", async () => {
  using server = new FakeServer(uniqueName(), { silent: true });
  const before = descriptors();
  const connecting = QbClient.begin(server.name, SMALL);
  expect(connecting.now(0)).toBeUndefined();
  const waiting = connecting.later(10_000);
  connecting.cancel();
  expect(await waiting).toBeInstanceOf(QbFailure);
  expect(connecting.answered).toBe(false);
  const late = await QbClient.begin(server.name, SMALL).later(10);
  expect(late instanceof QbFailure && late.kind).toBe("timeout");
  expect(late instanceof QbFailure ? late.message : "").toContain("gave no answer");
  // The server closes its sockets when it sees that ours are closed.
  await eventually("every descriptor is back", () => descriptors() <= before);
});

test("cancelling after the client was made closes the client", async () => {
  await using service = await startService((name) => [native("qb-echo-server"), name]);
  const connecting = QbClient.begin(service.name, SMALL);
  expect(connecting.now(10_000)).toBeInstanceOf(QbClient);
  connecting.cancel();
  await noRingsLeft(service.pid);
});

test("an absent server and an invalid name are failures, too", () => {
  for (const name of [uniqueName(), "", "x".repeat(200)]) {
    const connecting = QbClient.begin(name, SMALL);
    expect(connecting.now(0)).toBeInstanceOf(QbFailure);
    expect(connecting.answered).toBe(true);
  }
});
