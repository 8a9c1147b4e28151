/** The configuration of corosync, with a real corosync on a node of its own. */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { corosyncConf } from "../corosync/support/corosync-conf.ts";
import { type ClusterNode, noCluster, TestCluster } from "../corosync/support/cluster.ts";
import { testUnless } from "../support/unless.ts";
import { FILE, DIRECTORY, nodeTree, type Row, writeDatabase } from "./support/database.ts";
import {
  codesOf,
  expectFound,
  nodeCommand,
  PROGRAM,
  shell,
  type Told,
  told,
} from "./support/run.ts";

const testCluster = testUnless(noCluster());

const directory = mkdtempSync(join(tmpdir(), "check-corosync-"));
afterAll(() => rmSync(directory, { recursive: true }));

let cluster: TestCluster | undefined;
beforeAll(async () => {
  if (noCluster() === undefined) cluster = await TestCluster.up(1);
}, 60_000);
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

function node(): ClusterNode {
  if (cluster === undefined) throw new Error("no cluster");
  return cluster.node(1);
}

/** Runs the check on the node, with a tree whose corosync.conf has this version. */
async function checked(version: number, rows: readonly Row[] = []): Promise<Told> {
  const conf = corosyncConf(1, () => "10.99.0.1", version);
  // Made outside and copied: SQLite resolves a path into the node to one outside of it.
  const path = join(directory, `config-${version}-${rows.length}.db`);
  rmSync(path, { force: true });
  writeDatabase(path, [...nodeTree("n1"), [90, 0, FILE, "corosync.conf", conf], ...rows]);
  await node().sh(`rm -f /var/lib/pve-cluster/config.db*; umask 077
    cp ${path} /var/lib/pve-cluster/config.db`);
  const words = [...PROGRAM, "--check", "--only", "cluster", "--json", "--deadline", "10s"];
  const { stdout } = await node().run(...words);
  return JSON.parse(stdout) as Told;
}

testCluster("the same version in all three places passes", async () => {
  const report = await checked(1);
  expect(codesOf(report)).toEqual([]);
  expect(report.findings.map(({ text }) => text)).toContain(
    "corosync runs with config_version 1, 1 node in its list",
  );
});

testCluster("COROSYNC_CONF_DIFFERS: the tree was changed without quorum", async () => {
  expectFound(await checked(4), "COROSYNC_CONF_DIFFERS", {
    line: /^config_version: 4 in \/etc\/pve, 1 in \/etc\/corosync, running 1; \/etc\/pve differs$/,
    fix: /^Restart no corosync before all nodes have the same version\. /,
    exit: 1,
  });
});

testCluster("COROSYNC_CONF_DIFFERS: nothing is written to the host by the check", async () => {
  const before = await node().sh("sha256sum /etc/corosync/corosync.conf");
  await checked(9);
  expect((await node().sh("sha256sum /etc/corosync/corosync.conf")).stdout).toBe(before.stdout);
});

testCluster("COROSYNC_UNREACHABLE: this node's copy of corosync.conf was removed", async () => {
  const path = join(directory, "alone.db");
  const conf = corosyncConf(1, () => "10.99.0.1", 1);
  writeDatabase(path, [...nodeTree("n1"), [90, 0, FILE, "corosync.conf", conf]]);
  const report = await told(`own_etc; rm -rf /etc/corosync; mount -t tmpfs tmpfs /var/lib
    mkdir /var/lib/pve-cluster; cp ${path} /var/lib/pve-cluster/config.db
    $CHECK --only cluster --json || true`);
  expectFound(report, "COROSYNC_UNREACHABLE", {
    line: /services of corosync do not answer: /,
    fix: /^There is no \/etc\/corosync\/corosync\.conf, .*`systemctl restart pve-cluster`, then /,
    exit: 2,
  });
});

testCluster("NODE_GONE: a directory without a node, with its guests", async () => {
  const report = await checked(1, [
    [91, 1, DIRECTORY, "old"],
    [92, 91, DIRECTORY, "qemu-server"],
    [93, 92, FILE, "117.conf", "memory: 1\n"],
  ]);
  expectFound(report, "NODE_GONE", {
    line: /^nodes\/old is there, but old is no node of the cluster; its guests: 117$/,
    fix: /one by one, with mv/,
    exit: 0,
  });
});

testCluster("LOCK_OF_GONE_NODE: not the lock of a member", async () => {
  const report = await checked(1, [
    [91, 0, DIRECTORY, "priv"],
    [92, 91, DIRECTORY, "lock"],
    [93, 92, DIRECTORY, "file-user_cfg", "", { writer: 7 }],
    [94, 92, DIRECTORY, "file-storage_cfg", "", { writer: 1 }],
  ]);
  expect(codesOf(report)).toEqual(["LOCK_OF_GONE_NODE"]);
  expectFound(report, "LOCK_OF_GONE_NODE", {
    line: /^priv\/lock\/file-user_cfg was taken by node id 7, which is no node .* \(\d+ s old\)$/,
    fix: /^120 s after its last refresh others may take the lock/,
    exit: 0,
  });
});

testCluster("LOCK_FROM_FUTURE: a lock that a clock which went back cannot refresh", async () => {
  const mtime = Math.floor(Date.now() / 1000) + 3600;
  const report = await checked(1, [
    [91, 0, DIRECTORY, "priv"],
    [92, 91, DIRECTORY, "lock"],
    [93, 92, DIRECTORY, "ha_agent_n1_lock", "", { writer: 1, mtime }],
    [94, 92, DIRECTORY, "file-storage_cfg", "", { writer: 1 }],
  ]);
  expect(codesOf(report)).toEqual(["LOCK_FROM_FUTURE"]);
  expectFound(report, "LOCK_FROM_FUTURE", {
    line: /^priv\/lock\/ha_agent_n1_lock, taken by node id 1, has a time \d{4} s after now/,
    fix: /chronyc tracking/,
    exit: 1,
  });
});

testCluster("NODE_ADDRESS_GONE: pmxcfs has an old address of the node", async () => {
  const info = {
    nodename: "n1",
    version: 3,
    cluster: { name: "test", version: 1, nodes: 1, quorate: 1 },
    nodelist: { n1: { id: 1, online: 1, ip: "10.99.0.77" } },
  };
  const server = shell(nodeCommand("pve2", { node: "n1", texts: { 2: JSON.stringify(info) } }));
  const words = shell([...PROGRAM, "--check", "--only", "cluster", "--json", "--deadline", "10s"]);
  const { stdout } = await node().sh(`${server} > /dev/null & pid=$!
    for i in $(seq 500); do grep -q @pve2 /proc/net/unix && break; sleep 0.02; done
    ${words}; kill $pid`);
  expectFound(JSON.parse(stdout) as Told, "NODE_ADDRESS_GONE", {
    line: /^pmxcfs has 10\.99\.0\.77 for n1, which is on no interface of this machine$/,
    fix: /^Correct the line of n1 in \/etc\/hosts, then `systemctl restart pve-cluster`\.$/,
    exit: 1,
  });
});
