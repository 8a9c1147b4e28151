/** The version of corosync.conf that each of three nodes runs, with a real corosync each. */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { difference, type NodeVersion } from "../../src/tools/cluster/versions.ts";
import { corosyncConf } from "../corosync/support/corosync-conf.ts";
import { type ClusterNode, noCluster, TestCluster } from "../corosync/support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { testUnless } from "../support/unless.ts";
import { FILE, nodeTree, writeDatabase } from "./support/database.ts";
import { codesOf, expectFound, PROGRAM, type Told } from "./support/run.ts";

const reason = noCluster();
const testVersions = testUnless(reason);
const directory = mkdtempSync(join(tmpdir(), "check-versions-"));
const FILE_OF_HOST = "/etc/corosync/corosync.conf";

let cluster: TestCluster | undefined;
beforeAll(async () => {
  if (reason === undefined) cluster = await TestCluster.up(3);
}, 90_000);
afterAll(async () => {
  rmSync(directory, { recursive: true });
  await cluster?.[Symbol.asyncDispose]();
});

function node(id: number): ClusterNode {
  if (cluster === undefined) throw new Error("no cluster");
  return cluster.node(id);
}

function conf(version: number): string {
  return corosyncConf(3, (id) => `10.99.0.${id}`, version);
}

/** Sets the version in the host's file, which changes nothing until it is read. */
async function edit(ids: readonly number[], version: number): Promise<void> {
  const words = `sed -i 's/config_version: .*/config_version: ${version}/' ${FILE_OF_HOST}`;
  for (const id of ids) await node(id).sh(words);
}

async function versionsSeen(id: number): Promise<string> {
  const { stdout } = await node(id).sh("timeout 3 corosync-cmapctl runtime.members.");
  const found = [...stdout.matchAll(/members\.(\d)\.config_version \(u64\) = (\d+)/g)];
  return found.map(([, member, version]) => `${member}:${version}`).join(" ");
}

/** Every node's corosync reads its file; `seen` is what node 1 has of them then. */
async function reload(seen: string): Promise<void> {
  await node(1).run("timeout", "10", "corosync-cfgtool", "-R");
  await eventually("it was reloaded", async () => (await versionsSeen(1)) === seen, 20_000);
}

/** The check on a node, with a tree that has corosync.conf of this version. */
async function checked(id: number, tree?: number): Promise<Told> {
  await node(id).sh("rm -rf /var/lib/pve-cluster/config.db* /etc/pve/*");
  if (tree !== undefined) {
    const path = join(directory, `config-${id}-${tree}.db`);
    rmSync(path, { force: true });
    writeDatabase(path, [...nodeTree(`n${id}`), [90, 0, FILE, "corosync.conf", conf(tree)]]);
    await Bun.write(node(id).holder.path("/etc/pve/corosync.conf"), conf(tree));
    await node(id).sh(`umask 077; cp ${path} /var/lib/pve-cluster/config.db`);
  }
  const words = [...PROGRAM, "--check", "--only", "cluster", "--json", "--deadline", "10s"];
  const { stdout } = await node(id).run(...words);
  return JSON.parse(stdout) as Told;
}

function fixOf(report: Told): string {
  const found = report.findings.find(({ code }) => code === "COROSYNC_CONF_DIFFERS");
  return found?.fix ?? "none";
}

testVersions(
  "COROSYNC_CONF_DIFFERS names the node that runs another version, on every node",
  async () => {
    await edit([1, 2], 5);
    await reload("1:5 2:5 3:1");
    const report = await checked(1);
    expectFound(report, "COROSYNC_CONF_DIFFERS", {
      line: /^config_version: none in .*, 5 in .*, running n1 5, n2 5, n3 1; n3 differs$/,
      fix: /^Restart no corosync before all nodes have the same version\. /,
      exit: 1,
    });
    const { stdout, exitCode } = await node(1).run(...PROGRAM, "cluster", "status");
    expect(stdout).toContain("corosync.conf: running n1 5, n2 5, n3 1, /etc/corosync 5, ");
    expect(stdout).toMatch(/^! config_version: .*; n3 differs: restart no corosync before/m);
    expect(exitCode).toBe(1);
    // Where nothing has the newer file no command is safe.
    expect(fixOf(await checked(3))).toBe("none");
  },
  60_000,
);

testVersions(
  "COROSYNC_CONF_DIFFERS: a tree that is not this cluster's, or lacks a node, gives no command",
  async () => {
    await edit([1, 2], 5);
    const other = conf(5).replace("cluster_name: test", "cluster_name: other");
    const path = join(directory, "other.db");
    writeDatabase(path, [...nodeTree("n3"), [90, 0, FILE, "corosync.conf", other]]);
    await checked(3, 5);
    await node(3).sh(`umask 077; cp ${path} /var/lib/pve-cluster/config.db`);
    const words = [...PROGRAM, "--check", "--only", "cluster", "--json", "--deadline", "10s"];
    const { stdout } = await node(3).run(...words);
    expect(fixOf(JSON.parse(stdout) as Told)).toBe("none");
  },
  60_000,
);

