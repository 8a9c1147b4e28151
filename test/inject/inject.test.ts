/** The effects of injected faults on libqb clients, and the syntax of --inject. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseFaultRule } from "../../src/cli/inject-rules.ts";
import { Errno } from "../../src/base/errno.ts";
import { CfsIpc } from "../../src/pmxcfs/requests/table.ts";
import { eventually } from "../support/eventually.ts";
import { WWW_DATA } from "../support/identity.ts";
import { QbClient } from "../support/qb-client.ts";
import { serveCommand, type Service, startService } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";

setDefaultTimeout(60_000);

const PATH = "storage.cfg\0";
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
  writeFileSync(join(directory, "storage.cfg"), "dir: local\n");
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Runs a test against a server with these rules; returns the server's log. */
async function under(
  rules: readonly string[],
  run: (server: Service) => Promise<void>,
): Promise<string> {
  const words = rules.flatMap((rule) => ["--inject", rule]);
  // A stop that waited for answers would exceed the test's timeout of 1 min.
  const flags = ["--dir", directory, "--no-rrd", "--group", "33", "--stop-deadline", "5m"];
  const server = await startService(serveCommand(...flags, ...words));
  try {
    await run(server);
  } finally {
    expect(await server.stop()).toBe(0);
  }
  await noRingsLeft(server.pid);
  return server.output;
}

test("a rule's errno is answered to its request only, and the log warns", async () => {
  const log = await under(["set-status:errno=EIO"], async ({ name }) => {
    await using client = await QbClient.open(name);
    expect(await client.call(CfsIpc.SET_STATUS, "x".padEnd(256, "\0"))).toMatchObject({
      error: Errno.EIO,
    });
    expect((await client.call(CfsIpc.GET_CONFIG, PATH)).error).toBe(0);
  });
  expect(log).toContain('warning: FAULT INJECTION IS ON: requests will fail on purpose, by "set-');
  expect(log).toContain('warning: injected 1 fault: 1 by "set-status:errno=EIO"');
});

test("without --inject the log does not mention it", async () => {
  const log = await under([], async ({ name }) => {
    await using client = await QbClient.open(name);
    expect((await client.call(CfsIpc.GET_CONFIG, PATH)).error).toBe(0);
  });
  expect(log.toLowerCase()).not.toContain("inject");
});

test("a delay affects only its own connection, and the answer is correct", async () => {
  // A second is long beside a request, also on a busy machine.
  await under(["get-config:delay=1s,uid=0"], async ({ name }) => {
    await using slow = await QbClient.open(name);
    await using quick = await QbClient.open(name, WWW_DATA);
    await slow.run(`send ${CfsIpc.GET_CONFIG} ${Buffer.from(PATH).toString("hex")}`);
    expect((await slow.run("recv 100")).res).toBe(Errno.ETIMEDOUT);
    expect((await quick.call(CfsIpc.GET_CONFIG, PATH)).error).toBe(0);
    const late = await slow.run("recv 5000");
    expect(Buffer.from(late.body ?? "", "hex").toString()).toBe("dir: local\n");
  });
});

test("a disconnect ends the connection, and the next one works again", async () => {
  await under(["get-rrd-dump:disconnect"], async ({ name }) => {
    await using client = await QbClient.open(name);
    expect((await client.call(CfsIpc.GET_RRD_DUMP)).res).toBeLessThan(0);
    await using next = await QbClient.open(name);
    expect((await next.call(CfsIpc.GET_CONFIG, PATH)).error).toBe(0);
  });
});

test("a silent rule leaves one client without an answer; a stop does not wait for it", async () => {
  const log = await under(["get-guest-list:silent"], async ({ name }) => {
    await using client = await QbClient.open(name);
    await client.run(`send ${CfsIpc.GET_GUEST_LIST} -`);
    expect((await client.run("recv 200")).res).toBe(Errno.ETIMEDOUT);
    await using other = await QbClient.open(name);
    expect((await other.call(CfsIpc.GET_CONFIG, PATH)).error).toBe(0);
    await client.run(`send ${CfsIpc.GET_GUEST_LIST} -`);
  });
  expect(log).toContain('by "get-guest-list:silent"');
});

