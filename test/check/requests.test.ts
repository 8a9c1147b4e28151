/** Answers that are late, large, short, empty or wrong, from C servers on libqb and from ours. */
import { Errno } from "../../src/base/errno.ts";
import { QbClient } from "../../src/client/qb-client.ts";
import { CfsIpc } from "../../src/pmxcfs/requests/table.ts";
import type { CodeName } from "../../src/tools/diagnosis/codes.ts";
import { cleanStale } from "../../src/tools/check/rings.ts";
import { localMachine } from "../../src/tools/check/host.ts";
import { needRoot } from "../support/identity.ts";
import { native } from "../support/native.ts";
import { type Service, serveCommand, startService, uniqueName } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";
import type { Faults } from "./servers/node.ts";
import { type Told, type Wanted, check, codesOf, expectFound, startNode } from "./support/run.ts";
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

needRoot();

const MiB = 1024 * 1024;

async function faulty(...words: (string | number)[]): Promise<Service> {
  const server = native("qb-faulty-server");
  return await startService((name) => [server, name, ...words.map(String)]);
}

/** Removes the files that a dead server left in /dev/shm. */
async function cleanUp(server: Service): Promise<void> {
  await server.stop("SIGKILL");
  const cleanings = await cleanStale(localMachine(), server.name, false);
  expect(cleanings.map(({ kept }) => kept)).toEqual(cleanings.map(() => undefined));
  await noRingsLeft(server.pid);
}

async function checked(faults: Faults, only: string, deadlineMs = 10_000): Promise<Told> {
  await using server = await startNode(faults);
  return await check(server.name, { only: [only], options: { deadlineMs } });
}

async function expectRequest(faults: Faults, code: CodeName, wanted: Wanted): Promise<void> {
  expectFound(await checked(faults, "requests"), code, wanted);
}

test("REQUEST_HUNG: a C server that does not answer, and no further request is tried", async () => {
  await using server = await faulty("--silent", CfsIpc.GET_CLUSTER_INFO);
  const report = await check(server.name, {
    only: ["requests", "latency"],
    options: { deadlineMs: 500 },
  });
  expectFound(report, "REQUEST_HUNG", {
    line: /^GET_CLUSTER_INFO was not answered within 500 ms$/,
    fix: new RegExp(`^Look at \`pmxcfs-ipc --check .*\` and \`cat /proc/${server.pid}/wchan\`\\.$`),
    exit: 2,
  });
  expect(report.findings.map(({ text }) => text)).toContain(
    "8 further requests: the server does not answer",
  );
  expect(report.findings.at(-1)?.text).toBe("the server does not answer");
});

test("REQUEST_DISCONNECTED: a C server that hangs up instead", async () => {
  await using server = await faulty("--disconnect", CfsIpc.GET_GUEST_LIST);
  const report = await check(server.name, { only: ["requests"] });
  expectFound(report, "REQUEST_DISCONNECTED", {
    line: /^the server ended the connection instead of answering GET_GUEST_LIST$/,
    fix: /`journalctl -u pve-cluster --since -5min`/,
    exit: 2,
  });
  // The other requests were sent on a new connection.
  expect(report.findings.filter(({ severity }) => severity === "pass").length).toBeGreaterThan(4);
});

test("a server that crashes on a request is reported once, and gets no more", async () => {
  await using server = await faulty("--crash", CfsIpc.GET_GUEST_LIST);
  const report = await check(server.name, { only: ["requests"] });
  expect(codesOf(report)).toEqual(["REQUEST_DISCONNECTED"]);
  expect(report.findings.at(-1)?.text).toBe("7 further requests: the server is gone");
  await cleanUp(server);
});

test("REPLY_TOO_LARGE: a C server whose reply does not fit the ring", async () => {
  await using server = await faulty("--large", CfsIpc.GET_CLUSTER_LOG, 3 * MiB);
  const report = await check(server.name, { only: ["requests"] });
  expectFound(report, "REPLY_TOO_LARGE", {
    line: new RegExp(
      `^the reply to GET_CLUSTER_LOG has ${3 * MiB + 24} bytes, a client can take ${MiB}$`,
    ),
    fix: /`pmxcfs-ipc call get-cluster-log --max 50`\.$/,
    exit: 2,
  });
});

