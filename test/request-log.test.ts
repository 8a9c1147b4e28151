/**
 * Requests in the log at level debug: the text of a line, masked secrets, and limits per second.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Errno } from "../src/base/errno.ts";
import type { Handler, Reply, Request } from "../src/ipc/handler.ts";
import { LogLimits } from "../src/base/limits.ts";
import { createLog } from "../src/base/log.ts";
import { OPAQUE } from "../src/observe/observe.ts";
import { RequestLog, type RequestText } from "../src/observe/request-log.ts";
import { CfsIpc } from "../src/pmxcfs/requests/table.ts";
import { spanOf } from "../src/wire/struct.ts";
import { eventually } from "./support/eventually.ts";
import { QbClient } from "./support/qb-client.ts";
import { loadService } from "./support/qb-load.ts";
import { echoCommand, serveCommand, type Service, startService } from "./support/service.ts";

setDefaultTimeout(60_000);

function request(id: number, body: string, number = 7): Request {
  const caller = { pid: 4711, uid: 33, gid: 33, permissions: "read-only" } as const;
  const peer = {
    caller,
    number,
    sendEvent: () => 0 as const,
    holdRequests() {},
    disconnect() {},
  };
  const span = spanOf(Buffer.from(body, "latin1"));
  return { id, backToBackNs: 0, span, caller, peer };
}

/** A handler with a request log, and the lines of the log without times. */
function logged(handle: Handler["handle"], more: Partial<Handler> = {}, text?: RequestText) {
  const lines: string[] = [];
  const write = (line: string) => lines.push(line.replace(/\d+\.\d us\n$/, "T us"));
  const handler: Handler = { authenticate: () => "read-only", handle, ...more };
  const log = createLog({ level: "debug", format: "journal", write });
  const requests = new RequestLog(handler, text ?? OPAQUE.text, log);
  return { handler: requests, lines, requests };
}

describe("a line", () => {
  test("has the outcome: bytes, errno, exception or wrong size, immediate or late", async () => {
    const body = Buffer.from("body");
    const replies: (() => Reply | Promise<Reply>)[] = [
      () => body,
      () => Errno.ENOENT,
      () => Promise.resolve(body),
      () => Promise.resolve(Errno.EIO),
      () => {
        throw new Error("broken");
      },
      () => Promise.reject(new Error("broken late")),
    ];
    const { handler, lines, requests } = logged(({ id }) => replies[id]?.() ?? Errno.ECHRNG);
    requests.show(true);
    expect(handler.handle(request(0, "abc"))).toBe(body);
    expect(handler.handle(request(1, ""))).toBe(Errno.ENOENT);
    expect(await handler.handle(request(2, ""))).toBe(body);
    expect(await handler.handle(request(3, ""))).toBe(Errno.EIO);
    expect(() => handler.handle(request(4, ""))).toThrow("broken");
    expect(async () => await handler.handle(request(5, ""))).toThrow("broken late");
    expect(handler.malformed(request(6, "abc"))).toBe(Errno.EINVAL);
    const who = "<7>debug: #7 pid 4711 uid 33";
    expect(lines).toEqual([
      `${who} request-0 body_bytes=3 -> 4 bytes, T us`,
      `${who} request-1 body_bytes=0 -> ENOENT, T us`,
      `${who} request-2 body_bytes=0 -> 4 bytes, T us`,
      `${who} request-3 body_bytes=0 -> EIO, T us`,
      `${who} request-4 body_bytes=0 -> failed: Error: broken, T us`,
      `${who} request-5 body_bytes=0 -> failed: Error: broken late, T us`,
      `${who} request-6 body_bytes=3 -> EINVAL (its header's size is wrong), T us`,
    ]);
  });

  test("has a limited length", () => {
    const { handler, lines, requests } = logged(
      () => Errno.EIO,
      {},
      (_, body) => body.toString(),
    );
    requests.show(true);
    void handler.handle(request(1, "x".repeat(100_000)));
    expect(lines[0]?.length).toBeLessThan(LogLimits.requestChars + 100);
    expect(lines[0]).toContain("xxx... -> EIO");
  });
});

class Counter implements Handler {
  #count = 0;
  authenticate = () => "read-only" as const;

