/**
 * Faults of clusters in the field, seen through /etc/pve, the log and the commands: a frozen
 * server, a corosync that is restarted, a tree that replaces the others', a changed address, a
 * removed node.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { schedulingOf, SHORTEST_SLICE } from "../support/scheduling.ts";
import { noPrivateNode } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";
import { type ClusterNode, noCluster } from "./support/cluster.ts";
import { LONG, limitMs } from "./support/field.ts";
import { MountedCluster } from "./support/mounted-cluster.ts";
import { ALL } from "./support/served-cluster.ts";

const reason = noCluster() ?? noPrivateNode();
const test = testUnless(reason);
/** Default deadline of a change. */
const DEADLINE_MS = 30_000;
const HOST_CONF = "/etc/corosync/corosync.conf";
/** Succeeds once /etc/pve is mounted. */
const SERVED = "test -L /etc/pve/local";
let mounted: MountedCluster;

beforeAll(async () => {
  if (reason === undefined) mounted = await MountedCluster.up();
}, 120_000);

afterAll(async () => {
  if (reason === undefined) await mounted[Symbol.asyncDispose]();
});

function at(id: number): ClusterNode {
  return mounted.at(id);
}

/** Runs a script that must succeed; returns its stdout. */
async function sh(id: number, script: string): Promise<string> {
  const { exitCode, stdout, stderr } = await at(id).sh(script);
  if (exitCode !== 0) throw new Error(`node ${id}: ${script}\n${stdout}${stderr}`);
  return stdout;
}

/** Milliseconds until a write through the mount works. */
async function writable(id: number, path: string): Promise<number> {
  const start = performance.now();
  const writes = async (): Promise<boolean> =>
    (await at(id).sh(`timeout 5 touch /etc/pve/${path}`)).exitCode === 0;
  await eventually(`node ${id} is writable`, writes, 30_000);
  return performance.now() - start;
}

/** The output of `--check` about the cluster. */
async function check(id: number): Promise<string> {
  return (await mounted.ours(id, "--check", "--only", "cluster")).stdout;
}

/**
 * Changes corosync.conf in the tree as PVE does: by a new file that is renamed over the old one.
 */
async function editConf(id: number, sed: string): Promise<void> {
  await sh(id, `cd /etc/pve && sed '${sed}' corosync.conf >corosync.conf.new`);
  await sh(id, "cd /etc/pve && mv corosync.conf.new corosync.conf");
}

/** Waits until all three config versions of a node are `version`. */
async function runs(id: number, version: number): Promise<void> {
  const wanted = `running ${version}, /etc/corosync ${version}, /etc/pve ${version}`;
  let seen = "";
  const isRunning = async (): Promise<boolean> => {
    seen = (await mounted.ours(id, "cluster", "status")).stdout;
    return seen.includes(wanted);
  };
  try {
    await eventually(`node ${id} has ${wanted}`, isRunning);
  } catch (error) {
    throw new Error(`${String(error)}\n${seen}\n${at(id).corosyncLog}`, { cause: error });
  }
}

function hostConf(id: number): string {
  return readFileSync(at(id).holder.path(HOST_CONF), "latin1");
}

