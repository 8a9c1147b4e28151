/** Connects while /dev/shm is full of the rings of ended connections. */
import { afterEach, expect, mock, spyOn, test } from "bun:test";
import { join } from "node:path";
import { Errno } from "../../src/base/errno.ts";
import { silentLog } from "../../src/base/log.ts";
import { nextTurn } from "../../src/base/turns.ts";
import { QbClient } from "../../src/client/qb-client.ts";
import { EMPTY_REPLY, type Handler } from "../../src/ipc/handler.ts";
import { RingDisposal } from "../../src/ipc/scheduling/ring-disposal.ts";
import type { QueuedJob } from "../../src/ipc/scheduling/time-sliced-queue.ts";
import type { ServiceOptions } from "../../src/ipc/options.ts";
import { Service } from "../../src/ipc/service.ts";
import { RingSupply } from "../../src/ipc/setup/ring-supply.ts";
import { RingDirectory } from "../../src/shm/ring-directory.ts";
import { connectTo, sendBytes } from "../../src/platform/socket.ts";
import { closeDescriptor, type FileDirectory } from "../../src/platform/files.ts";
import { ConnectionRequest, QbMessage } from "../../src/wire/qb.ts";
import { encode } from "../../src/wire/struct.ts";
import { eventually } from "../support/eventually.ts";
import { REPOSITORY } from "../support/native.ts";
import { uniqueName } from "../support/service.ts";

afterEach(() => {
  mock.restore();
});

const HANDLER: Handler = { authenticate: () => "read-write", handle: () => EMPTY_REPLY };

/** For messages of this size, rings take as much of /dev/shm as twelve of the smallest. */
const TWELVE_TIMES = 331_763;

const REQUEST = encode(ConnectionRequest, {
  id: QbMessage.AUTHENTICATE,
  size: ConnectionRequest.size,
  maxMessageBytes: TWELVE_TIMES,
});

interface Named extends QueuedJob {
  readonly name: string;
}

/** Keeps the thread busy. */
function work(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

/**
 * A service whose /dev/shm is full, from `fill` on, until `free` of the rings of ended connections
 * are removed; before, none is.
 */
function fullService(free: number, more: ServiceOptions = {}) {
  const options = { log: silentLog, pooledRings: 0, setUpMsPerTurn: 1, ...more };
  const service = Service.start(uniqueName(), HANDLER, options);
  if (!(service instanceof Service)) throw new Error(service.message);
  /** Most ring directories at once. */
  let most = 0;
  let made = 0;
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
  spyOn(RingDirectory, "make").mockImplementation((...parts) => {
    if (isFull && removals.length < free) return Errno.ENOSPC;
    most = Math.max(most, ++made - removals.length);
    return make(...parts);
  });
  const fill = (): void => {
    isFull = true;
    for (const dispose of ended.splice(0)) dispose();
  };
  const stop = async (): Promise<void> => {
    isOver = true;
    await service.stop();
  };
  return { service, removals, fill, most: () => most, [Symbol.asyncDispose]: stop };
}

async function connected({ name }: Service, maxMessageBytes = 1): Promise<QbClient> {
  const client = await QbClient.connect(name, { maxMessageBytes, timeoutMs: 5000 });
  if (!(client instanceof QbClient)) throw new Error(client.toString());
  return client;
}

async function connectedAndClosed(service: Service, count: number): Promise<void> {
  const clients: QbClient[] = [];
  while (clients.length < count) clients.push(await connected(service));
  for (const client of clients) client.close();
  await eventually("all ended", () => service.stats.activeConnections === 0);
}

test("peers that wait are served in turn, by user, each when its memory is free", async () => {
  const disposal = new RingDisposal(1);
  for (let number = 0; number < 10; number++) {
    disposal.add({ bytes: 100, [Symbol.dispose]: () => work(2) }, { uid: 33, pid: 1 });
  }
  const served: string[] = [];
  const removedBytes: number[] = [];
  const again = ({ name }: { readonly name: string }) => {
    served.push(name);
    removedBytes.push(disposal.removedBytes);
  };
  const full = { makeSub: () => Errno.ENOSPC } as unknown as FileDirectory;
  const settings = { pooledRings: 0, mappedRings: 100 };
  using supply = new RingSupply<Named>(full, "none", settings, disposal, again);
  const take = (name: string, uid: number, bytes: number) => {
    const peer = { name, peer: { pid: 1, uid, gid: uid } };
    return supply.take(peer, { owner: peer.peer, socketFd: 5, dataBytes: 4096, bytes }, 0);
  };
  const gone = { name: "gone", peer: { pid: 1, uid: 33, gid: 33 } };
  expect(take("first", 33, 250)).toBe("later");
  const wanted = { owner: gone.peer, socketFd: 5, dataBytes: 4096, bytes: 100 };
  expect(supply.take(gone, wanted, 0)).toBe("later");
  expect(take("second", 33, 2000)).toBe("later");
  expect(take("root", 0, 100)).toBe("later");
  supply.forget(gone);
  await eventually("all are served", () => served.length === 3);
  expect(served).toEqual(["first", "root", "second"]);
  const [first = 0, root = 0, second = 0] = removedBytes;
  expect(first).toBeWithin(300, 600);
  expect(root).toBeWithin(first + 100, 800);
  expect(second).toBe(1000);
  // Nothing is left to wait for.
  expect(take("last", 33, 1)).toBe(Errno.ENOSPC);
});

test("an exception for a peer that waited delays neither the others nor later ones", async () => {
  // In a process of its own: nothing catches the exception.
  const script = join(REPOSITORY, "test", "support", "servers", "failing-set-up.ts");
  const child = Bun.spawn([process.execPath, script], { stdout: "pipe" });
  expect(await new Response(child.stdout).json()).toEqual({
    served: ["waiting", "later"],
    failures: ["Error: no rings"],
  });
});

test("a client gets the memory of ended connections after several turns", async () => {
  await using full = fullService(12);
  await connectedAndClosed(full.service, 40);
  full.fill();
  const client = await connected(full.service, TWELVE_TIMES);
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

test("a log that throws at the refusal of a peer delays no other one that waits", async () => {
  const errors: string[] = [];
  let isThrown = false;
  const warn = (): void => {
    if (isThrown) return;
    isThrown = true;
    throw new Error("no log");
  };
  const error = (line: string): void => void errors.push(line);
  await using full = fullService(Infinity, { log: { ...silentLog, warn, error } });
  const { service } = full;
  await connectedAndClosed(service, 5);
  full.fill();
  const two = [1, 2].map(() => QbClient.connect(service.name, { timeoutMs: 5000 }));
  const failures = (await Promise.all(two)).map((failure) => {
    return failure instanceof QbClient ? "connected" : failure.kind;
  });
  expect(failures.toSorted()).toEqual(["disconnected", "refused"]);
  expect(service.stats.refused).toMatchObject({ resources: 2 });
  expect(errors).toEqual([expect.stringMatching(/^setting up pid \d+ .*: Error: no log <- /)]);
});

test("rings of ended connections leave mappings to the runtime, however many connect", async () => {
  await using full = fullService(0, { mappedRings: 24 });
  await connectedAndClosed(full.service, 20);
  full.fill();
  const connects = Array.from({ length: 20 }, () => connected(full.service));
  const clients = await Promise.all(connects);
  expect(full.most()).toBeLessThanOrEqual(24);
  expect(full.service.stats.activeConnections).toBe(20);
  for (const client of clients) client.close();
});
