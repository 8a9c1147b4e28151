/**
 * The sockets by which a server is watched, under people who only want its descriptors: hundreds
 * of connections at once, requests without an end, readers that do not read.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ObserveLimits } from "../../src/base/limits.ts";
import { type HttpAnswer, httpHandler } from "../../src/observe/http.ts";
import { readStatus } from "../../src/observe/read-status.ts";
import { eventually } from "../support/eventually.ts";
import { QbClient } from "../support/qb-client.ts";
import { echoCommand, type Service, startService } from "../support/service.ts";

setDefaultTimeout(60_000);

const FLOOD = 400;
/** What a server opens meanwhile in any case: rings made ahead, seven files each, a client's. */
const ELSE = 40;

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-flood-"));
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** A port no process listens on. */
function freePort(): number {
  using listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  return listener.port;
}

/** Many connections to one place; `using` ends those that still are. */
class Flood implements Disposable {
  readonly #sockets: Socket[];
  ended = 0;

  constructor(where: { path: string } | { host: string; port: number }, first: string) {
    this.#sockets = Array.from({ length: FLOOD }, () => {
      const socket = connect(where, () => socket.write(first));
      socket.on("error", () => {});
      socket.on("close", () => this.ended++);
      socket.resume();
      return socket;
    });
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Watches what a server holds while `flood` is there and until all but `atOnce` are let go. */
async function withstands(server: Service, flood: Flood, atOnce: number): Promise<void> {
  const before = descriptors(server.pid);
  let most = before;
  await using client = await QbClient.open(server.name);
  await eventually("the flood is over", async () => {
    most = Math.max(most, descriptors(server.pid));
    expect((await client.call(5, "x")).error).toBe(0);
    return flood.ended >= FLOOD - atOnce;
  });
  expect(most).toBeLessThanOrEqual(before + atOnce + ELSE);
}

describe("a flood takes no descriptors, keeps nobody out, and ends", () => {
  test("of the metrics' port", async () => {
    const port = freePort();
    const flags = ["--metrics", `127.0.0.1:${port}`];
    await using server = await startService((name) => [...echoCommand(name), ...flags]);
    const scrape = () => fetch(`http://127.0.0.1:${port}/metrics`);
    expect((await eventually("the port", () => scrape().catch(() => undefined))).status).toBe(200);
    using flood = new Flood({ host: "127.0.0.1", port }, "GET /metr");
    await withstands(server, flood, ObserveLimits.scrapers);
    expect((await scrape()).status).toBe(200);
    expect(await server.stop()).toBe(0);
  });

  test("of the metrics' unix socket, by those who ask and stay", async () => {
    const unix = join(directory, "metrics.sock");
    const flags = ["--metrics", `unix:${unix}`];
    await using server = await startService((name) => [...echoCommand(name), ...flags]);
    const scrape = () => fetch("http://localhost/metrics", { unix });
    await eventually("the socket", () => scrape().catch(() => undefined));
    using flood = new Flood({ path: unix }, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
    await withstands(server, flood, ObserveLimits.scrapers);
    expect((await scrape()).status).toBe(200);
    expect(await server.stop()).toBe(0);
  });

  test("of the status socket", async () => {
    const path = join(directory, "status.sock");
    await using server = await startService((name) => [...echoCommand(name), "--status", path]);
    await eventually("the socket", async () => typeof (await readStatus(path)) !== "string");
    using flood = new Flood({ path }, "x");
    await withstands(server, flood, ObserveLimits.statusReaders);
    expect(await readStatus(path)).toMatchObject({ service: server.name });
    expect(await server.stop()).toBe(0);
  });
});

/** A listener of our own with small limits, and what one connection to it hears. */
function listening(answer: () => Promise<HttpAnswer>, forMs = 10_000) {
  const socket = httpHandler(answer, { atOnce: 2, forMs, headBytes: 64 });
  return Bun.listen({ hostname: "127.0.0.1", port: 0, allowHalfOpen: true, socket });
}

const fine = (): Promise<HttpAnswer> => Promise.resolve({ status: 200, body: "fine" });

async function hears(port: number, ...parts: string[]): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port });
  const { promise, resolve } = Promise.withResolvers<void>();
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
  socket.on("error", () => {});
  socket.on("close", () => resolve());
  for (const part of parts) await new Promise((sent) => socket.write(part, sent));
  await promise;
  return text;
}

describe("requests", () => {
  test.each([
    ["GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n"],
    ["GET / HTTP/1.0\n\n", "HTTP/1.1 200 OK\r\n"],
    ["\x16\x03\x01\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"],
    ["GET http://elsewhere/ HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"],
    [`GET /${"x".repeat(64)}`, "HTTP/1.1 431 Request Header Fields Too Large\r\n"],
    [`GET /${"x".repeat(64)} HTTP/1.1\r\n\r\n`, "HTTP/1.1 431 Request Header Fields"],
  ])("%j", async (request, answer) => {
    using listener = listening(fine);
    expect(await hears(listener.port, request)).toStartWith(answer);
  });

  test("arrive in parts, and with bytes after their end", async () => {
    using listener = listening(fine);
    const parts = ["GET /a?b HT", "TP/1.1\r\nx: y\r", "\n\r\nGET /never HTTP/1.1\r\n\r\n"];
    expect(await hears(listener.port, ...parts)).toMatch(/^HTTP[^]*\r\n\r\nfine$/);
  });

  test("of HEAD the answer has no body", async () => {
    using listener = listening(fine);
    const answer = await hears(listener.port, "HEAD / HTTP/1.1\r\n\r\n");
    expect(answer).toContain("content-length: 4\r\n");
    expect(answer).toEndWith("\r\n\r\n");
  });

  test("an answer that fails is a 500", async () => {
    using listener = listening(() => Promise.reject(new Error("no")));
    const answer = await hears(listener.port, "GET / HTTP/1.1\r\n\r\n");
    expect(answer).toStartWith("HTTP/1.1 500 Internal Server Error\r\n");
    expect(answer).not.toContain("Error: no");
  });

  test("sent byte by byte, or never, they end when their time is over", async () => {
    using listener = listening(fine, 50);
    expect(await hears(listener.port)).toBe("");
    expect(await hears(listener.port, ..."GET / HTTP/1.1".split(""))).toBe("");
  });

  test("one more connection closes the oldest", async () => {
    using listener = listening(fine);
    const first = hears(listener.port);
    const others = [hears(listener.port), hears(listener.port)];
    expect(await Promise.race([first, ...others])).toBe("");
    expect(await hears(listener.port, "GET / HTTP/1.1\r\n\r\n")).toEndWith("fine");
    listener.stop(true);
    await Promise.all(others);
  });
});