test("REPLY_TOO_LARGE: a file of 1 MiB, which fits the ring but no client's buffer", async () => {
  const server = await faulty("--large", CfsIpc.GET_CONFIG, MiB);
  await using _owned = server;
  const report = await check(server.name, { only: ["requests"] });
  expectFound(report, "REPLY_TOO_LARGE", {
    line: new RegExp(`^the reply to GET_CONFIG has ${MiB + 24} bytes`),
    fix: /get-config/,
    exit: 2,
  });
});

test("REPLY_LARGE: from three quarters of what a client can receive", async () => {
  await expectRequest({ sizes: { [CfsIpc.GET_GUEST_LIST]: 0.8 * MiB } }, "REPLY_LARGE", {
    line: /^the reply to GET_GUEST_LIST has \d+ bytes, 80 % of the 1048576 a client can take$/,
    fix: /`pmxcfs-ipc call get-guest-list`\.$/,
    exit: 1,
  });
});

test("REPLY_MALFORMED: a C server whose answer is too short", async () => {
  await using server = await faulty("--short", CfsIpc.GET_FS_VERSION);
  expectFound(await check(server.name, { only: ["requests"] }), "REPLY_MALFORMED", {
    line: /^the reply to GET_FS_VERSION is no libqb message: /,
    fix: /^follows from SOCKET_TAKEN$/,
    exit: 2,
  });
});

test("REPLY_EMPTY: an empty answer where text is required", async () => {
  await expectRequest({ texts: { [CfsIpc.GET_CLUSTER_INFO]: "" } }, "REPLY_EMPTY", {
    line: /^the reply to GET_CLUSTER_INFO is empty$/,
    fix: /`ls -l \/proc\/\d+\/exe`\.$/,
    exit: 2,
  });
});

test("REPLY_NOT_JSON: an unescaped quote", async () => {
  const text = `{ "data": [ { "msg": "say "hello"" } ] }`;
  await expectRequest({ texts: { [CfsIpc.GET_CLUSTER_LOG]: text } }, "REPLY_NOT_JSON", {
    line: /^the reply to GET_CLUSTER_LOG is not valid JSON: it begins /,
    fix: /`pmxcfs-ipc call get-cluster-log --max 50`/,
    exit: 2,
  });
});

test("REQUEST_ERROR: an errno where a healthy server answers 0", async () => {
  await expectRequest({ errors: { [CfsIpc.GET_GUEST_LIST]: Errno.EIO } }, "REQUEST_ERROR", {
    line: /^GET_GUEST_LIST was answered with EIO \(Input\/output error\)$/,
    fix: /^Look at `journalctl/,
    exit: 2,
  });
});

test("REQUEST_ERROR: a token that does not exist is accepted", async () => {
  const faults = { texts: { [CfsIpc.VERIFY_TOKEN]: "" } };
  await expectRequest(faults, "REQUEST_ERROR", {
    line: /^VERIFY_TOKEN was answered with success/,
    fix: /^Look at `journalctl/,
    exit: 2,
  });
});

test("LATENCY_HIGH: slow answers", async () => {
  const report = await checked({ delays: { [CfsIpc.GET_FS_VERSION]: 150 } }, "latency", 1_000);
  expectFound(report, "LATENCY_HIGH", {
    line: /^\d+ rounds of GET_FS_VERSION: p99 \d+\.\d+ ms \(limit 100 ms\), p50 \d+\.\d+ ms$/,
    fix: /^Look at `uptime`, `pmxcfs-ipc top`/,
    exit: 1,
  });
});

test("PERMISSIONS_WRONG: root may not write", async () => {
  const faults = { errors: { [CfsIpc.SET_STATUS]: Errno.EPERM } };
  expectFound(await checked(faults, "permissions"), "PERMISSIONS_WRONG", {
    line: /^as uid 0, gid 0, SET_STATUS without a body was answered with EPERM, not with EINVAL$/,
    fix: /without access options/,
    exit: 2,
  });
});

