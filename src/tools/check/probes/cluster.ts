/**
 * What the server reports about the cluster: its own name, quorum, members, status values, clock;
 * and rrdcached, which pmxcfs waits for.
 */
import { counted } from "../../../base/counted.ts";
import { errnoOf, errnoText } from "../../../base/errno.ts";
import { CfsLimits } from "../../../base/limits.ts";
import { QbFailure } from "../../../client/failure.ts";
import { bodyOf } from "../../../pmxcfs/requests/encoding.ts";
import { isBound } from "../../../platform/bound-socket.ts";
import { NODE_GIVEN } from "../../diagnosis/codes/machine.ts";
import { getStatus } from "../../../pmxcfs/requests/rows/get-status.ts";
import { type Finding, found, pass, skip } from "../finding.ts";
import { optionValue } from "../context.ts";
import type { Context, Probe } from "../probe.ts";
import { isRecord } from "../session.ts";
import { isChroot } from "./chroot.ts";
import { connect } from "node:net";

const LARGE_PERCENT = 75;

/** A clock may be a little off between two machines, not between two processes of one. */
const CLOCK_LIMIT_S = 5;

/** Values asked for in one run; a node has about ten. */
const VALUES_ASKED = 400;

/** The node name of a server of ours is the value of --node, if it was given; else the host's. */
async function nodeName({ machine, facts }: Context, server: unknown): Promise<Finding[]> {
  const name = machine.hostName();
  if (typeof server !== "string" || server === name) return [];
  const given = optionValue(await facts.serverWords(), "--node") !== undefined;
  const asked = given && (await facts.serverKind()) === "pmxcfs-ipc";
  return [found("NODENAME_DIFFERS", { server, name }, asked ? { severity: "notice" } : {})];
}

function quorum(cluster: Record<string, unknown>, nodelist: Record<string, unknown>): Finding[] {
  const members = Object.entries(nodelist);
  const offline = members.filter(([, node]) => isRecord(node) && node["online"] !== 1);
  const nodes = members.length;
  const given = cluster["name"];
  const name = typeof given === "string" ? given : "without a name";
  const online = nodes - offline.length;
  const measures = [
    { name: "nodes_online", value: online, unit: "" },
    { name: "nodes", value: nodes, unit: "" },
  ] as const;
  const findings: Finding[] = [];
  if (cluster["quorate"] !== 1) {
    findings.push(found("NO_QUORUM", { cluster: name, online, nodes }, { measures }));
  }
  if (offline.length > 0) {
    const list = offline.map(([node]) => node).join(", ");
    findings.push(found("MEMBERS_OFFLINE", { count: offline.length, nodes, list }));
  }
  if (findings.length > 0) return findings;
  const all = nodes === 1 ? "its node is" : `all ${nodes} nodes`;
  return [pass("cluster", `cluster ${name} is quorate, ${all} online`, measures)];
}

export const clusterProbe: Probe = {
  check: "cluster",
  async run(context) {
    const { session } = context;
    const info = await session.readJson("GET_CLUSTER_INFO", context.left());
    if (info === undefined) return [skip("cluster", "no cluster information from the server")];
    const { nodename, cluster, nodelist } = info as Partial<Record<string, unknown>>;
    const name = await nodeName(context, nodename);
    if (!isRecord(cluster)) return [...name, pass("cluster", "a single node, without a cluster")];
    return [...name, ...quorum(cluster, isRecord(nodelist) ? nodelist : {})];
  },
};

/** The finding that none of the directories `nodes` is this node's. */
export async function directoryMissing(
  { facts }: Context,
  nodes: readonly string[],
): Promise<Finding> {
  const values = { name: await facts.nodeName(), others: nodes.join(", ") };
  const isGiven = (await facts.givenNode()) !== undefined;
  return found("NODE_DIRECTORY_MISSING", values, isGiven ? { advice: NODE_GIVEN } : {});
}

/** Node directories, as the mount shows them; config.db has a probe of its own. */
export const nodeDirectoryProbe: Probe = {
  check: "name",
  async run(context) {
    const { machine, facts } = context;
    const path = `${machine.paths.pve}/nodes`;
    const listed = await machine.run(["ls", "-1", path], context.left());
    const nodes = listed.out.split("\n").filter((name) => name !== "");
    const name = await facts.nodeName();
    if (listed.code !== 0 || nodes.length === 0) return [];
    if (nodes.includes(name)) return [pass("name", `${path}/${name} exists`)];
    if (await isChroot(context)) return [];
    return [await directoryMissing(context, nodes)];
  },
};

interface Key {
  readonly node: string;
  readonly key: string;
}

function keysOf(kvstore: Record<string, unknown>): Key[] {
  return Object.entries(kvstore).flatMap(([node, keys]) =>
    isRecord(keys) ? Object.keys(keys).map((key) => ({ node, key })) : [],
  );
}

function tooManyKeys(kvstore: Record<string, unknown>): Finding[] {
  const most = Math.floor((CfsLimits.statusKeys * LARGE_PERCENT) / 100);
  return Object.entries(kvstore).flatMap(([node, keys]) => {
    const count = isRecord(keys) ? Object.keys(keys).length : 0;
    return count < most ? [] : [found("STATUS_KEYS_MANY", { node, count, limit: most })];
  });
}

