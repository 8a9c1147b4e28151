/**
 * A service manager with a descriptor store (manager.py) keeps the mount while its server is
 * restarted or killed: processes in the mount notice neither, and every change is made exactly
 * once.
 */
import { expect } from "bun:test";
import { accessSync, constants, existsSync, mkdirSync, rmdirSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";
import { REPOSITORY } from "../support/native.ts";
import { noPrivateNode, PrivateNode, type Ran } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";

/** Runs everything at full length, which takes minutes. */
const SLOW = process.env["PMXCFS_SLOW_TESTS"] !== undefined;

/** Where control groups are made: the one hierarchy of version 2, or one of version 1. */
const GROUPS = ["/sys/fs/cgroup", "/sys/fs/cgroup/pids"].find((path) => {
  return existsSync(join(path, "cgroup.procs"));
});

/** The reason why these tests cannot run here, or undefined. */
function noManagedNode(): string | undefined {
  const missing = noPrivateNode();
  if (missing !== undefined) return missing;
  if (GROUPS === undefined) return "needs control groups in /sys/fs/cgroup";
  try {
    accessSync(GROUPS, constants.W_OK);
    return undefined;
  } catch {
    return `needs the right to make control groups in ${GROUPS}`;
  }
}

/**
 * Runs a script of this directory in a node, with a control group for the server: the server finds
 * its unit by its control group, and asks the manager whether that unit is being restarted.
 */
async function runManaged(script: string, ...words: string[]): Promise<Ran> {
  const group = `${GROUPS}/pmxcfs-ipc-test-${process.pid}`;
  const unit = `${group}/pve-cluster.service`;
  mkdirSync(unit, { recursive: true });
  try {
    await using node = await PrivateNode.start();
    const path = join(REPOSITORY, "test", "mount", script);
    return await node.run(["python3", path, unit, ...words], SLOW ? 600_000 : 80_000);
  } finally {
    await eventually("the control group is empty", () => {
      try {
        rmdirSync(unit);
        rmdirSync(group);
        return true;
      } catch {
        return false;
      }
    });
  }
}

/** FUSE_NOTIFY_RESEND came with Linux 6.9. */
function lacksResend(): string | undefined {
  const [major = 0, minor = 0] = release().split(".").map(Number.parseFloat);
  const has = major > 6 || (major === 6 && minor >= 9);
  return has ? undefined : `needs Linux 6.9, this is ${release()}`;
}

const said = ({ exitCode, stdout, stderr }: Ran): string =>
  `${exitCode} ${stdout}${exitCode === 0 ? "" : stderr}`;

const testOnNode = testUnless(noManagedNode());
const testCrash = testUnless(noManagedNode() ?? lacksResend());

testOnNode(
  "processes in the mount do not notice a restart by a service manager",
  async () => {
    expect(said(await runManaged("restarts.py", SLOW ? "50" : "12"))).toMatch(
      /^0 \d+ restarts, \d+ operations, no error, longest \d+\.\d+ s, versions without a gap\n$/,
    );
  },
  90_000,
);

testOnNode(
  "a mount that another version left is replaced when it cannot be taken over",
  async () => {
    expect(said(await runManaged("unknown-descriptor.py"))).toBe("0 kept True\n");
  },
);

testCrash(
  "processes in the mount do not notice a server killed at random moments, and lose no change",
  async () => {
    const seed = String(Math.floor(Math.random() * 1e6));
    const ran = await runManaged("crashes.py", seed, "storm", SLOW ? "500" : "20");
    expect(`seed ${seed}: ${said(ran)}`).toMatch(
      /^seed \d+: 0 \d+ operations, \d+ changes, \d+ entries, equal\n$/,
    );
  },
  90_000,
);

testUnless(noManagedNode() ?? lacksResend() ?? (Bun.which("strace") ? undefined : "needs strace"))(
  "when a server is killed before an answer, the next one gives it and makes no change twice",
  async () => {
    expect(said(await runManaged("crashes.py", "1", "answers"))).toMatch(
      /^0 \d+ answers of \d+ kinds lost, no error\n$/,
    );
  },
  90_000,
);

testCrash(
  "a mount that was aborted before the take-over is mounted anew, and every change is made",
  async () => {
    expect(said(await runManaged("crashes.py", "1", "aborted"))).toBe("0 0 of 600 files lost\n");
  },
  90_000,
);
