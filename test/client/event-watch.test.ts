/** Events as callbacks: paused, drained by hand, and bounded per turn of the event loop. */
import { describe, expect, test } from "bun:test";
import { addUrgent } from "../../src/base/turns.ts";
import { EventWatch } from "../../src/client/event-watch.ts";
import { QbFailure } from "../../src/client/failure.ts";
import type { QbMessageIn } from "../../src/client/message.ts";
import { QbClient } from "../../src/client/qb-client.ts";
import { eventually } from "../support/eventually.ts";
import { uniqueName } from "../support/service.ts";
import { FakeServer, type FakeConnection } from "./fake-server.ts";

const SMALL = { maxMessageBytes: 12_328, timeoutMs: 5000 };

async function connected(server: FakeServer): Promise<[QbClient, FakeConnection]> {
  const client = await QbClient.connect(server.name, SMALL);
  if (client instanceof QbFailure) throw new Error(String(client));
  const [connection] = server.connections;
  if (connection === undefined) throw new Error("no connection");
  return [client, connection];
}

function send(connection: FakeConnection, ...texts: string[]): void {
  for (const text of texts) connection.sendEvent(200, Buffer.from(text));
}

describe("a watch of events", () => {
  test("reports nothing while it is paused, and then the other events in order", async () => {
    using server = new FakeServer(uniqueName());
    const [client, connection] = await connected(server);
    const seen: string[] = [];
    const watch = client.watch({
      event: ({ body }) => {
        seen.push(body.toString());
        if (body.toString() === "stop") watch.pause();
      },
      ended: () => seen.push("ended"),
    });
    send(connection, "a", "stop", "b", "c");
    await eventually("it is paused", () => watch.paused);
    send(connection, "d");
    connection.hangUp();
    await eventually("the server has closed it", () => server.connections.size === 0);
    await eventually("the hang-up is noticed", () => !client.connected);
    expect(seen).toEqual(["a", "stop"]);
    watch.resume();
    await eventually("its end", () => seen.includes("ended"));
    expect(seen).toEqual(["a", "stop", "b", "c", "d", "ended"]);
    client.close();
  });

  test("reports the events in the ring at once when it is drained by hand", async () => {
    using server = new FakeServer(uniqueName());
    const [client, connection] = await connected(server);
    const seen: string[] = [];
    const watch = client.watch({
      event: ({ body }) => {
        seen.push(body.toString());
        // In a callback of the same watch, `drain` does nothing.
        watch.drain();
      },
      ended: () => {},
    });
    // Repeated if this process was not scheduled for a while: the time of a turn is over then, and
    // the rest follows in later turns.
    await eventually("a drain within one turn's time", async () => {
      seen.length = 0;
      send(connection, "a", "b", "c");
      const start = performance.now();
      watch.drain();
      const atOnce = seen.length;
      const isWithinTurn = performance.now() - start < 1;
      await eventually("all events", () => seen.length === 3);
      expect(seen).toEqual(["a", "b", "c"]);
      if (isWithinTurn) expect(atOnce).toBe(3);
      return isWithinTurn;
    });
    client.close();
    watch.drain();
    expect(seen).toHaveLength(3);
  });

  test("lets the event loop run during a flood", async () => {
    const event: QbMessageIn = { id: 1, size: 16, chunkBytes: 16, error: 0, body: Buffer.alloc(0) };
    const ring = { left: 200 };
    let longestRun = 0;
    let run = 0;
    let turns = 0;
    const watch = new EventWatch(
      { next: () => (ring.left-- > 0 ? event : undefined), closed: false },
      {
        event: () => {
          run++;
          longestRun = Math.max(longestRun, run);
          // 0.2 ms of work for each event.
          const until = performance.now() + 0.2;
          while (performance.now() < until);
        },
        ended: () => {},
      },
    );
    watch.woken();
    while (ring.left > 0) {
      run = 0;
      turns++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(longestRun).toBeLessThanOrEqual(6);
    expect(turns).toBeGreaterThan(20);
  });

  test("does urgent work between the events of one turn", () => {
    const event: QbMessageIn = { id: 1, size: 16, chunkBytes: 16, error: 0, body: Buffer.alloc(0) };
    let events = 0;
    let isInside = false;
    let looks: number[] = [];
    const watch = new EventWatch(
      { next: () => event, closed: false },
      {
        event: () => {
          isInside = true;
          // Longer than urgent work may wait, and shorter than a turn.
          const until = performance.now() + 0.3;
          while (performance.now() < until);
          isInside = false;
          events++;
        },
        ended: () => {},
      },
    );
    using _urgent = addUrgent(() => {
      expect(isInside).toBe(false);
      looks.push(events);
    });
    // Again if this process was not scheduled for a while: the time of the turn is over then.
    let wereBetween = false;
    for (let turn = 0; turn < 1000 && !wereBetween; turn++) {
      looks = [];
      const before = events;
      watch.woken();
      wereBetween = looks.some((at) => at > before && at < events);
    }
    expect(wereBetween).toBe(true);
    watch.pause();
  });
});
