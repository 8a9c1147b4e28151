/** The tracer between real libqb clients and C servers: transparent, with a complete trace. */
import type { Socket } from "bun";
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { type TracedOperation, tracePathOf } from "../../src/daemon/node/trace-socket.ts";
import { statusPath } from "../../src/observe/status.ts";
import { CfsIpc } from "../../src/pmxcfs/requests/table.ts";
import { eventually } from "../support/eventually.ts";
import { NOBODY, WWW_DATA } from "../support/identity.ts";
import { bodyText, QbClient } from "../support/qb-client.ts";
import { loadService } from "../support/qb-load.ts";
import { handshake, RawClient } from "../support/raw-client.ts";
import {
  isListening,
  program,
  type Service,
  serveCommand,
  startService,
  uniqueName,
} from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";
import { makeTree, removeTree, startC, startProxy, TOKEN } from "./support.ts";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

setDefaultTimeout(60_000);

let directory: string;
let answers: Service;

beforeAll(async () => {
  directory = makeTree();
  answers = await startC("qb-answer-server", directory, "pve1");
});

afterAll(async () => {
  await answers.stop();
  removeTree(directory);
});

/** Ends a tracer; returns its output. */
async function printed(tracer: Service): Promise<string> {
  expect(await tracer.stop()).toBe(0);
  await noRingsLeft(tracer.pid);
  return tracer.output;
}

interface Line {
  readonly kind: string;
  readonly operation?: string;
  readonly error?: number | null;
}

function jsonLines(output: string): Line[] {
  const lines = output.split("\n").filter((line) => line.startsWith("{"));
  return lines.map((line) => JSON.parse(line) as Line);
}

