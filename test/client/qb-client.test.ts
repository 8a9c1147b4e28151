/** Our libqb client against a small server in the same event loop, and against the C one. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Errno } from "../../src/base/errno.ts";
import { QbFailure } from "../../src/client/failure.ts";
import { AdaptiveWait } from "../../src/client/adaptive-wait.ts";
import type { ConnectOptions } from "../../src/client/options.ts";
import { QbClient } from "../../src/client/qb-client.ts";
import { echoCommand, startService, uniqueName } from "../support/service.ts";
import { ResponseHeader } from "../../src/wire/qb.ts";
import { native } from "../support/native.ts";
import { noRingsLeft, ringDirectories } from "../support/shm.ts";
import { eventually } from "../support/eventually.ts";
import { FakeServer } from "./fake-server.ts";

const SMALL: ConnectOptions = { maxMessageBytes: 12_328, timeoutMs: 5000 };

/** Arbitrary small bodies; large ones only by size, because generating their bytes takes longer. */
const anyBody = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.tuple(fc.nat(60_000), fc.nat(255)).map(([size, byte]) => new Uint8Array(size).fill(byte)),
);

async function connected(name: string, options = SMALL): Promise<QbClient> {
  const client = await QbClient.connect(name, options);
  if (client instanceof QbFailure) throw new Error(String(client));
  return client;
}

function bodyOf(response: { body: Buffer } | QbFailure): string {
  return response instanceof QbFailure ? String(response) : response.body.toString();
}

