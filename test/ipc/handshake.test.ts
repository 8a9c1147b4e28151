/**
 * Handshakes that no libqb client makes: in parts, malformed, too large, silent. The server closes
 * malformed ones, keeps serving others, and makes no rings before a peer is accepted.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { IpcLimits } from "../../src/base/limits.ts";
import { ConnectionResponse } from "../../src/wire/qb.ts";
import { spanOf } from "../../src/wire/struct.ts";
import { eventually } from "../support/eventually.ts";
import { QbClient } from "../support/qb-client.ts";
import { handshake, RawClient } from "../support/raw-client.ts";
import { echoCommand, startService, type Service } from "../support/service.ts";
import { noRingsLeft, ringDirectories } from "../support/shm.ts";

setDefaultTimeout(120_000);

let server: Service;

beforeAll(async () => {
  server = await startService(echoCommand);
});

afterAll(async () => {
  expect(await server.stop()).toBe(0);
  await noRingsLeft(server.pid);
});

async function accepted(client: RawClient): Promise<number> {
  const { bytes } = await client.read(ConnectionResponse.size);
  expect(bytes.length).toBe(ConnectionResponse.size);
  expect(ConnectionResponse.read.error(spanOf(bytes))).toBe(0);
  return ConnectionResponse.read.maxMessageBytes(spanOf(bytes));
}

function directoriesOf(client: RawClient): string[] {
  return ringDirectories(server.pid).filter((name) => name.split("-")[2] === `${client.pid}`);
}

async function othersAreServed(): Promise<void> {
  await using client = await QbClient.open(server.name);
  expect((await client.call(1, "x")).error).toBe(0);
}

test("a set-up request in one part is answered", async () => {
  await using client = await RawClient.open(server.name);
  await client.write(handshake());
  expect(await accepted(client)).toBe(1 << 20);
});

test("a set-up request that arrives byte by byte is answered", async () => {
  await using client = await RawClient.open(server.name);
  for (const byte of handshake()) expect(await client.write(Buffer.of(byte))).toBe(1);
  expect(await accepted(client)).toBe(1 << 20);
});

test("a set-up request in two parts is answered, and others are served in between", async () => {
  await using client = await RawClient.open(server.name);
  await client.write(handshake().subarray(0, 11));
  await othersAreServed();
  expect(directoriesOf(client)).toHaveLength(0);
  await client.write(handshake().subarray(11));
  expect(await accepted(client)).toBe(1 << 20);
});

test("a message size below libqb's smallest is raised to it", async () => {
  await using client = await RawClient.open(server.name);
  await client.write(handshake({ maxMessageBytes: 1 }));
  expect(await accepted(client)).toBe(IpcLimits.minMessageBytes);
});

for (const id of [0, 1, -2, -3, 0x7fffffff]) {
  test(`a first message with id ${id} ends the connection`, async () => {
    await using client = await RawClient.open(server.name);
    await client.write(handshake({ id }));
    expect(await client.isClosed()).toBe(true);
    expect(directoriesOf(client)).toHaveLength(0);
    await othersAreServed();
  });
}

for (const bytes of [IpcLimits.maxMessageBytes + 1, 0x7fffffff, 0xffffffff]) {
  test(`a client that asks for ${bytes} bytes is refused before anything is made`, async () => {
    await using client = await RawClient.open(server.name);
    await client.write(handshake({ maxMessageBytes: bytes }));
    const answer = await client.read(ConnectionResponse.size);
    if (answer.bytes.length > 0) {
      expect(ConnectionResponse.read.error(spanOf(answer.bytes))).toBeLessThan(0);
    }
    expect(await client.isClosed()).toBe(true);
    expect(directoriesOf(client)).toHaveLength(0);
    await othersAreServed();
  });
}

test("a peer that sends nothing, or half a request, is closed after the timeout", async () => {
  await using silent = await RawClient.open(server.name);
  await using half = await RawClient.open(server.name);
  await half.write(handshake().subarray(0, 23));
  await othersAreServed();
  expect(await silent.isClosed(IpcLimits.handshakeTimeoutMs * 5)).toBe(true);
  expect(await half.isClosed(IpcLimits.handshakeTimeoutMs * 5)).toBe(true);
});

test("a peer that closes after its handshake leaves nothing", async () => {
  await using client = await RawClient.open(server.name);
  await client.write(handshake());
  await client.close();
  await eventually("no directory of it", () => directoriesOf(client).length === 0);
  await othersAreServed();
});
