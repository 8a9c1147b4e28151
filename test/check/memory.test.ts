/** /dev/shm in every faulty state, on real small file systems; cleaning up after dead servers. */
import { QbClient } from "../../src/client/qb-client.ts";
import { DEFAULT_OPTIONS, runCheck } from "../../src/tools/check/check.ts";
import { cleanStale } from "../../src/tools/check/rings.ts";
import { localMachine } from "../../src/tools/check/host.ts";
import { CLIENT_BYTES } from "../../src/tools/check/probes/machine.ts";
import { eventually } from "../support/eventually.ts";
import { needRoot } from "../support/identity.ts";
import { native, REPOSITORY } from "../support/native.ts";
import { startService } from "../support/service.ts";
import { ringDirectories } from "../support/shm.ts";
import { testUnless } from "../support/unless.ts";
import { check, codesOf, expectFound, sandbox, shell, startNode, told } from "./support/run.ts";
import { afterAll, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

needRoot();

const directory = mkdtempSync(join(tmpdir(), "check-memory-"));
afterAll(() => rmSync(directory, { recursive: true }));

const MEMORY = "$CHECK --only memory --json || true";

test("SHM_FULL: not even one more client fits", async () => {
  const report = await told(`mount -t tmpfs -o size=4m tmpfs /dev/shm
    head -c 2097152 /dev/zero > /dev/shm/filler
    ${MEMORY}`);
  expectFound(report, "SHM_FULL", {
    line: /^\/dev\/shm: 2 of 4 MiB free, room for 0 more clients \(limit 1\)$/,
    fix: /^mount -o remount,size=384M \/dev\/shm$/,
    exit: 2,
  });
});

test("SHM_LOW: the 64 MiB of a container", async () => {
  const report = await told(`mount -t tmpfs -o size=64m tmpfs /dev/shm
    ${MEMORY}`);
  expectFound(report, "SHM_LOW", {
    line: /^\/dev\/shm: 64 of 64 MiB free, room for 21 more clients \(limit 50\)$/,
    fix: /^mount -o remount,size=384M \/dev\/shm$/,
    exit: 1,
  });
});

test("room for one client is not room for clients", async () => {
  const report = await told(`mount -t tmpfs -o size=4m tmpfs /dev/shm
    ${MEMORY}`);
  expect(report.findings[0]?.text).toMatch(/ room for 1 more client \(limit 50\)$/);
});

test("SHM_INODES_LOW: free space, but no inodes", async () => {
  const report = await told(`mount -t tmpfs -o size=512m,nr_inodes=20 tmpfs /dev/shm
    ${MEMORY}`);
  expectFound(report, "SHM_INODES_LOW", {
    line: /^\/dev\/shm: \d+ of 20 inodes free, room for 2 more clients \(limit 50\)$/,
    fix: /^mount -o remount,nr_inodes=1m \/dev\/shm$/,
    exit: 1,
  });
});

test("SHM_INODES_LOW: the bound that the fix sets is above the number in use", async () => {
  const freeBytes = 2 ** 32;
  const tmpfs = { type: 0x01021994, sizeBytes: 2 ** 33, freeBytes, rootFreeBytes: freeBytes };
  const space = { ...tmpfs, inodes: 2_000_000, freeInodes: 10 };
  const machine = { ...localMachine(), space: () => Promise.resolve(space) };
  const { findings } = await runCheck(machine, DEFAULT_OPTIONS, { only: ["memory"], skip: [] });
  expect(findings.map(({ fix }) => fix)).toEqual(["mount -o remount,nr_inodes=3048566 /dev/shm"]);
});

test("SHM_READ_ONLY: mounted read-only", async () => {
  const report = await told(`mount -o remount,ro /dev/shm
    ${MEMORY}`);
  expectFound(report, "SHM_READ_ONLY", {
    line: /^\/dev\/shm is mounted read-only$/,
    fix: /^mount -o remount,rw \/dev\/shm$/,
    exit: 2,
  });
});

test("SHM_MISSING: no such directory", async () => {
  const shm = join(directory, "absent");
  const report = await check("svc", { only: ["memory"], paths: { shm } });
  expectFound(report, "SHM_MISSING", {
    line: /absent is not there: No such file or directory$/,
    fix: /^mkdir -p .*absent && mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /,
    exit: 2,
  });
});

/** A place that is on a disk: /tmp is a tmpfs on newer Debians. */
const ON_DISK = [tmpdir(), join(REPOSITORY, "node_modules")].find((place) => {
  const { stdout } = Bun.spawnSync(["stat", "-f", "-c", "%T", place]);
  return stdout.toString().trim() !== "tmpfs";
});

testUnless(ON_DISK === undefined ? "needs /tmp or the checkout on a disk" : undefined)(
  "SHM_NOT_TMPFS: a directory on a disk",
  async () => {
    const shm = mkdtempSync(join(ON_DISK ?? "", "check-disk-"));
    try {
      expectFound(await check("svc", { only: ["memory"], paths: { shm } }), "SHM_NOT_TMPFS", {
        line: /is part of another file system, not tmpfs$/,
        fix: /^Mount a tmpfs there at the next boot/,
        exit: 1,
      });
    } finally {
      rmSync(shm, { recursive: true });
    }
  },
);

test("a client takes as much shared memory as the report says", async () => {
  await using server = await startService((name) => [native("qb-faulty-server"), name]);
  const client = await QbClient.connect(server.name);
  if (!(client instanceof QbClient)) throw new Error(client.message);
  using _connected = client;
  const [name = ""] = ringDirectories(server.pid);
  const used = Bun.spawnSync(["du", "-s", "--block-size=1", "--apparent-size", `/dev/shm/${name}`]);
  const blocks = Bun.spawnSync(["du", "-s", "--block-size=1", `/dev/shm/${name}`]);
  expect(Number.parseInt(used.stdout.toString(), 10)).toBeLessThanOrEqual(CLIENT_BYTES);
  expect(Number.parseInt(blocks.stdout.toString(), 10)).toBe(CLIENT_BYTES);
});

/** Kills a C server while a client is connected; returns what it leaves in /dev/shm. */
const KILLED = `
${shell([native("qb-faulty-server"), "svc"])} > /dev/null & server=$!
await listening svc
${shell([native("qb-client"), "svc"])} < /dev/null > /dev/null 2>&1 || true
`;

test("SHM_STALE: rings of a killed server; --clean-stale removes exactly those", async () => {
  await using server = await startNode();
  const client = await QbClient.connect(server.name);
  if (!(client instanceof QbClient)) throw new Error(client.message);
  await server.stop("SIGKILL");
  // Listed after the server's end: until then it refills its pool of ring directories.
  const before = ringDirectories(server.pid);
  expect(before.length).toBeGreaterThan(0);

  const report = await check(server.name, { only: ["leftovers"] });
  expectFound(report, "SHM_STALE", {
    line: new RegExp(
      `^\\d+ ring director(y|ies) of dead pmxcfs servers holds? [\\d.]+ MiB of /dev/shm$`,
    ),
    fix: new RegExp(`^pmxcfs-ipc --check --clean-stale --socket ${server.name}$`),
    exit: 1,
  });

  const all = new Set(before.map((name) => `/dev/shm/${name}`));
  const dry = await cleanStale(localMachine(), server.name, true);
  const isOurs = (path: string) => all.has(path);
  expect(dry.filter(({ kept }) => kept === undefined).every(({ path }) => isOurs(path))).toBe(true);
  expect(ringDirectories(server.pid)).toEqual(before);
  // A directory that was being made when the server was killed counts as stale some seconds later.
  await eventually("all are removed", async () => {
    await cleanStale(localMachine(), server.name, false);
    return ringDirectories(server.pid).length === 0;
  });
  client.close();
});

test("rings of a running server are never removed", async () => {
  await using server = await startNode();
  const client = await QbClient.connect(server.name);
  if (!(client instanceof QbClient)) throw new Error(client.message);
  using _connected = client;
  const cleanings = await cleanStale(localMachine(), server.name, false);
  expect(cleanings).toEqual([]);
  expect(ringDirectories(server.pid).length).toBeGreaterThan(0);
});

/** A pid that no process has. */
function deadPid(): number {
  const child = Bun.spawnSync(["true"]);
  return child.pid;
}

function makeRing(shm: string, service: string, pid = deadPid()): string {
  const path = join(shm, `qb-${pid}-4242-9-abcdef`);
  mkdirSync(path, { recursive: true });
  for (const ring of ["request", "response", "event"]) {
    writeFileSync(join(path, `qb-${ring}-${service}-header`), "x".repeat(8252));
    writeFileSync(join(path, `qb-${ring}-${service}-data`), "");
  }
  return path;
}

test("SHM_STALE_FOREIGN: corosync's stale rings are reported and not removed", async () => {
  const shm = mkdtempSync(join(directory, "foreign-"));
  const path = makeRing(shm, "quorum");
  const report = await check("svc", { only: ["leftovers"], paths: { shm } });
  expectFound(report, "SHM_STALE_FOREIGN", {
    line: /^1 ring directory of other dead libqb servers \(quorum\) holds [\d.]+ MiB$/,
    fix: /^corosync removes its own/,
    exit: 0,
  });
  expect(await cleanStale(localMachine({ shm }), "svc", false)).toEqual([]);
  expect(existsSync(path)).toBe(true);
});

test("pve2's stale rings are removed for any service, but not beside other files", async () => {
  const shm = mkdtempSync(join(directory, "pve2-"));
  const path = makeRing(shm, "pve2");
  writeFileSync(join(path, "precious"), "");
  const first = await cleanStale(localMachine({ shm }), "svc", false);
  const kept = "it holds other files than a server's, or they cannot be removed";
  expect(first).toEqual([{ path, bytes: expect.any(Number), kept }]);
  expect(readdirSync(path).length).toBe(7);
  rmSync(join(path, "precious"));
  await cleanStale(localMachine({ shm }), "svc", false);
  expect(existsSync(path)).toBe(false);
});

test("a symlink named like a ring directory is not followed", async () => {
  const shm = mkdtempSync(join(directory, "link-"));
  const elsewhere = mkdtempSync(join(directory, "elsewhere-"));
  const victim = join(makeRing(elsewhere, "pve2"), "qb-request-pve2-header");
  symlinkSync(join(elsewhere), join(shm, `qb-${deadPid()}-1-1-abcdef`));
  expect(await cleanStale(localMachine({ shm }), "pve2", false)).toEqual([]);
  expect(existsSync(victim)).toBe(true);
});

test("--clean-stale keeps rings whose owner is not visible in its pid namespace", async () => {
  const { out, exitCode } = await sandbox(`${KILLED}
    mkdir -p /dev/shm/qb-99999-1-1-abcdef
    touch /dev/shm/qb-99999-1-1-abcdef/qb-request-svc-header
    kill -KILL $server; wait $server 2>/dev/null || true
    exec $CHECK --socket svc --clean-stale`);
  expect(out).toMatch(
    /^kept \/dev\/shm\/qb-99999-1-1-abcdef \(0\.0 MiB\): whether its server lives cannot be seen /m,
  );
  expect(exitCode).toBe(1);
});

test("a clean machine has no stale rings", async () => {
  const shm = mkdtempSync(join(directory, "clean-"));
  const report = await check("svc", { only: ["leftovers"], paths: { shm } });
  expect(codesOf(report)).toEqual([]);
  expect(report.exit_code).toBe(0);
});