test("busy=1s makes sends fail with EAGAIN by flow control, until the time is over", async () => {
  await under(["get-fs-version:busy=1s"], async ({ name }) => {
    await using client = await QbClient.open(name);
    expect((await client.call(CfsIpc.GET_FS_VERSION)).error).toBe(0);
    const path = Buffer.from(PATH).toString("hex");
    expect((await client.run(`send ${CfsIpc.GET_CONFIG} ${path}`)).res).toBe(Errno.EAGAIN);
    await eventually("sends work again", async () => {
      return (await client.call(CfsIpc.GET_CONFIG, PATH)).error === 0;
    });
  });
});

test("refuse:uid=33 refuses that uid at the handshake, and no other", async () => {
  const log = await under(["refuse:uid=33"], async ({ name }) => {
    await using www = await QbClient.open(name, WWW_DATA);
    expect(www.connected.res).toBeLessThan(0);
    await using root = await QbClient.open(name);
    expect(root.connected.res).toBe(0);
  });
  expect(log).toMatch(/refused pid \d+ \(.*\), uid 33, on purpose \(--inject\)/);
});

/** The outcomes of 64 requests with a seed: `x` for a failure, `.` for success. */
async function outcomes(seed: number): Promise<string> {
  let seen = "";
  await under([`any:errno=EIO,prob=0.5,seed=${seed}`], async ({ name }) => {
    await using client = await QbClient.open(name);
    for (let time = 0; time < 64; time++) {
      seen += (await client.call(CfsIpc.GET_CONFIG, PATH)).error === 0 ? "." : "x";
    }
  });
  return seen;
}

test("a seed gives the same faults each time, with the probability prob", async () => {
  const first = await outcomes(7);
  expect(await outcomes(7)).toBe(first);
  expect(await outcomes(8)).not.toBe(first);
  const count = first.replaceAll(".", "").length;
  expect(count).toBeGreaterThan(16);
  expect(count).toBeLessThan(48);
});

describe("an invalid rule is refused with its mistake", () => {
  const cases: readonly (readonly [rule: string, message: string])[] = [
    [
      "get-confg:errno=EIO",
      'is not a request, any, refuse, or an operation of the mount (did you mean "get-config"?)',
    ],
    ["get-config:dealy=1s", 'seed, uid, gid (did you mean "delay"?)'],
    ["get-config:errno=ENONET", '"ENONET" is not an errno (did you mean "ENOENT"?)'],
    ["get-config", "needs what to do: get-config:errno=EIO"],
    ["get-config:prob=0.5", "needs one of delay, errno, disconnect, silent and busy"],
    ["get-config:delay=soon", 'delay: "soon" is not a time'],
    ["get-config:errno=EIO,prob=2", 'prob: "2" is not between 0 and 1'],
    ["get-config:errno=EIO,silent", "errno and silent exclude each other"],
    ["get-config:silent=1", "silent takes no value"],
    ["get-config:uid=www-data,silent", 'uid: "www-data" is not a whole number'],
    ["get-config:silent,silent", "silent is given twice"],
    ["refuse:delay=1s", "refuse takes errno, not delay"],
  ];
  test.each(cases)("%s", (rule, message) => {
    expect(() => parseFaultRule(rule, 1)).toThrow(message);
  });
});

test("with an invalid rule the server does not start: exit code 2", () => {
  const command = serveCommand("--inject", "get-confg:silent")("never");
  const { exitCode, stderr } = Bun.spawnSync([...command]);
  expect(exitCode).toBe(2);
  expect(stderr.toString()).toContain('did you mean "get-config"?');
});
