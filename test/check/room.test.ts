/** Room in /dev/shm, on which kind of it a remount is printed, and room for config.db. */
import { expect, test } from "bun:test";
import { DEFAULT_OPTIONS } from "../../src/tools/check/check.ts";
import { Facts } from "../../src/tools/check/context.ts";
import type { Finding } from "../../src/tools/check/finding.ts";
import { localMachine, type Machine, type Space } from "../../src/tools/check/host.ts";
import type { Context } from "../../src/tools/check/probe.ts";
import { diskFindings } from "../../src/tools/check/probes/disk.ts";
import { memoryProbe, resourcesProbe } from "../../src/tools/check/probes/machine.ts";
import { Session } from "../../src/tools/check/session.ts";

const MiB = 1024 * 1024;
const TMPFS = 0x01021994;

function contextOf(machine: Machine): Context {
  const facts = new Facts(machine, "none");
  const session = new Session("none", 1000);
  return { machine, facts, session, options: DEFAULT_OPTIONS, left: () => 1000 };
}

interface Shm {
  readonly mountinfo: string;
  readonly freeBytes: number;
  readonly freeInodes?: number;
}

async function findingsWith({ mountinfo, freeBytes, freeInodes = 1e6 }: Shm): Promise<Finding[]> {
  const sizes = { sizeBytes: 64 * MiB, freeBytes, rootFreeBytes: freeBytes };
  const inodes = { inodes: 2e6, freeInodes };
  const context = contextOf({
    ...localMachine(),
    text: () => Promise.resolve(mountinfo),
    space: () => Promise.resolve({ type: TMPFS, ...sizes, ...inodes }),
  });
  return [...(await memoryProbe.run(context))];
}

const OWN = "30 20 0:27 / /dev/shm rw,nosuid - tmpfs tmpfs rw,size=65536k\n";
/** A directory of devtmpfs, as in a minimal system; its magic number is that of tmpfs. */
const PART = "20 1 0:6 / /dev rw - devtmpfs udev rw\n";

test.each([
  ["full", { freeBytes: 0 }, "SHM_FULL", "mount -o remount,size="],
  ["nearly full", { freeBytes: 32 * MiB }, "SHM_LOW", "mount -o remount,size="],
  [
    "out of inodes",
    { freeBytes: 64 * MiB, freeInodes: 7 },
    "SHM_INODES_LOW",
    "mount -o remount,nr",
  ],
] as const)("%s: the remount is printed for a tmpfs of its own only", async (_, shm, code, fix) => {
  const [own] = await findingsWith({ ...shm, mountinfo: OWN });
  expect(own?.code).toBe(code);
  expect(own?.fix).toStartWith(fix);
  const [part] = await findingsWith({ ...shm, mountinfo: PART });
  expect([part?.code, part?.fix]).toEqual([code, undefined]);
  expect(part?.advice).toBeString();
});

/** What a tmpfs without bounds reports, and ramfs. */
const UNBOUNDED: Space = {
  type: TMPFS,
  sizeBytes: 0,
  freeBytes: 0,
  rootFreeBytes: 0,
  inodes: 0,
  freeInodes: 0,
};

/** The line of the one thing that `memory` says of a /dev/shm with this room, which passes. */
async function lineOf(space: Space): Promise<string | undefined> {
  const machine = { ...localMachine(), text: () => Promise.resolve(OWN) };
  const context = contextOf({ ...machine, space: () => Promise.resolve(space) });
  const [finding, more] = await memoryProbe.run(context);
  expect([finding?.severity, more]).toEqual(["pass", undefined]);
  return finding?.text;
}

test("a /dev/shm without bounds is not full", async () => {
  expect(await lineOf(UNBOUNDED)).toBe("/dev/shm has no limit");
  const someInodes = { ...UNBOUNDED, inodes: 1e6, freeInodes: 7000 };
  expect(await lineOf(someInodes)).toContain("7000 inodes free, room for 1000 more clients");
});

/** What `resources` finds of a /run with this room. */
async function runWith(space: Partial<Space>, type = "tmpfs"): Promise<Finding | undefined> {
  const text = `25 30 0:24 / /run rw,nosuid,nodev - ${type} ${type} rw\n`;
  const context = contextOf({
    ...localMachine(),
    text: () => Promise.resolve(text),
    space: () => Promise.resolve({ ...UNBOUNDED, ...space }),
  });
  return (await resourcesProbe.run(context)).find(({ code }) => code === "RUN_FULL");
}

test("RUN_FULL: the remount raises both bounds, and lowers none", async () => {
  const sizes = { sizeBytes: 800 * MiB, inodes: 2e6, freeInodes: 1e6 };
  expect(await runWith({ ...sizes, rootFreeBytes: 2 * MiB })).toBeUndefined();
  const low = await runWith({ ...sizes, rootFreeBytes: MiB / 2 });
  expect([low?.severity, low?.text]).toEqual([
    "warn",
    "/run has 0.5 of 800 MiB free (limit 1 MiB)",
  ]);
  expect(low?.fix).toBe("mount -o remount,size=864M,nr_inodes=2048576 /run");
  const full = await runWith({ ...sizes, rootFreeBytes: 0 });
  expect([full?.severity, full?.fix]).toEqual([
    "fail",
    "mount -o remount,size=864M,nr_inodes=2048576 /run",
  ]);
  const few = await runWith({ ...sizes, rootFreeBytes: 700 * MiB, freeInodes: 0 });
  expect([few?.severity, few?.text]).toEqual(["fail", "/run has 0 inodes free (limit 100)"]);
  expect(few?.fix).toBe("mount -o remount,size=800M,nr_inodes=3048576 /run");
});

test("RUN_FULL: a tmpfs without bounds keeps none, and a disk is not remounted", async () => {
  expect(await runWith({})).toBeUndefined();
  const few = await runWith({ inodes: 500, freeInodes: 3 });
  expect([few?.severity, few?.fix]).toEqual([
    "warn",
    "mount -o remount,size=0M,nr_inodes=1049073 /run",
  ]);
  const disk = await runWith({ sizeBytes: 800 * MiB }, "ext4");
  expect([disk?.severity, disk?.fix]).toEqual(["fail", undefined]);
  expect(disk?.advice).toContain("du -xh");
});

test("a disk that has room for root only is a warning: pmxcfs, which is root, starts", async () => {
  const EXT4 = 0xef53;
  const severityWith = async (rootFreeBytes: number): Promise<string | undefined> => {
    const sizes = { sizeBytes: 8192 * MiB, freeBytes: 0, rootFreeBytes };
    const space = { type: EXT4, ...sizes, inodes: 1e6, freeInodes: 1e5 };
    const context = contextOf({ ...localMachine(), space: () => Promise.resolve(space) });
    const [found] = await diskFindings(context, "/nowhere/config.db");
    expect(found?.code).toBe("DB_DISK_LOW");
    return found?.severity;
  };
  expect(await severityWith(400 * MiB)).toBe("warn");
  expect(await severityWith(0)).toBe("fail");
});