describe("a server in the same event loop", () => {
  test("answers requests in order, even concurrent ones", async () => {
    using server = new FakeServer(uniqueName());
    using client = await connected(server.name);
    const bodies = Array.from({ length: 50 }, (_, i) => `body ${i}`);
    const answers = await Promise.all(bodies.map((body) => client.sendRecv(5, Buffer.from(body))));
    expect(answers.map(bodyOf)).toEqual(bodies);
    expect(client.server.pid).toBe(process.pid);
  });

  test("takes pipelined requests until the ring is full, and again when it was read", async () => {
    using server = new FakeServer(uniqueName(), { instead: () => {} });
    using client = await connected(server.name);
    const body = Buffer.alloc(1000);
    let sent = 0;
    let failure: QbFailure | undefined;
    while (failure === undefined && sent < 100) {
      failure = client.send(1, body);
      if (failure === undefined) sent++;
    }
    expect(failure?.kind).toBe("busy");
    expect(failure?.errno).toBe(Errno.EAGAIN);
    expect(sent).toBe(15);
    await eventually("the server reads", () => client.send(1, body) === undefined);
  });

  test("sends events, which do not mix with responses", async () => {
    using server = new FakeServer(uniqueName(), {
      instead: (connection) => {
        for (let i = 0; i < 3; i++) connection.sendEvent(200, Buffer.from([i]));
        connection.respond(7, Buffer.from("answer"));
      },
    });
    using client = await connected(server.name);
    expect(bodyOf(await client.sendRecv(7))).toBe("answer");
    for (let i = 0; i < 3; i++) {
      const event = await client.receiveEvent();
      if (event instanceof QbFailure) throw new Error(String(event));
      expect([event.id, event.body[0]]).toEqual([200, i]);
    }
    const none = await client.receiveEvent({ timeoutMs: 20 });
    expect(none).toBeInstanceOf(QbFailure);
  });

  test("stops the client by flow control 1, and by 2 only if the client agreed", async () => {
    using server = new FakeServer(uniqueName());
    using client = await connected(server.name);
    const [connection] = server.connections;
    connection?.setFlowControl(1);
    expect(client.send(1)?.errno).toBe(Errno.EAGAIN);
    connection?.setFlowControl(2);
    expect(bodyOf(await client.sendRecv(1, Buffer.from("on")))).toBe("on");
    client.fcEnableMax = 2;
    expect(client.send(1)?.kind).toBe("busy");
    connection?.setFlowControl(0);
    expect(bodyOf(await client.sendRecv(1, Buffer.from("off")))).toBe("off");
  });

  test("stops by flow control 2 only the requests that agree to it", async () => {
    using server = new FakeServer(uniqueName());
    using client = await connected(server.name);
    server.connections.values().next().value?.setFlowControl(2);
    expect(client.send(1, Buffer.alloc(0), { fcEnableMax: 2 })?.errno).toBe(Errno.EAGAIN);
    expect(bodyOf(await client.sendRecv(1, Buffer.from("on")))).toBe("on");
  });

  test("matches responses by order for a server with its own response ids", async () => {
    const ids = [7, 0, 12];
    using server = new FakeServer(uniqueName(), {
      response: (span) => ResponseHeader.write.id(span, ids.shift() ?? -1),
    });
    using client = await connected(server.name, { ...SMALL, responses: "order" });
    const answers = await Promise.all(
      [4, 2, 8].map((id) => client.sendRecv(id, Buffer.from(`${id}`))),
    );
    expect(answers.map(bodyOf)).toEqual(["4", "2", "8"]);
    expect(answers.map((answer) => (answer instanceof QbFailure ? -1 : answer.id))).toEqual([
      7, 0, 12,
    ]);
  });

  test("announces up to 16 requests at once, even if the caller throws", async () => {
    using server = new FakeServer(uniqueName());
    using client = await connected(server.name);
    const send = (count: number): void => {
      for (let i = 0; i < count; i++) expect(client.send(1, Buffer.from(`${i}`))).toBeUndefined();
    };
    const answers = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) expect(bodyOf(await client.receive())).toBe(`${i}`);
    };
    expect(client.announceTogether(() => send(20))).toBeUndefined();
    await answers(20);
    const [connection] = server.connections;
    const wakeUps = connection?.wakeUps ?? [];
    expect(wakeUps.reduce((sum, bytes) => sum + bytes, 0)).toBe(20);
    // The server reads 16 and then 4 bytes, or all in one read.
    expect(wakeUps[0]).toBeGreaterThanOrEqual(16);
    const throws = (): void => {
      send(2);
      throw new Error("a bug of the caller");
    };
    expect(() => client.announceTogether(throws)).toThrow("a bug");
    await answers(2);
    expect(wakeUps.at(-1)).toBe(2);
    connection?.hangUp();
    await client.receive();
    expect(client.announceTogether(() => {})).toBeInstanceOf(QbFailure);
  });

  test("refuses to send while more notify bytes are owed than allowed", async () => {
    using server = new FakeServer(uniqueName(), { neverReadsNotifies: true });
    using client = await connected(server.name, { ...SMALL, maxOwedNotifies: 0 });
    let failure: QbFailure | undefined;
    for (let i = 0; i < 2000 && failure === undefined; i++) {
      const answer = await client.sendRecv(1, Buffer.from(`${i}`));
      if (answer instanceof QbFailure) failure = answer;
    }
    expect(failure?.kind).toBe("busy");
    expect(client.unsentNotifies).toBe(1);
    expect(client.connected).toBe(true);
  });

  test("skips a late answer whose caller timed out", async () => {
    let first = true;
    using server = new FakeServer(uniqueName(), {
      instead: (connection) => {
        if (!first) connection.respond(2, Buffer.from("right"));
        first = false;
      },
    });
    using client = await connected(server.name);
    const late = await client.sendRecv(1, Buffer.alloc(0), { timeoutMs: 30 });
    expect(late instanceof QbFailure && late.kind).toBe("timeout");
    const [connection] = server.connections;
    connection?.respond(1, Buffer.from("late"));
    expect(bodyOf(await client.sendRecv(2))).toBe("right");
  });

  test("delivers the answers that were sent before the server hung up", async () => {
    using server = new FakeServer(uniqueName(), {
      instead: (connection) => {
        connection.respond(1, Buffer.from("last words"));
        connection.hangUp();
      },
    });
    using client = await connected(server.name);
    expect(client.send(1)).toBeUndefined();
    await eventually("hang-up seen", () => server.connections.size === 0);
    expect(bodyOf(await client.receive())).toBe("last words");
    const after = await client.receive();
    expect(after instanceof QbFailure && after.kind).toBe("disconnected");
    expect(client.connected).toBe(false);
  });

  test("a watch gets the events, and the end once", async () => {
    using server = new FakeServer(uniqueName());
    using client = await connected(server.name);
    const [connection] = server.connections;
    connection?.sendEvent(200, Buffer.from("before"));
    const events: string[] = [];
    const ends: QbFailure[] = [];
    client.watch({
      event: ({ body }) => events.push(body.toString()),
      ended: (end) => ends.push(end),
    });
    connection?.sendEvent(200, Buffer.from("after"));
    expect(bodyOf(await client.sendRecv(1, Buffer.from("asked")))).toBe("asked");
    connection?.sendEvent(200, Buffer.from("last"));
    connection?.hangUp();
    await eventually("the end", () => ends.length > 0);
    expect(events).toEqual(["before", "after", "last"]);
    expect(client.connected).toBe(false);
    const late = await client.sendRecv(1);
    expect(late instanceof QbFailure && late.kind).toBe("disconnected");
    client.close();
    expect(ends.map(({ kind }) => kind)).toEqual(["disconnected"]);
  });

  test("a watch gets nothing more after close", async () => {
    using server = new FakeServer(uniqueName());
    const client = await connected(server.name);
    const heard: unknown[] = [];
    client.watch({
      event: (event) => {
        heard.push(event);
        client.close();
      },
      ended: (end) => heard.push(end),
    });
    const [connection] = server.connections;
    for (let i = 0; i < 3; i++) connection?.sendEvent(200, Buffer.from([i]));
    await eventually("the server sees it go", () => server.connections.size === 0);
    expect(heard).toHaveLength(1);
  });

  test("a request that the blocked event loop could not answer is answered later", async () => {
    using server = new FakeServer(uniqueName());
    using client = await connected(server.name);
    const wait = new AdaptiveWait();
    for (let i = 0; i < 10; i++) {
      expect(client.send(1, Buffer.from(`${i}`))).toBeUndefined();
      const answer = client.answer(1, wait);
      expect(answer).toBeInstanceOf(Promise);
      expect(client.busy).toBe(true);
      expect(bodyOf(await answer)).toBe(`${i}`);
      expect(client.busy).toBe(false);
    }
  });

  test("counts notify bytes that a server never reads", async () => {
    using server = new FakeServer(uniqueName(), { neverReadsNotifies: true });
    using client = await connected(server.name);
    for (let i = 0; i < 2000 && client.unsentNotifies === 0; i++) {
      expect(bodyOf(await client.sendRecv(1, Buffer.from(`${i}`)))).toBe(`${i}`);
    }
    expect(client.unsentNotifies).toBeGreaterThan(0);
  });
});

