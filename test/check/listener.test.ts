/** The listener, and what prevents one: real sockets, processes and flags. */
import { QbClient } from "../../src/client/qb-client.ts";
import { needRoot } from "../support/identity.ts";
import { native } from "../support/native.ts";
import { echoCommand, startService, uniqueName } from "../support/service.ts";
import { check, codesOf, expectFound, nodeCommand, shell, startNode, told } from "./support/run.ts";
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { type Server, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

needRoot();

const directory = mkdtempSync(join(tmpdir(), "check-listener-"));
afterAll(() => rmSync(directory, { recursive: true }));

const ONLY = ["listener"];
/** Paths of a machine with pmxcfs installed: any config.db is enough. */
const installed = { database: join(directory, "config.db") };
writeFileSync(installed.database, "");

/** Listens on a path, or on an abstract address of exactly the name's length. */
async function listen(path: string): Promise<Server> {
  const server = createServer();
  server.listen(path);
  await new Promise((resolve) => server.once("listening", resolve));
  return server;
}

test("SOCKET_ABSENT: nothing listens although pmxcfs is installed", async () => {
  const report = await check(uniqueName(), { paths: installed, only: ONLY });
  expectFound(report, "SOCKET_ABSENT", {
    line: /^nothing listens on @test-/,
    fix: /`journalctl -b -u pve-cluster -n 30`\.$/,
    exit: 2,
  });
});

test("NOT_INSTALLED: no listener, and nothing of pmxcfs on the machine", async () => {
  const report = await told("$CHECK --only listener --json || true");
  expectFound(report, "NOT_INSTALLED", {
    line: /no pmxcfs/,
    fix: /^pmxcfs-ipc serve --socket pve2$/,
    exit: 2,
  });
});

test("a server is named with its pid and command", async () => {
  await using server = await startNode();
  const report = await check(server.name, { only: ONLY });
  expect(report.findings[0]?.text).toContain(`pid ${server.pid} (`);
  expect(report.exit_code).toBe(0);
});

test("SERVER_STOPPED: SIGSTOP; everything that hangs with it is a consequence", async () => {
  await using server = await startNode();
  server.signal("SIGSTOP");
  try {
    const report = await check(server.name, {
      only: ["listener", "handshake", "requests", "latency"],
      options: { deadlineMs: 1_500 },
    });
    expectFound(report, "SERVER_STOPPED", {
      line: new RegExp(`^the server \\(pid ${server.pid}, .*\\) is stopped: state T$`),
      fix: new RegExp(`^kill -CONT ${server.pid}$`),
      exit: 2,
    });
    expectFound(report, "HANDSHAKE_HUNG", {
      line: /did not answer the handshake within 1500 ms$/,
      fix: /^follows from SERVER_STOPPED$/,
      exit: 2,
    });
    expect(report.verdict.code).toBe("SERVER_STOPPED");
  } finally {
    server.signal("SIGCONT");
  }
});

test("SERVER_STUCK: the server sleeps in the kernel", async () => {
  const server = shell([native("stuck-listener"), "svc"]);
  const report = await told(`${server} & await listening svc
    $CHECK --socket svc --only listener --json || true`);
  expectFound(report, "SERVER_STUCK", {
    line: /^the server \(pid \d+, stuck-listener.*\) sleeps uninterruptibly \(state D\) in /,
    fix: /`cat \/proc\/\d+\/stack`/,
    exit: 2,
  });
});

test("SOCKET_TAKEN: pmxcfs runs, another process has its name", async () => {
  const report = await told(`cp $(command -v sleep) /dev/shm/pmxcfs
    /dev/shm/pmxcfs 60 &
    ${shell(nodeCommand("svc"))} > /dev/null & await listening svc
    $CHECK --socket svc --only listener --json || true`);
  expectFound(report, "SOCKET_TAKEN", {
    line: /^@svc belongs to pid \d+ \(.*\), which is not pmxcfs; the running pmxcfs is pid \d+$/,
    fix: /^Identify pid \d+ .*`systemctl restart pve-cluster`\.$/,
    exit: 2,
  });
});

test("SOCKET_SHORT_ADDRESS: a listener that libqb clients cannot reach", async () => {
  const name = uniqueName();
  const server = await listen(`\0${name}`);
  try {
    const report = await check(name, { only: ONLY });
    expectFound(report, "SOCKET_SHORT_ADDRESS", {
      line: new RegExp(`listens on @${name} with a ${name.length + 3}-byte address`),
      fix: /disable the socket unit/,
      exit: 2,
    });
    expect(report.verdict.code).toBe("SOCKET_SHORT_ADDRESS");
  } finally {
    server.close();
  }
});

test("SOCKET_SEVERAL: a short address beside the right one", async () => {
  await using node = await startNode();
  const server = await listen(`\0${node.name}`);
  try {
    const report = await check(node.name, { only: ONLY });
    expectFound(report, "SOCKET_SEVERAL", {
      line: /^2 sockets listen for test-.*: full address of pid .*, short address of pid/,
      fix: /by its own unit\.$/,
      exit: 1,
    });
  } finally {
    server.close();
  }
});

test("SOCKET_FILESYSTEM_MISMATCH: libqb clients use a path, the server does not", async () => {
  await using node = await startNode();
  const flag = join(directory, "force-filesystem-sockets");
  writeFileSync(flag, "");
  const report = await check(node.name, { only: ONLY, paths: { filesystemSockets: flag } });
  expectFound(report, "SOCKET_FILESYSTEM_MISMATCH", {
    line: new RegExp(`^${flag} is there, but the server listens on @${node.name}$`),
    fix: /^systemctl restart pve-cluster$/,
    exit: 2,
  });
});

test("SOCKET_FILESYSTEM_MISMATCH: the server uses a path, libqb clients do not", async () => {
  const name = uniqueName();
  const server = await listen(join(directory, name));
  try {
    const report = await check(name, { only: ONLY, paths: { socketDirectory: directory } });
    expectFound(report, "SOCKET_FILESYSTEM_MISMATCH", {
      line: /is not there, but the server listens on \//,
      fix: /restart/,
      exit: 2,
    });
  } finally {
    server.close();
  }
});

test("RESTART_FLAG: nothing listens, and Perl clients wait", async () => {
  const restartFlag = join(directory, "flag");
  writeFileSync(restartFlag, "");
  const paths = { ...installed, restartFlag };
  const report = await check(uniqueName(), { only: ONLY, paths });
  expectFound(report, "RESTART_FLAG", {
    line: /flag is there \(\d+ s old\)/,
    fix: /^follows from SOCKET_ABSENT$/,
    exit: 2,
  });
  expect(report.verdict.code).toBe("SOCKET_ABSENT");
});

test("RESTART_FLAG_STALE: the flag is still there although the server listens", async () => {
  await using node = await startNode();
  const restartFlag = join(directory, "stale-flag");
  writeFileSync(restartFlag, "");
  const old = Date.now() / 1000 - 600;
  utimesSync(restartFlag, old, old);
  const report = await check(node.name, { only: ONLY, paths: { restartFlag } });
  expectFound(report, "RESTART_FLAG_STALE", {
    line: /stale-flag is 600 s old although the server listens$/,
    fix: /^rm -f \/.*stale-flag$/,
    exit: 1,
  });
});

test("a new flag is not a finding: the server may have just started", async () => {
  await using node = await startNode();
  const restartFlag = join(directory, "young-flag");
  writeFileSync(restartFlag, "");
  expect(codesOf(await check(node.name, { only: ONLY, paths: { restartFlag } }))).toEqual([]);
});

test("clients are counted without our own connection", async () => {
  await using server = await startNode();
  const client = await QbClient.connect(server.name);
  if (!(client instanceof QbClient)) throw new Error(client.message);
  using _connected = client;
  const report = await check(server.name, { only: ["handshake", "clients"] });
  expect(report.findings.map(({ text }) => text)).toContainEqual(
    expect.stringMatching(/^1 client is connected: 1 /),
  );
});

test("the number of clients of our server comes from its status socket", async () => {
  await using server = await startService(echoCommand);
  const client = await QbClient.connect(server.name);
  if (!(client instanceof QbClient)) throw new Error(client.message);
  using _connected = client;
  const report = await check(server.name, { only: ["handshake", "clients"] });
  const said = report.findings.map(({ text }) => text);
  expect(said).toContainEqual(expect.stringMatching(/^1 client is connected: 1 /));
  // The server's count includes the connection of the diagnosis.
  expect(said).toContainEqual(
    expect.stringMatching(/^its own count: 2 of \d+ connections, 0 requests queued; \d+ requests /),
  );
});

test("a run does not wait for the status of our server if it is stopped", async () => {
  await using server = await startService(echoCommand);
  server.signal("SIGSTOP");
  try {
    const options = { deadlineMs: 3000 };
    const report = await check(server.name, { only: ["clients"], options });
    expect(report.findings.map(({ text }) => text)).toEqual([
      expect.stringMatching(/^\d+ clients? (is|are) connected/),
    ]);
  } finally {
    server.signal("SIGCONT");
  }
});
