/** Connects while /dev/shm is full of the rings of ended connections. */
import { afterEach, expect, mock, spyOn, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { silentLog } from "../../src/base/log.ts";
import { nextTurn } from "../../src/base/turns.ts";
import { QbClient } from "../../src/client/qb-client.ts";
import { EMPTY_REPLY, type Handler } from "../../src/ipc/handler.ts";
import { RingDisposal } from "../../src/ipc/scheduling/ring-disposal.ts";
import { Service } from "../../src/ipc/service.ts";
import { RingDirectory } from "../../src/shm/ring-directory.ts";
import { connectTo, sendBytes } from "../../src/platform/socket.ts";
import { closeDescriptor } from "../../src/platform/files.ts";
import { ConnectionRequest, QbMessage } from "../../src/wire/qb.ts";
import { encode } from "../../src/wire/struct.ts";
import { eventually } from "../support/eventually.ts";
import { uniqueName } from "../support/service.ts";

afterEach(() => {
  mock.restore();
});

const HANDLER: Handler = { authenticate: () => "read-write", handle: () => EMPTY_REPLY };

const REQUEST = encode(ConnectionRequest, {
  id: QbMessage.AUTHENTICATE,
  size: ConnectionRequest.size,
  maxMessageBytes: 12_328,
});

/** Keeps the thread busy. */
function work(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

/**
 * A service whose /dev/shm is full, from `fill` on, until `free` of the rings of ended connections
 * are removed; before, none is.
 */
function fullService(free: number) {
  const log = silentLog;
  const service = Service.start(uniqueName(), HANDLER, { log, pooledRings: 0, setUpMsPerTurn: 1 });
  if (!(service instanceof Service)) throw new Error(service.message);
  const removals: number[] = [];
  const ended: (() => void)[] = [];
  let isFull = false;
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns++;
    if (!isOver) setImmediate(count);
  };
  count();
  const { add } = RingDisposal.prototype;
  spyOn(RingDisposal.prototype, "add").mockImplementation(function (
    this: RingDisposal,
    rings,
    peer,
  ) {
    const remove = (): void => {
      removals.push(turns);
      work(2);
      rings[Symbol.dispose]();
    };
    const removable = { bytes: rings.bytes, [Symbol.dispose]: remove };
    if (isFull) add.call(this, removable, peer);
    else ended.push(() => add.call(this, removable, peer));
  });
  const make = RingDirectory.make.bind(RingDirectory);
  spyOn(RingDirectory, "make").mockImplementation((...options) =>
    isFull && removals.length < free ? Errno.ENOSPC : make(...options),
  );
  const fill = (): void => {
    isFull = true;
    for (const dispose of ended.splice(0)) dispose();
  };
  const stop = async (): Promise<void> => {
    isOver = true;
    await service.stop();
  };
  return { service, removals, fill, [Symbol.asyncDispose]: stop };
}

async function connected({ name }: Service): Promise<QbClient> {
  const client = await QbClient.connect(name, { maxMessageBytes: 1, timeoutMs: 5000 });
  if (!(client instanceof QbClient)) throw new Error(client.toString());
  return client;
}

async function connectedAndClosed(service: Service, count: number): Promise<void> {
  const clients: QbClient[] = [];
  while (clients.length < count) clients.push(await connected(service));
  for (const client of clients) client.close();
  await eventually("all ended", () => service.stats.activeConnections === 0);
}

test("memory that is needed is freed over several turns, and no more than that", async () => {
  const removed: number[] = [];
  const disposal = new RingDisposal(1);
  for (let number = 0; number < 5; number++) {
    const remove = (): void => {
      removed.push(number);
      work(2);
    };
    disposal.add({ bytes: 100, [Symbol.dispose]: remove }, { uid: 33, pid: 1 });
  }
  expect([removed, disposal.bytes]).toEqual([[], 500]);
  const freed = disposal.free(150);
  expect([removed, disposal.bytes]).toEqual([[0], 400]);
  await freed;
  expect([removed, disposal.bytes]).toEqual([[0, 1], 300]);
  await disposal.free(1000);
  expect([removed, disposal.bytes]).toEqual([[0, 1, 2, 3, 4], 0]);
});

test("a client gets the memory of ended connections after several turns", async () => {
  await using full = fullService(12);
  await connectedAndClosed(full.service, 40);
  full.fill();
  const client = await connected(full.service);
  expect(full.removals.length).toBeWithin(12, 40);
  expect(new Set(full.removals).size).toBe(full.removals.length);
  client.close();
});

test("a client that hangs up while memory is freed for it leaves nothing", async () => {
  await using full = fullService(20);
  const { service } = full;
  await connectedAndClosed(service, 20);
  full.fill();
  const fd = connectTo(service.name);
  sendBytes(fd, REQUEST);
  await nextTurn();
  await nextTurn();
  closeDescriptor(fd);
  await eventually("the handshake ended", () => service.stats.refused.handshake === 1);
  await eventually("all removed", () => full.removals.length === 20);
  expect([service.stats.activeConnections, service.standby.handshakes]).toEqual([0, 0]);
  (await connected(service)).close();
});

test("a client is refused when the memory of all ended connections is not enough", async () => {
  await using full = fullService(Infinity);
  await connectedAndClosed(full.service, 5);
  full.fill();
  const refused = await QbClient.connect(full.service.name, { timeoutMs: 5000 });
  expect(refused).toMatchObject({ errno: Errno.ENOSPC });
  expect(full.removals).toHaveLength(5);
  expect(full.service.stats.refused.resources).toBe(1);
});
