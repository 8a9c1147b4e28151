/** Graphs, status values, quorum and the clock, with a real rrdcached and faulty servers. */
import { CfsIpc } from "../../src/pmxcfs/requests/table.ts";
import { askRrdcached } from "../../src/tools/check/probes/cluster.ts";
import { needRoot } from "../support/identity.ts";
import { RrdcachedFixture } from "../support/rrdcached.ts";
import { startService } from "../support/service.ts";
import type { Faults } from "./servers/node.ts";
import {
  type Told,
  check,
  codesOf,
  expectFound,
  nodeCommand,
  shell,
  startNode,
  told,
} from "./support/run.ts";
import { expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

needRoot();

async function checked(faults: Faults, ...only: string[]): Promise<Told> {
  await using server = await startNode(faults);
  // Not the machine's own rrdcached, which another test may be installing or starting.
  const absent = join(tmpdir(), "no-such-rrdcached");
  const paths = { rrdSocket: join(absent, "sock"), rrdFiles: absent };
  return await check(server.name, { only, paths });
}

function rrdPaths(rrd: RrdcachedFixture) {
  return { rrdSocket: rrd.socketPath, rrdFiles: rrd.baseDirectory };
}

test("a running rrdcached answers", async () => {
  await using rrd = new RrdcachedFixture();
  await rrd.start();
  const report = await check("test-none", { only: ["rrd"], paths: rrdPaths(rrd) });
  expect(report.findings[0]?.text).toMatch(/^rrdcached answers "0 PONG" in /);
  expect(report.exit_code).toBe(0);
});

test("RRDCACHED_HUNG: a stopped rrdcached", async () => {
  await using rrd = new RrdcachedFixture();
  await rrd.start();
  rrd.signal("SIGSTOP");
  try {
    const options = { deadlineMs: 500 };
    const report = await check("test-none", { only: ["rrd"], paths: rrdPaths(rrd), options });
    expectFound(report, "RRDCACHED_HUNG", {
      line: /^rrdcached \(.*rrdcached\.sock\) did not answer within 500 ms$/,
      fix: /^systemctl restart rrdcached$/,
      exit: 2,
    });
  } finally {
    rrd.signal("SIGCONT");
  }
});

/** Connects until there is no room for a further connection that is not accepted. */
async function fill(path: string): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let isOpen = true; isOpen;) {
    const socket = connect(path);
    sockets.push(socket);
    isOpen = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
  }
  return sockets;
}

test("RRDCACHED_HUNG: so many clients wait that no further one can connect", async () => {
  await using rrd = new RrdcachedFixture();
  await rrd.start();
  rrd.signal("SIGSTOP");
  const waiting = await fill(rrd.socketPath);
  try {
    const report = await check("test-none", { only: ["rrd"], paths: rrdPaths(rrd) });
    expect(waiting.length).toBeGreaterThan(1);
    expect(codesOf(report)).toEqual(["RRDCACHED_HUNG"]);
  } finally {
    for (const socket of waiting) socket.destroy();
    rrd.signal("SIGCONT");
  }
});

test("RRDCACHED_HUNG explains a server that hangs", async () => {
  await using rrd = new RrdcachedFixture();
  await rrd.start();
  rrd.signal("SIGSTOP");
  try {
    await using server = await startNode({ silent: [CfsIpc.GET_FS_VERSION] });
    const report = await check(server.name, {
      only: ["rrd", "requests"],
      paths: rrdPaths(rrd),
      options: { deadlineMs: 500 },
    });
    expect(codesOf(report)).toEqual(["REQUEST_HUNG", "RRDCACHED_HUNG"]);
    expect(report.verdict.code).toBe("RRDCACHED_HUNG");
  } finally {
    rrd.signal("SIGCONT");
  }
});