test("a C client gets a C server's answers, and the trace has each request decoded", async () => {
  await using tracer = await startProxy("trace", answers.name);
  {
    await using client = await QbClient.open(tracer.name);
    expect(bodyText(await client.call(CfsIpc.GET_CONFIG, "storage.cfg\0"))).toBe("dir: local\n");
    expect(await client.call(CfsIpc.GET_CONFIG, "none\0")).toMatchObject({ error: Errno.ENOENT });
    expect(await client.call(CfsIpc.VERIFY_TOKEN, `${TOKEN}\0`)).toMatchObject({ error: 0 });
    expect(await client.call(CfsIpc.GET_STATUS, "x", 15)).toMatchObject({ error: Errno.EINVAL });
  }
  await eventually("the end is traced", () => tracer.output.includes("disconnect"));
  const output = await printed(tracer);
  const who = "#1 pid \\d+ uid 0 rw";
  expect(output).toMatch(new RegExp(`${who} get-config path="storage.cfg" -> 11 bytes, \\d+ us`));
  expect(output).toMatch(
    new RegExp(`${who} get-config path="none" -> ENOENT \\(No such file or directory\\), \\d+ us`),
  );
  expect(output).toContain('verify-token token="root@pam!ci ..." -> 0 bytes');
  expect(output).toMatch(/get-status -> EINVAL .*its header's size is wrong/);
  expect(output).not.toContain("0b1c2d3e");
});

test("--json prints one object per line", async () => {
  await using tracer = await startProxy("trace", answers.name, "--json");
  {
    await using client = await QbClient.open(tracer.name);
    await client.call(CfsIpc.GET_GUEST_CONFIG_PROPERTY, "\x64\0\0\0name\0");
  }
  await eventually("the end is traced", () => tracer.output.includes('"disconnect"'));
  const lines = jsonLines(await printed(tracer));
  expect(lines.map(({ kind }) => kind)).toEqual(["connect", "request", "disconnect"]);
  expect(lines[1]).toMatchObject({
    operation: "get-guest-config-property",
    arguments: { vmid: 100, property: "name" },
    error: 0,
    uid: 0,
    permissions: "read-write",
  });
});

test("filters select by request, uid and errno", async () => {
  const filter = ["--operation", "get-config", "--errno", "enoent", "--uid", "0"];
  await using tracer = await startProxy("trace", answers.name, "--json", ...filter);
  {
    await using client = await QbClient.open(tracer.name);
    await client.call(CfsIpc.GET_CONFIG, "storage.cfg\0");
    await client.call(CfsIpc.GET_GUEST_LIST);
    await client.call(CfsIpc.GET_CONFIG, "none\0");
  }
  await eventually("the miss is traced", () => tracer.output.includes('"none"'));
  const lines = jsonLines(await printed(tracer));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatchObject({ arguments: { path: "none" }, error: Errno.ENOENT });
});

test("our server sees each client's uid and gid, and decides by them", async () => {
  const rules = ["--group", "33", "--allow-uid", "1234"];
  await using server = await startService(serveCommand("--dir", directory, "--no-rrd", ...rules));
  await using tracer = await startProxy("trace", server.name, "--group", "33");
  {
    await using root = await QbClient.open(tracer.name);
    expect((await root.call(CfsIpc.GET_CONFIG, "priv/token.cfg\0")).error).toBe(0);
    await using client = await QbClient.open(tracer.name, WWW_DATA);
    const calls = [
      client.call(CfsIpc.GET_CONFIG, "priv/token.cfg\0"),
      client.call(CfsIpc.SET_STATUS, "x".padEnd(256, "\0")),
    ];
    for (const call of calls) expect((await call).error).toBe(Errno.EPERM);
    // The server's rule accepts this uid, the tracer's does not.
    await using known = await QbClient.open(tracer.name, { uid: 1234, gid: 1234 });
    expect((await known.call(CfsIpc.SET_STATUS, "x".padEnd(256, "\0"))).error).toBe(0);
    await using stranger = await QbClient.open(tracer.name, { uid: 65_534, gid: 65_534 });
    expect(stranger.connected.res).toBeLessThan(0);
    await eventually("the refusal is traced", () => tracer.output.includes("refuse error=-1"));
  }
  const output = await printed(tracer);
  expect(output).toContain("EPERM (Operation not permitted), ");
  expect(output).not.toContain("denied by the tracer");
  expect(output).toContain(`as @${server.name} does`);
  expect(await server.stop()).toBe(0);
  expect(server.output).toContain("uid 65534, gid 65534: needs uid 0 or 1234");
});

test("a refusal names the server also if the set-up request arrives late", async () => {
  await using server = await startService(serveCommand("--dir", directory, "--no-rrd"));
  await using tracer = await startProxy("trace", server.name);
  await using stranger = await RawClient.open(tracer.name, NOBODY);
  await eventually("it is judged at its connect", () => tracer.output.includes("refuse error="));
  await stranger.write(handshake());
  await eventually("the refusal is logged", () => tracer.output.includes("bad user"));
  expect(tracer.output).toContain(`as @${server.name} does`);
});

test("a C server sees each client's uid and gid, and gives the rings to them", async () => {
  await using strict = await startC("qb-echo-server");
  await using open = await startC("qb-echo-server", "--accept-any");
  await using refusing = await startC("qb-echo-server", "--refuse", "28");
  for (const [behind, result] of [
    [strict, Errno.EPERM],
    [open, 0],
  ] as const) {
    await using tracer = await startProxy("trace", behind.name);
    {
      await using root = await QbClient.open(tracer.name);
      expect((await root.call(9, "x")).error).toBe(0);
      await using client = await QbClient.open(tracer.name, WWW_DATA);
      expect(client.connected.res).toBe(result);
      if (result === 0) expect((await client.call(9, "y")).error).toBe(0);
    }
    await printed(tracer);
  }
  const words = ["trace", "--socket", uniqueName(), "--upstream", refusing.name];
  const { exitCode, stderr } = Bun.spawnSync([...program(), ...words]);
  expect(exitCode).toBe(1);
  expect(stderr.toString()).toContain("No space left on device");
});

test("a read-only client stays read-only although the server sees the tracer's uid", async () => {
  const policy = ["--no-as-client", "--group", "33"];
  await using tracer = await startProxy("trace", answers.name, ...policy);
  {
    await using client = await QbClient.open(tracer.name, WWW_DATA);
    const calls = [
      client.call(CfsIpc.GET_CONFIG, "priv/token.cfg\0"),
      client.call(CfsIpc.SET_STATUS, "x".padEnd(256, "\0")),
    ];
    for (const call of calls) expect((await call).error).toBe(Errno.EPERM);
    expect((await client.call(CfsIpc.GET_CONFIG, "storage.cfg\0")).error).toBe(0);
    await using stranger = await QbClient.open(tracer.name, { uid: 65_534, gid: 65_534 });
    expect(stranger.connected.res).toBeLessThan(0);
    await eventually("the refusal is traced", () => tracer.output.includes("refuse error=-1"));
  }
  expect(await printed(tracer)).toContain("EPERM (Operation not permitted), denied by the tracer");
});

test("events, flow control, and any id and body pass through the tracer", async () => {
  await using control = await startC("qb-control-server");
  await using tracer = await startProxy("trace", control.name);
  {
    await using client = await QbClient.open(tracer.name);
    expect(await client.call(77, "what it is")).toMatchObject({ id: 77, error: 0 });
    expect((await client.call(100, Buffer.from([3, 0, 0, 0]))).error).toBe(0);
    for (let number = 0; number < 3; number++) {
      const body = Buffer.from([number, 0, 0, 0]).toString("hex");
      expect(await client.run("event 5000")).toMatchObject({ id: 200, size: 28, body });
    }
    expect((await client.call(102, Buffer.from([1, 0, 0, 0]))).error).toBe(0);
    await eventually("requests go on after the server asked to wait", async () => {
      return (await client.call(77, "again")).error === 0;
    });
  }
  expect(await printed(tracer)).toContain("request-77 body_bytes=10 -> 10 bytes");
});

test("many clients under load get every byte back", async () => {
  await using echo = await startC("qb-echo-server", "--accept-any");
  await using tracer = await startProxy("trace", echo.name, "--errno", "EIO");
  const flags = [
    "--requests",
    "500",
    "--clients",
    "4",
    "--body",
    "3000",
    "--verify",
    "--depth",
    "4",
  ];
  const load = await loadService(tracer.name, ...flags);
  expect(load).toMatchObject({ requests: 2000, errors: 0, mismatches: 0 });
  await printed(tracer);
});

test("when the server ends, its clients are disconnected and new ones refused", async () => {
  await using echo = await startC("qb-echo-server", "--accept-any");
  await using tracer = await startProxy("trace", echo.name);
  {
    await using client = await QbClient.open(tracer.name);
    expect((await client.call(9, "x")).error).toBe(0);
    await echo.stop();
    await eventually("the client is let go", async () => (await client.call(9, "x")).res < 0);
    await eventually("a new client is refused as the server would", async () => {
      await using late = await QbClient.open(tracer.name);
      return late.connected.res === Errno.ECONNREFUSED;
    });
  }
  await printed(tracer);
});

test("without a server the tracer fails at once, with a line that says so", () => {
  const words = ["trace", "--socket", "never-x", "--upstream", "never"];
  const { exitCode, stderr } = Bun.spawnSync([...program(), ...words]);
  expect(exitCode).toBe(1);
  expect(stderr.toString()).toContain("no process listens on @never");
});

test.each([
  [
    ["--operation", "wirte"],
    '--operation: "wirte" is not an operation of the mount (did you mean "write"?)',
  ],
  [["--uid", "root"], '--uid: "root" is not a numeric id'],
  [["--errno", "ENONET"], '--errno: "ENONET" is not an errno (did you mean "ENOENT"?)'],
])("trace --fuse refuses a filter that matches nothing: %j", (words, why) => {
  const { exitCode, stderr } = Bun.spawnSync([...program(), "trace", "--fuse", ...words]);
  expect(stderr.toString()).toBe(`pmxcfs-ipc: ${why}\n`);
  expect(exitCode).toBe(2);
});

/** An operation, as a server sends it. */
const OPERATION: TracedOperation = {
  at_ms: 0,
  operation: "lookup",
  path: "f",
  arguments: "",
  pid: 1,
  uid: 0,
  result: "OK",
  us: 5,
  left_out: 0,
};

test("trace --fuse says so when the server ends it", async () => {
  const name = uniqueName();
  const runtime = mkdtempSync(join(tmpdir(), "trace-ended-"));
  const status = statusPath(name, { XDG_RUNTIME_DIR: runtime }, process.getuid?.()) ?? "";
  const path = tracePathOf(status);
  mkdirSync(dirname(path), { recursive: true });
  const readers: Socket[] = [];
  const open = (reader: Socket): void => {
    readers.push(reader);
    reader.write(`${JSON.stringify(OPERATION)}\n`);
  };
  const server = Bun.listen({ unix: path, socket: { open, data() {} } });
  try {
    const env = { ...process.env, XDG_RUNTIME_DIR: runtime };
    const words = [...program(), "trace", "--fuse", "--upstream", name];
    const tracer = Bun.spawn(words, { stdout: "pipe", stderr: "pipe", env });
    for await (const chunk of tracer.stdout) {
      expect(Buffer.from(chunk).toString()).toContain("lookup     /f = OK 5us pid 1 ");
      for (const reader of readers) reader.end();
    }
    expect(await new Response(tracer.stderr).text()).toBe(
      "pmxcfs-ipc: the server has ended the trace: it stops, or has its maximum of readers\n",
    );
    expect(await tracer.exited).toBe(1);
  } finally {
    server.stop(true);
    rmSync(path, { force: true });
    rmSync(runtime, { recursive: true });
  }
});

test("a closed stdout ends the trace, as it ends other commands", async () => {
  const name = uniqueName();
  const words = ["trace", "--socket", name, "--upstream", answers.name];
  const tracer = Bun.spawn([...program(), ...words], { stdout: "pipe", stderr: "ignore" });
  await eventually("it listens", () => isListening(name));
  await tracer.stdout.cancel();
  await using client = await QbClient.open(name);
  expect(client.connected.res).toBe(0);
  expect(await tracer.exited).toBe(141);
  await noRingsLeft(tracer.pid);
});
