/**
 * The replicated part of a node: its config.db, its status and its cluster, driven by commands.
 * Arguments: `--deadline MS`, `--local` (no cluster, as pmxcfs -l), `--moved MS` (to 10.99.7.ID,
 * which the name service needs so long to say).
 */
import { parseArgs } from "node:util";
import { hostname } from "node:os";
import { Histogram } from "../../../src/base/histogram.ts";
import { createLog } from "../../../src/base/log.ts";
import { drained } from "../../../src/base/steps.ts";
import { stopRequested } from "../../../src/platform/signals.ts";
import { LocalReplicator } from "../../../src/pmxcfs/replication/local.ts";
import { ClusterReplicator } from "../../../src/pmxcfs/replication/services/cluster-replicator.ts";
import { Cluster } from "../../../src/pmxcfs/replication/services/cluster.ts";
import { ClusterLog } from "../../../src/pmxcfs/state/cluster-log.ts";
import { Rrd } from "../../../src/pmxcfs/state/rrd-values.ts";
import { Status } from "../../../src/pmxcfs/state/status.ts";
import { openBackend } from "../../../src/pmxcfs/store/open.ts";
import { say, serveCommands } from "../support/json-commands.ts";
import type { Measured, NodeCommand, NodeCommandOf } from "../support/node-server.ts";

// A process cannot have its own system clock, so the functions that return the time are replaced.
const wall = Date.now;
let shiftMs = 0;
Date.now = () => wall() + shiftMs;

const { values } = parseArgs({
  options: { deadline: { type: "string" }, local: { type: "boolean" }, moved: { type: "string" } },
});
const log = createLog({ level: "debug", format: "plain" });
const own = "/var/lib/pve-cluster/config.db";
const nodeName = hostname();
const backend = openBackend({ own, nodeName, log });
if (typeof backend === "string") throw new Error(backend);
if (backend.tree === undefined) throw new Error("not a tree of this node's own");
const { tree, memdb, members, versions } = backend;
const rrd = new Rrd();
const status = new Status({ members, rrd });
const clusterLog = new ClusterLog({ nodeName, pid: process.pid });

async function address(): Promise<string> {
  const id = nodeName.slice(1);
  if (values.moved === undefined) return `10.99.0.${id}`;
  await Bun.sleep(Number(values.moved));
  return `10.99.7.${id}`;
}

const cluster = new Cluster({
  tree,
  members,
  status,
  clusterLog,
  address,
  log,
  ...(values.deadline === undefined ? {} : { deadlineMs: Number(values.deadline) }),
});
const local = values.local === true;
const replicator = local
  ? new LocalReplicator({ tree, status, clusterLog })
  : new ClusterReplicator(cluster, tree);

function checksum(): string {
  const step = drained(tree.index.startChecksum());
  for (;;) {
    const sum = step(1000);
    if (sum !== undefined) return Buffer.from(sum).toString("hex");
  }
}

async function timed(path: string): Promise<{ result: number; ms: number }> {
  const start = performance.now();
  const result = await replicator.propose({ kind: "create", path });
  return { result, ms: performance.now() - start };
}

const NS_PER_MS = 1e6;

/**
 * Calls `one` repeatedly for a time and at least `least` times, with a pause after each; returns
 * how long the calls took.
 */
async function measured(
  forMs: number,
  pauseMs: number,
  one: (at: number) => number | Promise<number>,
  least = 0,
): Promise<Measured> {
  const times = new Histogram();
  let failed = 0;
  const before = process.memoryUsage.rss();
  const end = performance.now() + forMs;
  while (performance.now() < end || times.total < least) {
    const start = Bun.nanoseconds();
    const hasFailed = (await one(times.total)) < 0;
    times.record(Bun.nanoseconds() - start);
    if (hasFailed) failed++;
    // Without a pause, calls that fail at once would keep the event loop from noticing a recovery.
    if (pauseMs > 0 || hasFailed) await Bun.sleep(pauseMs);
  }
  const grown = process.memoryUsage.rss() - before;
  return { count: times.total, failed, p99: times.quantile(0.99) / NS_PER_MS, grown };
}

async function interrupted(path: string, afterMs: number): Promise<unknown> {
  const signal = AbortSignal.timeout(afterMs);
  const start = performance.now();
  const result = await replicator.propose({ kind: "create", path }, undefined, signal);
  return { result, ms: performance.now() - start };
}

const operations: { [K in NodeCommand["op"]]: (command: NodeCommandOf<K>) => unknown } = {
  write: ({ path, text }) =>
    replicator.propose({ kind: "write", path, offset: 0, data: Buffer.from(text) }),
  create: ({ path }) => replicator.propose({ kind: "create", path }),
  mkdir: ({ path }) => replicator.propose({ kind: "mkdir", path }),
  remove: ({ path }) => replicator.propose({ kind: "remove", path }),
  truncate: ({ path, size }) => replicator.propose({ kind: "truncate", path, size }),
  rename: ({ path, to }) => replicator.propose({ kind: "rename", path, to }),
  utime: ({ path, mtime }) => replicator.propose({ kind: "utime", path, mtime }),
  read: ({ path }) => Buffer.from(memdb.read(path) ?? "none").toString("latin1"),
  burst: ({ path, count }) =>
    Promise.all(Array.from({ length: count }, (_, at) => timed(`${path}${at}`))),
  stream: ({ path, forMs }) =>
    measured(forMs, 0, (at) =>
      replicator.propose({ kind: "write", path, offset: 0, data: Buffer.from(`${at}`) }),
    ),
  keys: ({ perSecond, forMs, keys }) =>
    measured(
      forMs,
      1000 / perSecond,
      (at) => replicator.setStatus(`k${at % keys}`, Buffer.from(`value ${at}`)),
      keys,
    ),
  interrupted: ({ path, afterMs }) => interrupted(path, afterMs),
  set: ({ name, text }) => replicator.setStatus(name, Buffer.from(text)),
  get: ({ node, name }) => Buffer.from(status.get(node, name) ?? "none").toString("latin1"),
  shift: ({ ms }) => void (shiftMs = ms),
  log: ({ text }) =>
    replicator.log({
      priority: 6,
      user: "root@pam",
      tag: "test",
      message: text,
      pid: process.pid,
    }),
  entries: () => (JSON.parse(clusterLog.dump("", 500).toString()) as { data: object[] }).data,
  members: () => JSON.parse(Buffer.from(members.clusterInfo()).toString()) as object,
  view: () => cluster.view,
  state: () => ({ version: tree.version, checksum: checksum() }),
  verify: () => cluster.verify(),
  counters: () => ({ clinfo: versions.clinfo, vmlist: versions.vmlist }),
};

function perform<K extends NodeCommand["op"]>(op: K, command: NodeCommandOf<K>): unknown {
  return operations[op](command);
}

void stopRequested().then(async () => {
  await cluster.stop();
  backend[Symbol.dispose]();
  process.exit(0);
});
if (!local) {
  tree.enterCluster();
  cluster.start();
}
say({ event: "started" });
await serveCommands((command: NodeCommand) => perform(command.op, command));