export const statusProbe: Probe = {
  check: "status",
  operations: 2,
  async run(context) {
    const { session, options } = context;
    const versions = await session.readJson("GET_FS_VERSION", context.left());
    const kvstore = versions?.["kvstore"];
    if (!isRecord(kvstore)) return [skip("status", "no status versions from the server")];
    const findings: Finding[] = tooManyKeys(kvstore);
    const keys = keysOf(kvstore);
    let largest = 0;
    let asked = 0;
    for (const { node, key } of keys.slice(0, VALUES_ASKED)) {
      // Half of the deadline is enough for an answer; with less time the others are not asked.
      if (context.left() < options.deadlineMs / 2) break;
      asked++;
      const body = bodyOf(getStatus, { key, node });
      const answer = await session.ask(getStatus.id, body, context.left());
      if (answer instanceof QbFailure) return [...findings, skip("status", answer.message)];
      const bytes = answer.body.length;
      largest = Math.max(largest, bytes);
      const limit = CfsLimits.statusBytes;
      const percent = Math.floor((bytes / limit) * 100);
      const values = { key, node, bytes, percent, limit };
      if (percent >= LARGE_PERCENT) findings.push(found("STATUS_LARGE", values));
    }
    const log = (await session.readBody("GET_CLUSTER_LOG", context.left()))?.length ?? 0;
    const measures = [
      { name: "status_keys", value: keys.length, unit: "" },
      { name: "status_largest_bytes", value: largest, unit: "bytes", limit: CfsLimits.statusBytes },
    ] as const;
    if (findings.length > 0) return findings;
    const some = asked === keys.length ? "" : ` (${asked} looked at)`;
    const most = `the largest ${largest} of ${CfsLimits.statusBytes} bytes`;
    const line = `${counted(keys.length, "status value")}${some}, ${most}`;
    return [pass("status", `${line}; newest log entries ${log} bytes`, measures)];
  },
};

export const clockProbe: Probe = {
  check: "resources",
  async run({ session, machine, left }) {
    const started = (await session.readJson("GET_FS_VERSION", left()))?.["starttime"];
    if (typeof started !== "number") return [];
    const seconds = Math.round(started - machine.now() / 1000);
    if (seconds > CLOCK_LIMIT_S) {
      const what = "the server's start";
      return [found("CLOCK_BACKWARDS", { what, seconds, limit: CLOCK_LIMIT_S })];
    }
    return [pass("resources", `the server started ${-seconds} s ago, by the same clock`)];
  },
};

type Reply = { readonly text: string } | { readonly code: string } | "timeout";

/** One command to rrdcached, one line back. */
export function askRrdcached(path: string, command: string, timeoutMs: number): Promise<Reply> {
  const { promise, resolve } = Promise.withResolvers<Reply>();
  const socket = connect(path);
  let text = "";
  const end = (reply: Reply) => {
    clearTimeout(timer);
    socket.destroy();
    resolve(reply);
  };
  const timer = setTimeout(() => end("timeout"), timeoutMs);
  socket.on("error", (error: NodeJS.ErrnoException) => end({ code: error.code ?? "EIO" }));
  socket.on("close", () => end({ code: "ECONNRESET" }));
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
    if (text.includes("\n")) end({ text: text.slice(0, text.indexOf("\n")) });
  });
  socket.write(`${command}\n`);
  return promise;
}

function isRefused(reply: Reply): boolean {
  return reply !== "timeout" && "code" in reply && reply.code === "ECONNREFUSED";
}

/** Whether the daemon answers on this machine. */
export const rrdcachedProbe: Probe = {
  check: "rrd",
  async run(context) {
    const { machine, options, left } = context;
    const path = machine.paths.rrdSocket;
    const used = typeof (await machine.info(machine.paths.rrdFiles)) !== "number";
    if (typeof (await machine.info(path)) === "number") {
      if (!used) return [skip("rrd", "rrdcached is not installed")];
      return [found("RRDCACHED_ABSENT", { path, reason: "no such file" })];
    }
    const started = performance.now();
    const first = await askRrdcached(path, "PING", left());
    // A daemon that has just started takes the second connection.
    // With a full queue of connections, as without a listener (bound-socket.ts).
    const isFull = isRefused(first) && isBound(path);
    const reply = isFull ? await askRrdcached(path, "PING", left()) : first;
    if (reply === "timeout" || (isFull && isRefused(reply))) {
      return [found("RRDCACHED_HUNG", { path, deadline: options.deadlineMs })];
    }
    if ("code" in reply && reply.code === "EACCES") {
      return [skip("rrd", `${path} is not open to this user`)];
    }
    if ("code" in reply) {
      return [found("RRDCACHED_ABSENT", { path, reason: errnoText(errnoOf(reply.code)) })];
    }
    const seconds = (performance.now() - started) / 1000;
    const measures = [{ name: "rrdcached_seconds", value: seconds, unit: "s" }] as const;
    const line = `rrdcached answers "${reply.text}" in ${(seconds * 1000).toFixed(2)} ms`;
    return [pass("rrd", line, measures)];
  },
};
