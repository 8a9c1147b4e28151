/** What stays of a connection that has ended: one of them, so that code compiled for them stays. */
import { expect, test } from "bun:test";
import { QbFailure } from "../../src/client/failure.ts";
import { QbClient } from "../../src/client/qb-client.ts";
import { Server } from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";
import { uniqueName } from "../support/service.ts";

test("of the connections that have ended the last one stays, after a collection, too", async () => {
  const name = uniqueName();
  const callers: WeakRef<object>[] = [];
  let ended = 0;
  const server = Server.start(name, {
    authenticate(caller) {
      callers.push(new WeakRef(caller));
      return "read-write";
    },
    handle: () => Buffer.alloc(0),
    disconnected: () => void ended++,
  });
  if (!(server instanceof Server)) throw new Error(server.message);
  try {
    for (let count = 1; count <= 100; count++) {
      const client = await QbClient.connect(name);
      if (client instanceof QbFailure) throw new Error(client.message);
      await client.sendRecv(1);
      client.close();
      await eventually("its end", () => ended === count);
    }
    const kept = (): number[] =>
      callers.flatMap((caller, index) => (caller.deref() === undefined ? [] : [index]));
    await eventually("most are collected", () => {
      Bun.gc(true);
      return kept().length < 50;
    });
    expect(kept()).toContain(99);
  } finally {
    await server.stop();
  }
});
