/** The proxy of trace and record, with an upstream connection that the test controls. */
import { expect, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { QbFailure } from "../../src/client/failure.ts";
import type { QbClient } from "../../src/client/qb-client.ts";
import type { Peer, Request } from "../../src/ipc/handler.ts";
import type { Access } from "../../src/pmxcfs/requests/access.ts";
import type { Watcher } from "../../src/tools/trace/exchange.ts";
import { Proxy } from "../../src/tools/trace/proxy.ts";
import type { UpstreamPool } from "../../src/tools/trace/upstream.ts";
import { spanOf } from "../../src/wire/struct.ts";
import { eventually } from "../support/eventually.ts";

const BUSY = new QbFailure("busy", Errno.EAGAIN, "flow control");
const ANSWER = { id: 0, size: 24, chunkBytes: 24, error: 0, body: Buffer.alloc(0) };

/** A connection to a server that refuses requests while it applies flow control. */
class Upstream {
  isHeld = true;
  /** Requests refused, and those that it took, by id. */
  refused = 0;
  readonly taken: number[] = [];

  #take(id: number): QbFailure | undefined {
    if (this.isHeld) this.refused++;
    else this.taken.push(id);
    return this.isHeld ? BUSY : undefined;
  }

  readonly client = {
    busy: false,
    watch: () => {},
    send: (id: number) => this.#take(id),
    answer: () => ANSWER,
    sendRecv: (id: number) => Promise.resolve(this.#take(id) ?? ANSWER),
  } as unknown as QbClient;

  readonly pool = {
    name: "server",
    showsClients: true,
    take: () => ({ done: Promise.resolve(this.client), cancel: () => {} }),
  } as unknown as UpstreamPool;
}

const caller = { pid: 1, uid: 0, gid: 0, permissions: "read-write" } as const;
const peer: Peer = {
  caller,
  number: 1,
  sendEvent: () => 0,
  holdRequests() {},
  disconnect() {},
};

function request(id: number): Request {
  return { id, backToBackNs: 0, span: spanOf(Buffer.alloc(4)), caller, peer };
}

test("a request does not overtake one that waits for the end of flow control", async () => {
  const upstream = new Upstream();
  const watcher = { wants: () => false, opened() {}, batchEnd() {} } as unknown as Watcher;
  const proxy = new Proxy(upstream.pool, {} as Access, watcher);
  proxy.connected(peer);
  await upstream.pool.take(caller).done;
  const first = proxy.handle(request(1));
  await eventually("the first is refused again", () => upstream.refused >= 2);
  upstream.isHeld = false;
  await Promise.all([first, proxy.handle(request(2)), proxy.handle(request(3))]);
  expect(upstream.taken).toEqual([1, 2, 3]);
  await proxy.handle(request(4));
  expect(upstream.taken).toEqual([1, 2, 3, 4]);
  proxy.flush();
});
