/** Memory, descriptors, stuck processes, and runs that reach their own deadlines. */
import { DEFAULT_OPTIONS, runCheck } from "../../src/tools/check/check.ts";
import { Facts } from "../../src/tools/check/context.ts";
import { localMachine } from "../../src/tools/check/host.ts";
import { type Probe, runProbes } from "../../src/tools/check/probe.ts";
import { Session } from "../../src/tools/check/session.ts";
import { eventually } from "../support/eventually.ts";
import { needRoot } from "../support/identity.ts";
import { native } from "../support/native.ts";
import { startService } from "../support/service.ts";
import { check, expectFound, sandbox, shell, told } from "./support/run.ts";
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";

needRoot();

const RESOURCES = "$CHECK --only resources --json || true";

test("MEMORY_PRESSURE: the kernel reports pressure", async () => {
  const report = await told(`
    printf 'some avg10=61.20 avg60=48.10 avg300=20.02 total=1\\n' > /dev/shm/memory
    printf 'full avg10=40.10 avg60=31.50 avg300=9.02 total=1\\n' >> /dev/shm/memory
    mount --bind /dev/shm/memory /proc/pressure/memory
    ${RESOURCES}`);
  expectFound(report, "MEMORY_PRESSURE", {
    line: /^tasks were stalled on memory 31\.5 % of the last minute \(limit 10 %\)$/,
    fix: /^Look at `free -m`, `cat \/proc\/pressure\/memory`/,
    exit: 1,
  });
});

test("MEMORY_LOW: hardly any memory is available", async () => {
  const report = await told(`
    printf 'MemTotal:       16384000 kB\\nMemFree:          120000 kB\\n' > /dev/shm/meminfo
    printf 'MemAvailable:     327680 kB\\n' >> /dev/shm/meminfo
    mount --bind /dev/shm/meminfo /proc/meminfo
    ${RESOURCES}`);
  expectFound(report, "MEMORY_LOW", {
    line: /^320 of 16000 MiB of memory are available, 2 % \(limit 5 %\)$/,
    fix: /^Look at `free -m`/,
    exit: 1,
  });
});

/** What is found of 2 % of memory with this size of ZFS's cache, which keeps 512 MiB. */
async function codesWithCache(arcBytes: number): Promise<unknown[]> {
  const local = localMachine();
  const texts: Readonly<Record<string, string>> = {
    "/proc/meminfo": "MemTotal:       16384000 kB\nMemAvailable:     327680 kB\n",
    "/proc/spl/kstat/zfs/arcstats":
      `9 1 0x01 147 39984 5 6\nname                            type data\n` +
      `c_min                           4    536870912\n` +
      `size                            4    ${arcBytes}\n`,
  };
  const text = async (path: string) => texts[path] ?? (await local.text(path));
  const selection = { only: ["MEMORY_LOW"], skip: [] };
  const { findings } = await runCheck({ ...local, text }, DEFAULT_OPTIONS, selection);
  return findings.flatMap(({ code }) => code ?? []);
}

test("MEMORY_LOW: what the cache of ZFS gives back is available", async () => {
  expect(await codesWithCache(8 * 1024 ** 3)).toEqual([]);
  expect(await codesWithCache(512 * 1024 ** 2)).toEqual(["MEMORY_LOW"]);
});

test("RUN_FULL: a tmpfs on /run without a free page", async () => {
  const report = await told(`mount -t tmpfs -o size=2m,nr_inodes=500 tmpfs /run
    ! head -c 4M /dev/zero 2> /dev/null > /run/filler
    ${RESOURCES}`);
  expectFound(report, "RUN_FULL", {
    line: /^\/run has 0 of 2 MiB free \(limit 1 MiB\)$/,
    fix: /^mount -o remount,size=66M,nr_inodes=\d{7} \/run$/,
    exit: 2,
  });
});

