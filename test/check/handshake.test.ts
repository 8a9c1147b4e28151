/** Connecting: every failure of a set-up, with real servers that cause it. */
import { eventually } from "../support/eventually.ts";
import { needRoot } from "../support/identity.ts";
import { REPOSITORY, native } from "../support/native.ts";
import { type Service, startService } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";
import { check, codesOf, expectFound, nodeCommand, shell, startNode, told } from "./support/run.ts";
import { expect, test } from "bun:test";
import { join } from "node:path";

needRoot();

const ONLY = ["handshake"];
const HANDSHAKE = "$CHECK --socket svc --only handshake --json || true";
const RAW = join(REPOSITORY, "test", "check", "servers", "raw.ts");

async function raw(manner: string): Promise<Service> {
  return await startService((name) => [process.execPath, RAW, name, manner]);
}

async function refusing(result: number): Promise<Service> {
  const server = native("qb-faulty-server");
  return await startService((name) => [server, name, "--refuse", String(result)]);
}

test("a connection names the server, and leaves no ring files", async () => {
  await using server = await startNode();
  const report = await check(server.name, { only: ONLY });
  expect(report.findings[0]?.text).toMatch(
    new RegExp(`^connected: server pid ${server.pid}, uid 0, gid 0, rings of 1048576 bytes$`),
  );
  await eventually("no client's rings", async () => {
    const left = await check(server.name, { only: ["clients"] });
    return left.findings[0]?.text === "0 clients are connected";
  });
  await server.stop();
  await noRingsLeft(server.pid);
});

test("SERVER_UNKNOWN: a server by another name than pmxcfs's", async () => {
  await using server = await startNode();
  const report = await check(server.name, { only: ONLY });
  expectFound(report, "SERVER_UNKNOWN", {
    line: new RegExp(`^the server \\(pid ${server.pid}, .*\\) is neither pmxcfs nor pmxcfs-ipc`),
    fix: new RegExp(`\`ls -l /proc/${server.pid}/exe\``),
    exit: 0,
  });
});

test("HANDSHAKE_HUNG: a socket on which no process accepts", async () => {
  await using server = await raw("hang");
  const report = await check(server.name, { only: ONLY, options: { deadlineMs: 2000 } });
  expectFound(report, "HANDSHAKE_HUNG", {
    line: /^@test-.* takes connections but did not answer the handshake within 2000 ms$/,
    fix: /^follows from SOCKET_TAKEN$/,
    exit: 2,
  });
});

test("HANDSHAKE_GARBAGE: another protocol", async () => {
  await using server = await raw("garbage");
  expectFound(await check(server.name, { only: ONLY }), "HANDSHAKE_GARBAGE", {
    line: /^the listener on @test-.* does not speak libqb: /,
    fix: /^follows from SOCKET_TAKEN$/,
    exit: 2,
  });
});

test("HANDSHAKE_CLOSED: a listener that hangs up", async () => {
  await using server = await raw("close");
  expectFound(await check(server.name, { only: ONLY }), "HANDSHAKE_CLOSED", {
    line: /^the server closed the connection during the handshake$/,
    fix: /^follows from SOCKET_TAKEN$/,
    exit: 2,
  });
});