  handle(_request: Request): Reply {
    return Buffer.alloc(++this.#count);
  }

  malformed(): Errno {
    return Errno.EPERM;
  }
}

test("switched off it decodes and logs nothing, and the handler answers", () => {
  const lines: string[] = [];
  const write = (line: string) => lines.push(line);
  const log = createLog({ level: "debug", format: "json", write });
  let decoded = 0;
  const requests = new RequestLog(new Counter(), () => `${++decoded}`, log);
  expect(requests.handle(request(1, ""))).toHaveLength(1);
  expect(requests.malformed(request(1, ""))).toBe(Errno.EPERM);
  requests.show(true);
  expect(requests.handle(request(1, ""))).toHaveLength(2);
  requests.show(false);
  expect(requests.handle(request(1, ""))).toHaveLength(3);
  expect([decoded, lines.length]).toEqual([1, 1]);
});

test("the errno of a malformed request is EINVAL where the handler gives none", () => {
  const { handler, requests } = logged(() => Errno.EIO);
  expect(handler.malformed(request(1, ""))).toBe(Errno.EINVAL);
  requests.show(true);
  expect(handler.malformed(request(1, ""))).toBe(Errno.EINVAL);
});

test("a flood of one client has limited lines, and does not use up those of others", async () => {
  let texts = 0;
  const text: RequestText = (id) => {
    texts++;
    return `request-${id}`;
  };
  const { handler, lines, requests } = logged(() => Errno.EIO, {}, text);
  requests.show(true);
  for (let round = 0; round < 5000; round++) {
    expect(handler.handle(request(1, "", 12))).toBe(Errno.EIO);
  }
  void handler.handle(request(2, "", 13));
  expect(lines).toHaveLength(LogLimits.requestLinesPerConnection + 1);
  expect(texts).toBe(lines.length);
  expect(lines.at(-1)).toContain("#13 pid 4711 uid 33 request-2 ");
  const last = await eventually("the second is over", () =>
    lines.find((line) => line.includes("left out")),
  );
  const left = 5000 - LogLimits.requestLinesPerConnection;
  expect(last).toBe(`<7>debug: left out ${left} more requests in the last second, most from #12\n`);
});

/** Lines about requests, without client and time. */
function requestsIn({ output }: Service): string[] {
  return [
    ...output.matchAll(/^<7>\[request\] debug: #\d+ pid \d+ uid \d+ (.*), \d+\.\d us$/gm),
  ].map(([, what = ""]) => what);
}

async function sendAll(server: Service): Promise<void> {
  await using client = await QbClient.open(server.name);
  await client.call(CfsIpc.GET_CONFIG, "storage.cfg\0");
  await client.call(CfsIpc.GET_CONFIG, "missing.cfg\0");
  await client.call(CfsIpc.VERIFY_TOKEN, "root@pam!ci SECRET-OF-TOKEN\0");
  await client.call(CfsIpc.VERIFY_TOKEN, "SECRET-OF-TOKEN\0");
  await client.call(CfsIpc.SET_STATUS, `${"k".padEnd(256, "\0")}SECRET-VALUE`);
  await client.call(CfsIpc.GET_STATUS, "k".padEnd(512, "\0"));
  await client.call(99, "SECRET-BODY");
}

const ALL = [
  'get-config path="storage.cfg" -> 11 bytes',
  'get-config path="missing.cfg" -> ENOENT',
  'verify-token token="root@pam!ci ..." -> 0 bytes',
  'verify-token token="..." -> ENOENT',
  'set-status name="k" value_bytes=12 -> 0 bytes',
  'get-status name="k" node="" -> 12 bytes',
  "request-99 body_bytes=11 -> ECHRNG",
];

describe("a server", () => {
  let directory: string;

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-requests-"));
    mkdirSync(join(directory, "priv"));
    writeFileSync(join(directory, "storage.cfg"), "dir: local\n");
    writeFileSync(join(directory, "priv", "token.cfg"), "root@pam!ci SECRET-OF-TOKEN\n");
  });

  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const serve = (...flags: string[]) =>
    startService(serveCommand("--dir", directory, "--no-rrd", "--log", "journal", ...flags));

  test("logs requests between two SIGUSR1, without secrets", async () => {
    await using server = await serve();
    await sendAll(server);
    server.signal("SIGUSR1");
    await eventually("on", () => server.output.includes("debug output on"));
    expect(requestsIn(server)).toEqual([]);
    await sendAll(server);
    await eventually("a line for each", () => requestsIn(server).length >= ALL.length);
    server.signal("SIGUSR1");
    await eventually("off", () => server.output.includes("debug output off"));
    await sendAll(server);
    expect(await server.stop()).toBe(0);
    expect(requestsIn(server)).toEqual(ALL);
    expect(server.output).not.toContain("SECRET");
  });

  test("with --debug logs requests from the start, also with metrics and faults", async () => {
    const metrics = `unix:${join(directory, "metrics.sock")}`;
    await using server = await serve(
      "--debug",
      "--metrics",
      metrics,
      "--inject",
      "get-config:errno=EIO",
    );
    await sendAll(server);
    expect(await server.stop()).toBe(0);
    const faults = ALL.map((line) => line.replace(/(get-config .*) -> .*/, "$1 -> EIO"));
    expect(requestsIn(server)).toEqual(faults);
  });

  test("serves a flood at level debug with a limited number of lines", async () => {
    await using server = await startService((name) => [...echoCommand(name), "--debug"]);
    // 64 in flight: a busy machine is slow at each wake-up, not at each request.
    const flags = ["--clients", "2", "--requests", "50000", "--depth", "64", "--verify"];
    const load = await loadService(server.name, ...flags);
    expect(load).toMatchObject({ errors: 0, mismatches: 0, requests: 100_000 });
    const left = /left out \d+ more requests? in the last second, most from #/;
    await eventually("the number left out", () => left.test(server.output));
    expect(await server.stop()).toBe(0);
    const lines = server.output.trim().split("\n");
    const seconds = Math.ceil(load.seconds) + 2;
    expect(lines.length).toBeLessThan(seconds * (LogLimits.debugLinesPerSecond + 2) + 10);
  });
});