const openIn = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** Lowers the server's limit so that its open descriptors are `percent` of it. */
function limitDescriptors(pid: number, percent: number): number {
  const limit = Math.floor((openIn(pid) * 100) / percent);
  const set = Bun.spawnSync(["prlimit", "--pid", String(pid), `--nofile=${limit}:`]);
  if (!set.success) throw new Error(set.stderr.toString());
  return limit;
}

test("DESCRIPTORS_LOW: a warning, and a failure if hardly any is left", async () => {
  await using server = await startService((name) => [native("qb-faulty-server"), name]);
  const open = openIn(server.pid);
  const limit = limitDescriptors(server.pid, 80);
  expectFound(await check(server.name, { only: ["resources"] }), "DESCRIPTORS_LOW", {
    line: new RegExp(
      `^the server \\(pid ${server.pid}\\) has \\d+ descriptors open, \\d+ % of its ${limit}$`,
    ),
    fix: new RegExp(`^prlimit --pid ${server.pid} --nofile=\\d+:$`),
    exit: 1,
  });
  await eventually("the check's connections are closed", () => openIn(server.pid) === open);
  limitDescriptors(server.pid, 100);
  expectFound(await check(server.name, { only: ["resources"] }), "DESCRIPTORS_LOW", {
    line: /100 % of its/,
    fix: /^prlimit --pid /,
    exit: 2,
  });
});

test("CLIENTS_STUCK: a process that waits in the kernel", async () => {
  const stuck = shell([native("stuck-listener"), "other"]);
  const report = await told(`${stuck} & await listening other
    $CHECK --only stuck --json || true`);
  expectFound(report, "CLIENTS_STUCK", {
    line: /^1 process sleeps uninterruptibly \(state D\): \d+ \(stuck-listener/,
    fix: /^Look at `ps axo pid,stat,wchan:32,comm \| awk '\$2 ~ \/\^D\/'`\.$/,
    exit: 1,
  });
});

/**
 * /run/pve-cluster is a FUSE mount that never answers: the search for the restart flag hangs, and a
 * run that waited for it would not end.
 */
const HUNG_RUN = `mount -t tmpfs tmpfs /run; mkdir /run/pve-cluster
exec 9<> /dev/fuse
mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0,allow_other hung /run/pve-cluster
`;

test("PROBE_TIMEOUT: only the check that hangs fails, and the run ends", async () => {
  const report = await told(`${HUNG_RUN}
    $BARE --only listener,memory --deadline 1500ms --json || true`);
  expectFound(report, "PROBE_TIMEOUT", {
    line: /^the check "listening socket" was not done within 1500 ms$/,
    fix: /`pmxcfs-ipc --check --only listener --deadline 10s`\.$/,
    exit: 1,
  });
  expect(report.findings.some(({ severity }) => severity === "pass")).toBe(true);
});

test("a run ends within the total deadline", async () => {
  const { out, exitCode } = await sandbox(`${HUNG_RUN}
    $BARE --deadline 5s --total-deadline 700ms --nagios`);
  expect(out).toMatch(/^PMXCFS-IPC (WARNING|CRITICAL) - /);
  expect([1, 2]).toContain(exitCode);
});

test("PROBE_FAILED: a check with a bug is a finding, not the end of the run", async () => {
  const machine = localMachine();
  const broken: Probe = {
    check: "memory",
    run: () => Promise.reject(new Error("something nobody thought of")),
  };
  using session = new Session("test-none", 2_000);
  const facts = new Facts(machine, "test-none");
  const base = { machine, facts, session, options: DEFAULT_OPTIONS };
  const [finding] = await runProbes([[broken]], base, () => true);
  expect(finding).toMatchObject({
    code: "PROBE_FAILED",
    severity: "warn",
    text: 'the check "shared memory" ended in an error of its own: something nobody thought of',
    advice: "Please report it with the output of `pmxcfs-ipc --check --only memory --json`.",
  });
});