testVersions(
  "COROSYNC_CONF_DIFFERS: the fix takes the tree's file, keeps the old one and restarts nothing",
  async () => {
    const pid = await node(3).corosyncPid;
    const fix = fixOf(await checked(3, 5));
    expect(fix).toMatch(/^cp .* \/etc\/pve\/corosync\.conf .* && corosync-cfgtool -R$/);
    const before = readFileSync(node(3).holder.path(FILE_OF_HOST), "latin1");
    await node(3).sh(`echo draft > ${FILE_OF_HOST}.new`);
    const { exitCode, stderr } = await node(3).sh(fix);
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    await eventually("all run 5", async () => (await versionsSeen(1)) === "1:5 2:5 3:5", 20_000);
    expect(codesOf(await checked(3, 5))).not.toContain("COROSYNC_CONF_DIFFERS");
    const kept = readFileSync(node(3).holder.path(`${FILE_OF_HOST}.~1~`), "latin1");
    expect(kept).toBe(before);
    const draft = readFileSync(node(3).holder.path(`${FILE_OF_HOST}.new.~1~`), "latin1");
    expect(draft).toBe("draft\n");
    expect(await node(3).corosyncPid).toBe(pid);
  },
  60_000,
);

testVersions(
  "COROSYNC_CONF_DIFFERS: the fix of a file that was not read is a reload",
  async () => {
    await edit([1, 2], 6);
    await reload("1:6 2:6 3:5");
    await edit([3], 6);
    const report = await checked(3);
    expect(fixOf(report)).toBe("corosync-cfgtool -R");
    expect((await node(3).sh(fixOf(report))).exitCode).toBe(0);
    await eventually("all run 6", async () => (await versionsSeen(1)) === "1:6 2:6 3:6", 20_000);
    expect(codesOf(await checked(3))).not.toContain("COROSYNC_CONF_DIFFERS");
    // An older file that was not read: a restart would read it.
    await edit([3], 4);
    const copy = fixOf(await checked(3, 6));
    expect(copy).toMatch(/^cp .*\/etc\/corosync\/corosync\.conf$/);
    expect((await node(3).sh(copy)).exitCode).toBe(0);
    expect(codesOf(await checked(3, 6))).not.toContain("COROSYNC_CONF_DIFFERS");
  },
  60_000,
);

testVersions(
  "COROSYNC_CONF_DIFFERS: a node that left with an older version is a notice, and cannot come back",
  async () => {
    await node(3).stopCorosync();
    await edit([1, 2], 7);
    await reload("1:7 2:7 3:6");
    const report = await checked(1);
    expectFound(report, "COROSYNC_CONF_DIFFERS", {
      line: /, running n1 7, n2 7, n3 6 \(left\); n3 differs$/,
      fix: /^Restart no corosync before/,
      // For the nodes without a server.
      exit: 1,
    });
    const found = report.findings.find(({ code }) => code === "COROSYNC_CONF_DIFFERS");
    expect(found?.severity).toBe("notice");
    // What the finding says of a restart.
    node(3).startCorosync();
    await eventually("it ended by itself", () => node(3).corosyncLog.includes("Exiting"), 20_000);
    await node(3).stopCorosync();
    await node(3).sh(`sed -i 's/config_version: .*/config_version: 7/' ${FILE_OF_HOST}`);
    node(3).startCorosync();
    await cluster?.agreed([1, 2, 3]);
    expect(codesOf(await checked(1))).not.toContain("COROSYNC_CONF_DIFFERS");
  },
  90_000,
);

type Shown = readonly [version: number, joined?: boolean];

function versions(...nodes: readonly Shown[]): NodeVersion[] {
  return nodes.map(([version, joined = true], at) => ({ name: `n${at + 1}`, version, joined }));
}

testUnless(undefined)(
  "the odd one is the one that most do not agree with, or the older one",
  () => {
    const same = { tree: 4, host: 4, running: 4 };
    const oddOf = (...nodes: readonly Shown[]) =>
      difference({ ...same, nodes: versions(...nodes) })?.odd;
    expect(oddOf([4], [4], [4])).toBeUndefined();
    expect(oddOf([4], [5], [4])).toBe("; n2 differs");
    expect(oddOf([4], [3])).toBe("; n2 differs");
    expect(oddOf([4], [4], [3], [2])).toBe("; n3, n4 differ");
    // A node that left is judged when it comes back; a newer one that left is no danger.
    expect(oddOf([4], [4], [5, false])).toBeUndefined();
    const here = { tree: 3, host: 4, running: 4, nodes: versions([4], [4]) };
    expect(difference(here)).toEqual({ running: "4", odd: "; /etc/pve differs", onlyLeft: false });
    const two = { tree: undefined, host: 3, running: 4, nodes: versions([4]) };
    expect(difference(two)).toEqual({ running: "4", odd: "", onlyLeft: false });
  },
);