test("RRDCACHED_ABSENT: no socket, and a socket without a listener", async () => {
  await using rrd = new RrdcachedFixture();
  const without = await check("test-none", { only: ["rrd"], paths: rrdPaths(rrd) });
  expectFound(without, "RRDCACHED_ABSENT", {
    line: /rrdcached\.sock: no such file$/,
    fix: /^systemctl restart rrdcached$/,
    exit: 1,
  });
  const gone = join(rrd.directory, "gone.sock");
  Bun.spawnSync([
    "perl",
    "-MSocket",
    "-e",
    `socket(S,AF_UNIX,SOCK_STREAM,0); bind(S,sockaddr_un("${gone}"))`,
  ]);
  const paths = { ...rrdPaths(rrd), rrdSocket: gone };
  const refused = await check("test-none", { only: ["rrd"], paths });
  expectFound(refused, "RRDCACHED_ABSENT", {
    line: /Connection refused$/,
    fix: /restart/,
    exit: 1,
  });
});

test("an rrdcached that is not open to this user is no finding", async () => {
  const listener = `require("node:net").createServer(() => {}).listen("/run/rrdcached.sock")`;
  const report = await told(`mount -t tmpfs tmpfs /run
    ${shell([process.execPath, "-e", listener])} & await test -S /var/run/rrdcached.sock
    chmod 0600 /run/rrdcached.sock
    setpriv --reuid 1000 --regid 1000 --clear-groups $CHECK --only rrd --json || true`);
  expect(report.findings.map(({ text }) => text)).toContain(
    "/var/run/rrdcached.sock is not open to this user",
  );
  expect(codesOf(report)).toEqual([]);
});

test("a reply of rrdcached is one line, however it arrives", async () => {
  await using rrd = new RrdcachedFixture();
  await rrd.start();
  expect(await askRrdcached(rrd.socketPath, "PING", 1_000)).toEqual({ text: "0 PONG" });
});

function nodeLine(secondsAgo: number, key = "pve-node-9.0/pve1"): string {
  const now = Math.floor(Date.now() / 1000);
  return `${key}:1000:0:${now - secondsAgo}:0.1:4:0.01`;
}

test("RRD_STALE: graph data that is not updated", async () => {
  const report = await checked(
    { rrd: [nodeLine(290), nodeLine(250, "pve-node-9.0/other")] },
    "rrd",
  );
  expectFound(report, "RRD_STALE", {
    line: /^the newest graph data is 25\d s old \(limit 120 s\)$/,
    fix: /, then `systemctl restart pvestatd`\.$/,
    exit: 1,
  });
});

test("RRD_OLD_FORMAT: keys from before PVE 9", async () => {
  const rrd = [nodeLine(2), nodeLine(3, "pve2-node/old1")];
  expectFound(await checked({ rrd }, "rrd"), "RRD_OLD_FORMAT", {
    line: /^1 of 2 graph keys is in the format before PVE 9 \(pve2-node\/old1\)$/,
    fix: /`pveversion`/,
    exit: 0,
  });
});

/** Graph data of a node pve1 in a cluster, whose server has run for `upS` seconds. */
async function inCluster(rrd: readonly string[], upS = 1000): Promise<Told> {
  const info = JSON.stringify({ nodename: "pve1", cluster: { name: "c", quorate: 1 } });
  return await checked({ rrd, startsIn: -upS, texts: { [CfsIpc.GET_CLUSTER_INFO]: info } }, "rrd");
}

test("RRD_STALE: a node whose pvestatd hangs is found although other nodes send data", async () => {
  const other = nodeLine(1, "pve-node-9.0/other");
  expectFound(await inCluster([nodeLine(250), other]), "RRD_STALE", {
    line: /^the newest graph data of this node is 25\d s old \(limit 120 s\)$/,
    fix: /, then `systemctl restart pvestatd`\.$/,
    exit: 1,
  });
  expectFound(await inCluster([other]), "RRD_STALE", {
    line: /^the newest graph data of this node is over 300 s old \(limit 120 s\)$/,
    fix: /, then `systemctl restart pvestatd`\.$/,
    exit: 1,
  });
  expect(codesOf(await inCluster([other], 60))).toEqual([]);
  expect(codesOf(await inCluster([nodeLine(2), nodeLine(250, "pve-node-9.0/other")]))).toEqual([]);
});