describe("a frozen server", () => {
  test("blocks no reader, and a writer only up to its deadline; the log names it", async () => {
    await sh(1, "mkdir /etc/pve/frozen");
    mounted.server(3).signal("SIGSTOP");
    // The members change while it is frozen: its state message is missing.
    await mounted.server(2).stop("SIGKILL");
    await at(2).run("umount", "-l", "/etc/pve");
    mounted.restart(2);
    await eventually(
      "the stall is named",
      () => mounted.server(1).output.includes("(node n3)"),
      30_000,
    );
    // The serving thread has short slices in a synchronisation (kernels before 6.12 have none).
    const serving = await mounted.server(1).pid;
    const usual = schedulingOf(process.pid).slice;
    expect(schedulingOf(serving).slice).toBe(Math.min(SHORTEST_SLICE, usual));
    const start = performance.now();
    const creates = LONG
      ? at(1).sh("cd /etc/pve/frozen; for i in $(seq 50); do touch $i & done; wait")
      : undefined;
    const interrupted = await at(1).sh("timeout 2 touch /etc/pve/interrupted");
    expect(interrupted.exitCode).toBe(124);
    expect(performance.now() - start).toBeLessThan(limitMs(2500));
    if (!LONG) {
      const states = "cat /proc/[0-9]*/status 2>/dev/null | grep '^State:'";
      expect((await at(1).sh(states)).stdout).not.toContain("D (disk sleep)");
    }
    const looks = await sh(
      1,
      `for i in $(seq 20); do for look in 'ls -l' stat df; do
           from=$(date +%s%N); $look /etc/pve >/dev/null; echo $((($(date +%s%N) - from) / 1000))
         done; done`,
    );
    const longest = Math.max(...looks.trim().split("\n").map(Number));
    expect(longest / 1000).toBeLessThan(limitMs(50));
    const status = await mounted.ours(1, "cluster", "status");
    expect(status.stdout).toMatch(/dcdb: 3\/\d+ \(node n3\) has not answered for \d+ s/);
    expect(await check(1)).toMatch(/wait for the state of\s+3\/\d+\s+\(node\s+n3\)/);
    if (creates !== undefined) {
      expect((await creates).stderr).toContain("Device or resource busy");
      expect(performance.now() - start).toBeLessThan(DEADLINE_MS + limitMs(2000));
    }
    mounted.server(3).signal("SIGCONT");
    expect(await writable(1, "thawed")).toBeLessThan(limitMs(1000));
    await mounted.allOnline();
    await eventually("usual slices", () => schedulingOf(serving).slice === usual);
    await mounted.sameFiles();
  }, 120_000);
});

describe("a corosync that is restarted again and again", () => {
  const rounds = LONG ? 30 : 2;
  const everyMs = LONG ? 10_000 : 0;
  test(
    "makes its node writable again each time, while the others write",
    async () => {
      const writers = [2, 3].map((id) =>
        at(id).sh(`n=0; while [ ! -e /run/enough ]; do
          echo $n >/etc/pve/writer-${id} && n=$((n + 1)); done; echo $n`),
      );
      for (let round = 0; round < rounds; round++) {
        const start = performance.now();
        await at(1).stopCorosync();
        at(1).startCorosync();
        await eventually("it is back", async () => (await at(1).view()).quorate, 30_000);
        expect(await writable(1, `round-${round}`)).toBeLessThan(limitMs(5000));
        await eventually("the next round", () => performance.now() - start > everyMs, 20_000);
      }
      for (const id of [2, 3]) await sh(id, "touch /run/enough");
      for (const { stdout } of await Promise.all(writers))
        expect(Number(stdout)).toBeGreaterThan(0);
      await mounted.allOnline();
      await mounted.sameFiles();
    },
    120_000 + rounds * 20_000,
  );
});

describe("a tree that was changed in local mode", () => {
  test("replaces the others'; the backup that was kept restores all guests", async () => {
    await sh(
      1,
      `mkdir -p /etc/pve/nodes/n1/qemu-server; cd /etc/pve/nodes/n1/qemu-server
       for id in 100 101; do echo "name: vm$id" >$id.conf; done`,
    );
    await mounted.sameFiles();
    await mounted.server(3).stop();
    mounted.restart(3, "-l");
    await eventually("it serves", async () => (await at(3).sh(SERVED)).exitCode === 0);
    await sh(3, "rm -rf /etc/pve/nodes/n1 && touch /etc/pve/newer");
    await mounted.server(3).stop();
    mounted.restart(3);
    await mounted.allOnline();
    await eventually("overruled", async () => {
      return (await at(1).sh("ls /etc/pve/nodes/n1")).exitCode !== 0;
    });
    const guests = "nodes/n1/qemu-server/100.conf, nodes/n1/qemu-server/101.conf";
    // Node 2 may commit after node 1.
    for (const id of [1, 2]) {
      await eventually(`node ${id} says which guests are gone`, () => {
        return mounted.server(id).output.includes(`guests that are gone: ${guests}`);
      });
    }
    const copy = /the database as it was: (\S+)/.exec(mounted.server(1).output)?.[1] ?? "none";
    const differs = await mounted.ours(1, "config", "diff", copy, "/var/lib/pve-cluster/config.db");
    expect(differs.stdout).toContain("- nodes/n1/qemu-server/100.conf");
    const exported = await mounted.ours(1, "config", "export", "--db", copy, "/run/exported");
    expect(exported.stderr).toBe("");
    await sh(1, "cp -r /run/exported/nodes/n1 /etc/pve/nodes/");
    await mounted.sameFiles();
    for (const id of ALL) {
      expect(await sh(id, "cat /etc/pve/nodes/n1/qemu-server/101.conf")).toBe("name: vm101\n");
    }
  }, 90_000);
});