test("HANDSHAKE_ERROR: a C server that refuses with an unusual errno", async () => {
  await using server = await refusing(-24);
  expectFound(await check(server.name, { only: ONLY }), "HANDSHAKE_ERROR", {
    line: /^the server refused the connection: EMFILE \(Too many open files\)$/,
    fix: /^Look at `journalctl -u pve-cluster/,
    exit: 2,
  });
});

test("ACCESS_REFUSED_RULE: root is refused although pmxcfs's rule accepts it", async () => {
  await using server = await refusing(1);
  expectFound(await check(server.name, { only: ONLY }), "ACCESS_REFUSED_RULE", {
    line: /^refused: uid 0, gid 0, which pmxcfs's usual rule accepts$/,
    fix: /^Run the client as the user of the server,/,
    exit: 2,
  });
});

test("SHM_FULL_FOR_CLIENT: a C server without room for rings", async () => {
  const server = shell([native("qb-faulty-server"), "svc"]);
  const report = await told(`mount -t tmpfs -o size=2m tmpfs /dev/shm
    ${server} > /dev/null 2>&1 & await listening svc
    $CHECK --socket svc --only handshake,memory --json || true`);
  expectFound(report, "SHM_FULL_FOR_CLIENT", {
    line: /^the server could not make room for this client: No space left on device$/,
    fix: /^follows from SHM_FULL$/,
    exit: 2,
  });
  expect(report.verdict.code).toBe("SHM_FULL");
});

test("another program on the name is the verdict, whatever it does", async () => {
  for (const manner of ["hang", "garbage", "close"]) {
    await using server = await raw(manner);
    const options = { deadlineMs: 600 };
    const report = await check(server.name, { only: ["listener", "handshake"], options });
    expect([manner, report.verdict.code]).toEqual([manner, "SOCKET_TAKEN"]);
    expect(report.verdict.text).toContain(`belongs to pid ${server.pid} (`);
    expect(report.findings.flatMap(({ fix }) => fix ?? [])).toEqual([]);
  }
});

test("RINGS_NOT_OPENABLE: server and client have different /dev/shm", async () => {
  const report = await told(`${shell(nodeCommand("svc"))} > /dev/null & await listening svc
    unshare -m sh -c "mount -t tmpfs tmpfs /dev/shm; ${HANDSHAKE}"`);
  expectFound(report, "RINGS_NOT_OPENABLE", {
    line: /^accepted, but the ring files cannot be opened: ENOENT /,
    fix: /^Look at `ls -ln \/dev\/shm`/,
    exit: 2,
  });
});

test("RINGS_NOT_OPENABLE: an unprivileged server cannot give the files away", async () => {
  const server = shell([native("qb-faulty-server"), "svc"]);
  const report = await told(`
    setpriv --reuid 1000 --regid 1000 --clear-groups ${server} > /dev/null 2>&1 &
    await listening svc
    setpriv --reuid 1001 --regid 1001 --clear-groups ${HANDSHAKE}`);
  expectFound(report, "RINGS_NOT_OPENABLE", { line: /EACCES/, fix: /uid_map/, exit: 2 });
});

test("RING_PERMISSIONS: ring directories that others may enter", async () => {
  await using server = await startNode({ looseRings: true });
  const report = await eventually("open rings are found", async () => {
    const found = await check(server.name, { only: ONLY });
    return codesOf(found).includes("RING_PERMISSIONS") ? found : undefined;
  });
  expectFound(report, "RING_PERMISSIONS", {
    line: /^\/dev\/shm\/qb-.* has mode 0777 \(limit 0770\)/,
    fix: /^Find what changes the modes/,
    exit: 1,
  });
});

test("without a listener the handshake is skipped, with the reason", async () => {
  const report = await check("test-nobody-listens-here", { only: ONLY });
  expect(report.findings.map(({ severity, text }) => [severity, text])).toEqual([
    ["skip", "no listener"],
  ]);
  expect(report.exit_code).toBe(3);
});

/** Our test server as `name`, a copy of its program at /mnt/pmxcfs-ipc, and packages of 9.9.9. */
function installed(name: string): string {
  const [program = "", ...rest] = nodeCommand("svc");
  return `mount -t tmpfs tmpfs /mnt; mkdir /mnt/bin
    printf '#!/bin/sh\\necho 9.9.9\\n' > /mnt/bin/dpkg-query; chmod 755 /mnt/bin/dpkg-query
    cp '${program}' /mnt/pmxcfs-ipc; ln -s pmxcfs-ipc /mnt/pmxcfs
    ${shell([`/mnt/${name}`, ...rest])} > /dev/null & await listening svc
    PATH=/mnt/bin:$PATH`;
}

test("SERVER_REPLACED: the server runs an older file than the package's", async () => {
  const report = await told(`${installed("pmxcfs-ipc")}; rm /mnt/pmxcfs-ipc; ${HANDSHAKE}`);
  expectFound(report, "SERVER_REPLACED", {
    line: /^the server \(pid \d+\) runs a file of pmxcfs-ipc that was replaced or removed$/,
    fix: /^`systemctl restart pve-cluster` starts the installed program/,
    exit: 0,
  });
  expect(report.findings[0]?.text).toMatch(/^connected to pmxcfs-ipc of unknown version: /);
});

test("a server of ours is named as such also under the C server's name", async () => {
  const report = await told(`${installed("pmxcfs")}; ${HANDSHAKE}`);
  expect(codesOf(report)).toEqual([]);
  expect(report.findings[0]?.text).toMatch(/^connected to pmxcfs-ipc 9\.9\.9: server pid \d+/);
});