describe("a C server on libqb", () => {
  test("any sequence of ids and bodies is echoed, async and blocking", async () => {
    await using service = await startService((name) => [native("qb-echo-server"), name]);
    using client = await connected(service.name, { maxMessageBytes: 65_536, timeoutMs: 5000 });
    const request = fc.record({
      id: fc.integer({ min: 0, max: 0x7fffffff }),
      body: anyBody,
      blocking: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { maxLength: 20 }), async (requests) => {
        for (const { id, body, blocking } of requests) {
          const response = blocking
            ? client.sendRecvBlocking(id, body)
            : await client.sendRecv(id, body);
          if (response instanceof QbFailure) throw new Error(String(response));
          expect(response.id).toBe(id);
          expect(response.body.equals(body)).toBe(true);
          expect(response.chunkBytes).toBe(24 + body.byteLength);
        }
      }),
      { numRuns: 60 },
    );
    expect(client.unsentNotifies).toBe(0);
  }, 60_000);

  test("answers while its client blocks", async () => {
    await using service = await startService((name) => [native("qb-echo-server"), name]);
    using client = await connected(service.name);
    const wait = new AdaptiveWait();
    await eventually("an answer at once", async () => {
      expect(client.send(7, Buffer.from("at once"))).toBeUndefined();
      const answer = client.answer(7, wait);
      expect(bodyOf(await answer)).toBe("at once");
      return !(answer instanceof Promise);
    });
  });

  test("gets events and flow control from it", async () => {
    await using service = await startService((name) => [native("qb-control-server"), name]);
    using client = await connected(service.name);
    const three = Buffer.from([3, 0, 0, 0]);
    expect(bodyOf(await client.sendRecv(100, three))).toBe(three.toString());
    for (let i = 0; i < 3; i++) {
      const event = await client.receiveEvent();
      expect(event instanceof QbFailure ? String(event) : event.body.readUInt32LE(0)).toBe(i);
    }
    // Flow control ends by itself, and this process may miss it: repeats until it is seen.
    await eventually("a call that is held", async () => {
      await client.sendRecv(102, Buffer.from([1, 0, 0, 0]));
      const held = await client.sendRecv(1);
      return held instanceof QbFailure && held.errno === Errno.EAGAIN;
    });
    await eventually("flow control off", () => client.flowControl === 0);
    expect(bodyOf(await client.sendRecv(1, Buffer.from("x")))).toBe("x");
  });

  test("that is killed ends the calls, and its files are removed at close", async () => {
    await using service = await startService((name) => [native("qb-echo-server"), name]);
    const client = await connected(service.name);
    expect(ringDirectories(service.pid)).toHaveLength(1);
    service.signal("SIGKILL");
    await eventually("its end", () => service.exitCode !== undefined);
    const response = client.sendRecvBlocking(1);
    expect(response instanceof QbFailure && response.kind).toBe("disconnected");
    client.close();
    await noRingsLeft(service.pid);
  });

  test("that is stopped with SIGSTOP makes the call end at its deadline", async () => {
    await using service = await startService((name) => [native("qb-echo-server"), name]);
    using client = await connected(service.name);
    service.signal("SIGSTOP");
    const response = client.sendRecvBlocking(1, Buffer.alloc(0), { timeoutMs: 60 });
    service.signal("SIGCONT");
    expect(response instanceof QbFailure && response.kind).toBe("timeout");
    expect(bodyOf(await client.sendRecv(2, Buffer.from("after")))).toBe("after");
  });
});

describe("our own server", () => {
  test("any traffic is echoed", async () => {
    await using service = await startService(echoCommand);
    using client = await connected(service.name, { maxMessageBytes: 65_536, timeoutMs: 5000 });
    await fc.assert(
      fc.asyncProperty(anyBody, async (body) => {
        expect(bodyOf(await client.sendRecv(9, body))).toBe(Buffer.from(body).toString());
      }),
      { numRuns: 60 },
    );
  }, 60_000);
});
