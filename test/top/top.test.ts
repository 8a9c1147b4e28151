/** `top` with a server and libqb clients: in a terminal (tmux), with --once, and as JSON. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConnectionStatus, StatusDocument } from "../../src/observe/status.ts";
import { readStatus } from "../../src/observe/read-status.ts";
import type { View } from "../../src/tools/top/view.ts";
import { CfsIpc } from "../../src/pmxcfs/requests/table.ts";
import { eventually } from "../support/eventually.ts";
import { needRoot, WWW_DATA } from "../support/identity.ts";
import { QbClient } from "../support/qb-client.ts";
import {
  echoCommand,
  program,
  type Service,
  serveCommand,
  startService,
} from "../support/service.ts";

needRoot();
setDefaultTimeout(60_000);

let directory: string;
let status: string;
let server: Service;
let writer: QbClient;
let reader: QbClient;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
  status = join(directory, "status");
  server = await startService((name) => [...echoCommand(name), "--status", status]);
  writer = await QbClient.open(server.name);
  reader = await QbClient.open(server.name, WWW_DATA);
  for (let round = 0; round < 3; round++) await writer.call(7, "some text");
  await eventually("the status", () => isAnswered(status));
});

afterAll(async () => {
  await writer[Symbol.asyncDispose]();
  await reader[Symbol.asyncDispose]();
  expect(await server.stop()).toBe(0);
  expect(existsSync(status)).toBe(false);
  rmSync(directory, { recursive: true, force: true });
});

/** True once a server answers on the socket, whose file exists a moment earlier. */
async function isAnswered(path: string): Promise<boolean> {
  return typeof (await readStatus(path)) !== "string";
}

async function statusDocument(): Promise<StatusDocument> {
  const document = await readStatus(status);
  if (typeof document === "string") throw new Error(document);
  return document;
}

function top(...words: string[]): { exitCode: number; out: string; err: string } {
  const command = [...program(), "top", "--status", status, "--interval", "50ms", ...words];
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { stderr: "pipe" });
  return { exitCode, out: stdout.toString(), err: stderr.toString() };
}

test("the status socket has mode 0600 and sends one document", async () => {
  expect(statSync(status).mode & 0o777).toBe(0o600);
  const document = await statusDocument();
  expect(document).toMatchObject({ schema_version: 1, service: server.name, pid: server.pid });
  expect(document.connections).toMatchObject([
    { pid: writer.pid, uid: 0, requests: 3, request_bytes: 3 * 25, response_bytes: 3 * 9 },
    { pid: reader.pid, uid: WWW_DATA.uid, requests: 0 },
  ]);
  expect(document.totals).toMatchObject({ requests: 3, responses: 3, errors: 0 });
  expect(document.connections.map(timed)).toEqual([3, 0]);
});

/** The number of requests with a known duration. */
function timed({ durations_ns: durations }: ConnectionStatus): number {
  return durations.reduce((sum, [, count]) => sum + count, 0);
}

test("the duration of a delayed answer ends when it is sent", async () => {
  const path = join(directory, "late");
  const flags = ["--no-rrd", "--status", path, "--inject", "any:delay=100ms"];
  await using late = await startService(serveCommand("--dir", directory, ...flags));
  await using client = await QbClient.open(late.name);
  for (let round = 0; round < 3; round++) await client.call(CfsIpc.GET_GUEST_LIST);
  await eventually("the status", () => isAnswered(path));
  const document = await readStatus(path);
  if (typeof document === "string") throw new Error(document);
  const [connection] = document.connections;
  expect(connection && timed(connection)).toBe(3);
  // Well below the delay: the duration begins when the handler has returned its promise.
  for (const [ns] of connection?.durations_ns ?? []) expect(ns).toBeGreaterThan(29e6);
  expect(await late.stop()).toBe(0);
});

test("status clients that do not read are bounded in number, and delay no other", async () => {
  const open = () => readdirSync(`/proc/${server.pid}/fd`).length;
  const before = open();
  const idle = Array.from({ length: 100 }, () => connect({ path: status }).on("error", () => {}));
  // Connected last: the server has accepted all others before it answers this one.
  expect(await readStatus(status)).toMatchObject({ service: server.name });
  expect(open()).toBeLessThan(before + idle.length / 2);
  for (const socket of idle) socket.destroy();
});

test("--once prints a table, --once --json an object", () => {
  const { exitCode, out } = top("--once", "--sort", "uid");
  expect(exitCode).toBe(0);
  expect(out).toContain(`${server.name}  pid ${server.pid}`);
  const rows = out.split("\n").slice(5, 7);
  expect(rows[0]).toMatch(new RegExp(`^ *${writer.pid} qb-client\\S* +0 +0 rw `));
  expect(rows[1]).toMatch(new RegExp(`^ *${reader.pid} qb-client\\S* +33 +33 r[wo] `));
  const view = JSON.parse(top("--once", "--json").out) as View;
  expect(view.interval_ms).toBeGreaterThan(0);
  expect(view.connections).toMatchObject([
    { command: expect.stringMatching(/^qb-client/), requests: 3, p99_us: null },
    { command: expect.stringMatching(/^qb-client/), requests: 0 },
  ]);
});