test("an empty RRD dump is a valid answer: no daemon sends graph data", async () => {
  const report = await checked({ texts: { [CfsIpc.GET_RRD_DUMP]: "" } }, "requests");
  expect(codesOf(report)).toEqual([]);
});

test("a server that takes a third of the deadline for each answer does not hang", async () => {
  const slow = [1, 2, 3, 5, 6, 8, 10, 11, 13].map((id) => [id, 350] as const);
  const report = await checked({ delays: Object.fromEntries(slow) }, "requests", 1_000);
  expect(codesOf(report)).toEqual([]);
  expect(report.findings.filter(({ severity }) => severity === "pass").length).toBe(10);
});

test("SERVER_READ_ONLY: a server of ours that refuses all writes", async () => {
  const dir = mkdtempSync(join(tmpdir(), "check-read-only-"));
  try {
    await using server = await startService(serveCommand("--read-only", "--dir", dir));
    const report = await check(server.name, { only: ["permissions"] });
    expectFound(report, "SERVER_READ_ONLY", {
      line: /^this server is read-only for all callers, uid 0, gid 0 included$/,
      fix: /^Start it without --read-only/,
      exit: 0,
    });
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("our server with another node name (--node) is not a renamed host", async () => {
  const dir = mkdtempSync(join(tmpdir(), "check-node-name-"));
  try {
    await using server = await startService(serveCommand("--node", "other", "--dir", dir));
    const report = await check(server.name, { only: ["cluster"] });
    expect(report.findings.map(({ code, severity }) => [code, severity])).toContainEqual([
      "NODENAME_DIFFERS",
      "notice",
    ]);
    expect(report.exit_code).toBe(0);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

async function connected(name: string): Promise<QbClient> {
  const client = await QbClient.connect(name);
  if (client instanceof QbClient) return client;
  throw new Error(client.message);
}

test("FLOW_CONTROL_ON: a connection under flow control", async () => {
  await using server = await startNode({ hold: 1 });
  using client = await connected(server.name);
  await client.sendRecv(CfsIpc.GET_FS_VERSION);
  const report = await check(server.name, { only: ["flow"] });
  expectFound(report, "FLOW_CONTROL_ON", {
    line: new RegExp(`^1 of 1 connections is stopped by flow control: ${process.pid} \\(`),
    fix: /`pmxcfs-ipc top`\.$/,
    exit: 1,
  });
});

test("a FIFO in the place of a ring's header does not hold up the check", async () => {
  const name = uniqueName();
  const shm = mkdtempSync(join(tmpdir(), "check-fifo-"));
  try {
    const ring = join(shm, `qb-${process.pid}-${process.pid}-1-abcdef`);
    mkdirSync(ring);
    Bun.spawnSync(["mkfifo", join(ring, `qb-request-${name}-header`)]);
    const options = { deadlineMs: 1_000 };
    const report = await check(name, { paths: { shm }, only: ["flow"], options });
    expect(report.findings.map(({ text }) => text)).toEqual(["rings of others"]);
  } finally {
    rmSync(shm, { recursive: true });
  }
});

test("QUEUE_WAITING: a stopped server does not read requests", async () => {
  await using server = await startNode();
  using client = await connected(server.name);
  server.signal("SIGSTOP");
  try {
    client.send(CfsIpc.GET_FS_VERSION);
    const report = await check(server.name, { only: ["flow"] });
    expectFound(report, "QUEUE_WAITING", {
      line: new RegExp(
        `^1 of 1 connections has requests that wait for over 200 ms: ${process.pid} `,
      ),
      fix: /`pmxcfs-ipc --check --only listener,requests,rrd`\.$/,
      exit: 1,
    });
  } finally {
    server.signal("SIGCONT");
  }
});

test("an idle connection is not a finding", async () => {
  await using server = await startNode();
  using client = await connected(server.name);
  await client.sendRecv(CfsIpc.GET_FS_VERSION);
  expect(codesOf(await check(server.name, { only: ["flow"] }))).toEqual([]);
});
