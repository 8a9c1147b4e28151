/**
 * A stop with many connections: other work, such as that of the mount and the cluster, gets its
 * turns of the event loop meanwhile.
 */
import { expect, test } from "bun:test";
import { silentLog } from "../../src/base/log.ts";
import { QbClient } from "../../src/client/qb-client.ts";
import { EMPTY_REPLY, type Handler } from "../../src/ipc/handler.ts";
import { RingDisposal } from "../../src/ipc/scheduling/ring-disposal.ts";
import { Service } from "../../src/ipc/service.ts";
import { uniqueName } from "../support/service.ts";

/** Counts the turns of the event loop until it is disposed of. */
class Turns implements Disposable {
  now = 0;
  #isOver = false;

  constructor() {
    this.#count();
  }

  #count(): void {
    this.now++;
    if (!this.#isOver) setImmediate(() => this.#count());
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
  }
}

function work(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test("a stop ends its connections in several turns of the event loop", async () => {
  using turns = new Turns();
  const ended: number[] = [];
  const handler: Handler = {
    authenticate: () => "read-write",
    handle: () => EMPTY_REPLY,
    disconnected() {
      ended.push(turns.now);
      work(1);
    },
  };
  const service = Service.start(uniqueName(), handler, { log: silentLog });
  if (!(service instanceof Service)) throw new Error(service.message);
  const clients: QbClient[] = [];
  for (let count = 0; count < 20; count++) {
    const client = await QbClient.connect(service.name, { maxMessageBytes: 1 });
    if (!(client instanceof QbClient)) throw new Error(String(client));
    clients.push(client);
  }
  await service.stop();
  for (const client of clients) client.close();
  expect(ended).toHaveLength(20);
  expect(new Set(ended).size).toBeGreaterThan(5);
});

test("a stop removes the rings in several turns of the event loop", async () => {
  using turns = new Turns();
  const removed: number[] = [];
  const disposal = new RingDisposal(1);
  const remove = (): void => {
    removed.push(turns.now);
    work(2);
  };
  for (let count = 0; count < 10; count++) {
    disposal.add({ bytes: 100, [Symbol.dispose]: remove }, { uid: 33, pid: count });
  }
  await disposal.finish();
  expect([removed.length, disposal.bytes]).toEqual([10, 0]);
  expect(new Set(removed).size).toBe(10);
});