test("without a server top prints one line and ends with exit code 1", () => {
  const words = [...program(), "top", "--once", "--status", join(directory, "absent")];
  const { exitCode, stderr } = Bun.spawnSync(words, { stderr: "pipe" });
  expect(exitCode).toBe(1);
  expect(stderr.toString()).toMatch(/^pmxcfs-ipc: .*absent: no such socket: .*\n$/);
});

test("--status off makes no socket; a path that cannot be used ends the start", async () => {
  await using off = await startService((name) => [...echoCommand(name), "--status", "off"]);
  expect(existsSync(`/run/pmxcfs-ipc/${off.name}.status`)).toBe(false);
  expect(await off.stop()).toBe(0);
  const words = [...program(), "echo", "--socket", "unused", "--status", "/nowhere/status"];
  const { exitCode, stderr } = Bun.spawnSync(words, { stderr: "pipe" });
  expect(exitCode).toBe(1);
  expect(stderr.toString()).toContain("status: cannot listen on /nowhere/status");
});

/** Runs tmux with a server for one test: the server of the previous test may still be ending. */
function terminal(name: string): (...words: string[]) => string {
  return (...words) => {
    const command = ["tmux", "-S", join(directory, name), "-f", "/dev/null", ...words];
    const { exitCode, stdout, stderr } = Bun.spawnSync(command, { stderr: "pipe" });
    if (exitCode !== 0) throw new Error(stderr.toString());
    return stdout.toString();
  };
}

test("the live screen obeys keys and a resize, and restores the terminal at its end", async () => {
  const tmux = terminal("live");
  const shown = (...flags: string[]) => tmux("capture-pane", "-p", ...flags);
  const rows = () =>
    shown()
      .split("\n")
      .filter((line) => line.includes("qb-client"))
      .map((line) => Number(line.trim().split(" ")[0]));
  const run = [...program(), "top", "--status", status, "--interval", "100ms"].join(" ");
  // CI sets NO_COLOR for all tests; this one checks colour.
  const shell = `unset NO_COLOR; echo before; ${run}; echo "left $?"; read wait`;
  tmux("new-session", "-d", "-x", "80", "-y", "24", shell);
  try {
    await eventually("both clients", () => rows().length === 2);
    const screen = shown().split("\n");
    expect(screen[4]).toBe(
      "    PID COMMAND          UID    GID RW  REQ/S    P99  ERRS  Q FC  BYTES     AGE",
    );
    expect(screen[23]).toEndWith("(c)ommand (R)ev (q)uit");
    expect(screen.join("\n")).not.toContain("before");
    expect(shown("-e")).toContain("\u001B[1m");
    tmux("send-keys", "b");
    await eventually("most bytes first", () => rows()[0] === writer.pid);
    tmux("send-keys", "R");
    await eventually("least bytes first", () => rows()[0] === reader.pid);
    for (let round = 0; round < 2000; round++) await reader.call(7, "x");
    await eventually("the reader has most bytes", () => rows()[1] === reader.pid);
    tmux("send-keys", "l");
    const calls = async () => {
      for (let round = 0; round < 200; round++) await reader.call(7, "x");
      const row = shown()
        .split("\n")
        .find((line) => line.includes(` ${reader.pid} `));
      return /r[wo] +[\d.KM]+ +[\d.]+[um]s /.test(row ?? "");
    };
    await eventually("times are shown", calls);
    tmux("resize-window", "-x", "50", "-y", "7");
    await eventually("the screen of 7 rows", () => shown().includes("... and 2 more"));
    expect(shown().split("\n")[6]).toStartWith("(r)eqs");
    tmux("send-keys", "q");
    await eventually("top has ended", () => shown().includes("left 0"));
    expect(shown()).toContain("before");
    expect(shown()).not.toContain("qb-client");
  } finally {
    tmux("kill-server");
  }
});

test("q ends the live screen at once also while the server does not answer", async () => {
  const answer = JSON.stringify(await statusDocument());
  const path = join(directory, "hangs");
  let asked = 0;
  const open = (socket: Bun.Socket) => {
    asked++;
    if (asked > 2) return;
    socket.write(answer);
    socket.shutdown();
  };
  const listener = Bun.listen({ unix: path, socket: { open, data() {} } });
  const tmux = terminal("hung");
  const run = [...program(), "top", "--status", path, "--interval", "50ms"].join(" ");
  tmux("new-session", "-d", "-x", "80", "-y", "24", `${run}; echo "left $?"; read wait`);
  try {
    await eventually("a reading hangs", () => asked > 2);
    tmux("send-keys", "q");
    // Less than the time limit of a reading.
    await eventually("top has ended", () => tmux("capture-pane", "-p").includes("left 0"), 4000);
  } finally {
    tmux("kill-server");
    listener.stop(true);
  }
});

test("with NO_COLOR the table has no escape sequence on a terminal", async () => {
  const tmux = terminal("bare");
  const run = [...program(), "top", "--status", status, "--once", "--interval", "50ms"].join(" ");
  tmux("new-session", "-d", "-x", "80", "-y", "24", `NO_COLOR=1 ${run}; read wait`);
  try {
    const text = await eventually("the table", () => {
      const screen = tmux("capture-pane", "-p", "-e");
      return screen.includes("qb-client") ? screen : undefined;
    });
    expect(text).not.toContain("\u001B[");
  } finally {
    tmux("kill-server");
  }
});