describe("corosync.conf", () => {
  test("that differs is reported with three versions before a corosync restart", async () => {
    await mounted.server(3).stop();
    mounted.restart(3, "-l");
    await eventually("it serves", async () => (await at(3).sh(SERVED)).exitCode === 0);
    const before = hostConf(3);
    await editConf(3, "s/config_version: .*/config_version: 7/");
    const status = await mounted.ours(3, "cluster", "status");
    expect(status.stdout).toContain("corosync.conf: running 1, /etc/corosync 1, /etc/pve 7");
    expect(await check(3)).toMatch(/\/etc\/pve\s+differs/);
    expect(hostConf(3)).toBe(before);
    // It has a higher version: all nodes and corosync take it over.
    await mounted.server(3).stop();
    mounted.restart(3);
    await mounted.allOnline();
    for (const id of ALL) {
      await eventually("it is on the host", () => hostConf(id).includes("config_version: 7"));
    }
    await at(3).run("corosync-cfgtool", "-R");
    for (const id of ALL) await runs(id, 7);
  }, 90_000);
});

describe("a node", () => {
  test("with a new address is shown with it on all nodes, without a restart", async () => {
    for (const id of ALL) {
      await sh(id, "sed 's/^10.99.0.2 n2/10.99.0.22 n2/' /etc/hosts >/run/h; cp /run/h /etc/hosts");
    }
    await editConf(
      1,
      "s/config_version: .*/config_version: 8/; s/addr: 10.99.0.2$/addr: 10.99.0.22/",
    );
    for (const id of ALL) await eventually("written", () => hostConf(id).includes("10.99.0.22"));
    // A running corosync does not take a new address: all have to be restarted.
    for (const id of ALL) await at(id).stopCorosync();
    await sh(2, "ip addr del 10.99.0.2/24 dev eth0; ip addr add 10.99.0.22/24 dev eth0; true");
    for (const id of ALL) at(id).startCorosync();
    await mounted.cluster.agreed(ALL);
    const start = performance.now();
    for (const id of ALL) {
      await eventually(
        `node ${id} has it`,
        async () => /"n2".*10\.99\.0\.22"/.test(await sh(id, "cat /etc/pve/.members")),
        30_000,
      );
    }
    expect(performance.now() - start).toBeLessThan(limitMs(10_000));
    expect(await check(2)).not.toContain("is on no interface");
  }, 120_000);

  test("that was removed from the list is reported with the guests in its directory", async () => {
    await sh(
      1,
      `mkdir -p /etc/pve/nodes/n3/lxc; echo 'arch: amd64' >/etc/pve/nodes/n3/lxc/303.conf`,
    );
    await mounted.server(3).stop();
    await at(3).stopCorosync();
    await editConf(
      1,
      ":a; N; $!ba; s/ node {\\n *name: n3[^}]*}//; s/config_version: [0-9]*/config_version: 9/",
    );
    await eventually("it is named", async () => /n3.*303/s.test(await check(1)), 30_000);
    const status = await mounted.ours(1, "cluster", "status");
    expect(status.stdout).not.toContain("n3");
  }, 90_000);
});
