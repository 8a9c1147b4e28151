/** Room in /dev/shm, on which kind of it a remount is printed, and room for config.db. */
import { expect, test } from "bun:test";
import { DEFAULT_OPTIONS } from "../../src/tools/check/check.ts";
import { Facts } from "../../src/tools/check/context.ts";
import type { Finding } from "../../src/tools/check/finding.ts";
import { localMachine, type Machine } from "../../src/tools/check/host.ts";
import type { Context } from "../../src/tools/check/probe.ts";
import { diskFindings } from "../../src/tools/check/probes/disk.ts";
import { memoryProbe } from "../../src/tools/check/probes/machine.ts";
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