test("CLUSTER_CLOCK_DIFFERS: another node sends times that are still to come", async () => {
  const report = await inCluster([nodeLine(2), nodeLine(-600, "pve-node-9.0/other")]);
  expect(codesOf(report)).toEqual(["CLUSTER_CLOCK_DIFFERS"]);
  expectFound(report, "CLUSTER_CLOCK_DIFFERS", {
    line: /^the clock of node other is \d{3} s ahead of this node's \(limit 60 s\)$/,
    fix: /chronyc/,
    exit: 1,
  });
  expect(codesOf(await inCluster([nodeLine(-600)]))).toEqual(["CLOCK_BACKWARDS"]);
});

test("graph data without times is not judged", async () => {
  for (const line of ["pve-node-9.0/pve1:U:U:U", "pve-node-9.0/pve1", "pve-node-9.0/pve1:1:2::3"]) {
    const { findings, exit_code: exitCode } = await checked({ rrd: [line] }, "rrd");
    expect(findings.map(({ text }) => text)).toContain("the graph data has no times");
    expect(exitCode).toBe(3);
  }
});

test("CLOCK_BACKWARDS: graph data from the future", async () => {
  expectFound(await checked({ rrd: [nodeLine(-600)] }, "rrd"), "CLOCK_BACKWARDS", {
    line: /^the newest graph data is \d+ s in the future \(limit 60 s\)/,
    fix: /timedatectl/,
    exit: 1,
  });
});

test("CLOCK_BACKWARDS: the server started in the future", async () => {
  expectFound(await checked({ startsIn: 3600 }, "resources"), "CLOCK_BACKWARDS", {
    line: /^the server's start is 3\d{3} s in the future \(limit 5 s\): the clock went backwards$/,
    fix: /timedatectl/,
    exit: 1,
  });
});

test("STATUS_LARGE: a value close to 32 KiB", async () => {
  expectFound(
    await checked({ status: { tasklist: 30_000, small: 10 } }, "status"),
    "STATUS_LARGE",
    {
      line: /^status value tasklist of pve1 has 30000 bytes, 91 % of 32768$/,
      fix: /`pmxcfs-ipc call get-status --node pve1 tasklist`\.$/,
      exit: 1,
    },
  );
});

test("STATUS_KEYS_MANY: too many keys", async () => {
  expectFound(await checked({ keys: 3_500 }, "status"), "STATUS_KEYS_MANY", {
    line: /^node pve1 has 3500 status keys \(limit 3072\)$/,
    fix: /`pmxcfs-ipc call get-fs-version`\.$/,
    exit: 1,
  });
});

function clusterText(quorate: number, online: readonly number[]): string {
  const nodelist = Object.fromEntries(
    online.map((state, index) => [`n${index + 1}`, { id: index + 1, online: state }]),
  );
  const cluster = { name: "lab", version: 3, nodes: online.length, quorate };
  return JSON.stringify({ nodename: "n1", version: 5, cluster, nodelist });
}

test("NO_QUORUM: too few nodes", async () => {
  const texts = { [CfsIpc.GET_CLUSTER_INFO]: clusterText(0, [1, 0, 0]) };
  const report = await checked({ texts }, "cluster");
  expectFound(report, "NO_QUORUM", {
    line: /^cluster lab is not quorate: 1 of 3 nodes online$/,
    fix: /^Look at `pvecm status` and `corosync-cfgtool -s`/,
    exit: 2,
  });
});

test("MEMBERS_OFFLINE: one node is down", async () => {
  const texts = { [CfsIpc.GET_CLUSTER_INFO]: clusterText(1, [1, 1, 0]) };
  await using server = await startNode({ texts });
  const report = await check(server.name, { only: ["cluster"], skip: ["NODENAME_DIFFERS"] });
  expectFound(report, "MEMBERS_OFFLINE", {
    line: /^1 of 3 nodes is offline: n3$/,
    fix: /^Look at `corosync-cfgtool -s`/,
    exit: 1,
  });
});

test("a whole cluster passes", async () => {
  const texts = { [CfsIpc.GET_CLUSTER_INFO]: clusterText(1, [1, 1, 1]) };
  await using server = await startService((name) => nodeCommand(name, { texts }));
  const report = await check(server.name, { only: ["cluster"], skip: ["NODENAME_DIFFERS"] });
  expect(report.findings.map(({ text }) => text)).toEqual([
    "cluster lab is quorate, all 3 nodes online",
  ]);
});
