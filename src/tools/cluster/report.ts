/**
 * The content of `cluster status`: corosync's view, the state of this node's server if it is ours,
 * and the problems found, each with its remedy.
 */
import { COROSYNC_CONF, PVE } from "../../base/paths.ts";
import { readRegularFileAsync } from "../../platform/regular-file.ts";
import { type CorosyncConfig, parseCorosyncConf } from "../../pmxcfs/state/corosync-conf.ts";
import type { ClusterFacts } from "../../pmxcfs/state/members.ts";
import type { CpgMember } from "../../corosync/fragments.ts";
import { WHILE_SYNCING, WHILE_UPDATING } from "../../pmxcfs/replication/group-status.ts";
import type { ClusterStatus } from "../../pmxcfs/replication/services/cluster.ts";
import { localMachine } from "../check/host.ts";
import type { CorosyncView } from "./corosync-view.ts";
import { progressText } from "./progress.ts";
import { catchUp, type ConfigVersions, difference, shownVersion } from "./versions.ts";

/** One node of the cluster, and which of pmxcfs's groups it is in. */
export interface NodeRow {
  readonly id: number;
  readonly name: string;
  readonly votes: number;
  /** True for this node. */
  readonly own: boolean;
  /** True if the node is in this partition. */
  readonly reachable: boolean;
  /** pid of its server in the group; undefined if it has none there. */
  readonly dcdb: number | undefined;
  readonly status: number | undefined;
}

export interface ClusterReport {
  readonly schema_version: 1;
  readonly name: string;
  readonly quorate: boolean;
  readonly nodes: readonly NodeRow[];
  readonly versions: ConfigVersions;
  /** This node's server, if it is one of ours. */
  readonly server: ClusterStatus | undefined;
  /** The problems, one line each. */
  readonly problems: readonly string[];
}

function parsed(bytes: Uint8Array): CorosyncConfig | undefined {
  const config = parseCorosyncConf(Buffer.from(bytes).toString("latin1"));
  return typeof config === "string" ? undefined : config;
}

/** corosync.conf in both places of this node; undefined if absent or not readable. */
export interface ConfigFiles {
  readonly host: CorosyncConfig | undefined;
  readonly tree: CorosyncConfig | undefined;
  /** The read of the tree's file did not end in time. */
  readonly isTreeSilent?: boolean;
}

/** Time limit of a read from /etc/pve. */
const TREE_MS = 2_000;
/** Most that is read of the tree's file. */
const TREE_BYTES = 128 * 1024;

/**
 * Reads both files. That of the tree is read by a child: /etc/pve hangs with its server, and a read
 * that waits for it cannot be ended.
 */
export async function readConfigFiles(
  paths = { host: COROSYNC_CONF, tree: `${PVE.mount}/corosync.conf` },
  treeMs = TREE_MS,
): Promise<ConfigFiles> {
  const host = await readRegularFileAsync(paths.host).then(parsed, () => undefined);
  const read = ["head", "-c", String(TREE_BYTES), paths.tree];
  const { code, out, timedOut } = await localMachine().run(read, treeMs);
  const tree = code === 0 ? parsed(Buffer.from(out)) : undefined;
  return { host, tree, isTreeSilent: timedOut };
}

/** The versions of corosync.conf on this node, and of each node's corosync. */
export function versionsOf(
  { facts, running }: Pick<CorosyncView, "facts" | "running">,
  { host, tree }: ConfigFiles,
): ConfigVersions {
  return {
    tree: tree?.configVersion,
    host: host?.configVersion,
    running: facts.configVersion,
    nodes: running.map(({ id, version, joined }) => {
      return { name: nodeName(facts, id), version, joined };
    }),
  };
}

/** True if the tree's file is of this cluster and has every node that this node's corosync has. */
export function treeFits({ facts }: Pick<CorosyncView, "facts">, { tree }: ConfigFiles): boolean {
  if (tree === undefined || tree.clusterName !== facts.clusterName) return false;
  const ids = new Set(tree.nodes.map(({ id }) => id));
  return facts.nodes.every(({ id }) => ids.has(id));
}

/** The name of a node, or its id where corosync has none. */
export function nodeName({ nodes }: Pick<ClusterFacts, "nodes">, id: number): string {
  return nodes.find((node) => node.id === id)?.name ?? `id ${id}`;
}

function pidOf(members: readonly CpgMember[], id: number): number | undefined {
  return members.find(({ nodeid }) => nodeid === id)?.pid;
}

function versionProblem(versions: ConfigVersions, fits: boolean): string[] {
  const found = difference(versions);
  if (found === undefined) return [];
  const line =
    `config_version: ${shownVersion(versions.tree)} in /etc/pve, ` +
    `${shownVersion(versions.host)} in /etc/corosync, running ${found.running}${found.odd}: `;
  const command = catchUp(versions, fits);
  if (command !== undefined) return [`${line}on this node: ${command}`];
  return [
    `${line}restart no corosync before all nodes have the highest version; see pmxcfs-ipc --check`,
  ];
}

function ghosts({ groups, partition, facts }: CorosyncView): string[] {
  const here = new Set(partition);
  const name = (id: number): string => nodeName(facts, id);
  const stray = [...groups.dcdb, ...groups.status].filter(({ nodeid }) => !here.has(nodeid));
  return [...new Set(stray.map(({ nodeid, pid }) => `${nodeid}/${pid}`))].map(
    (member) =>
      `${member} (node ${name(Number(member.split("/")[0]))}) is in a group, but its node is not ` +
      "in this partition: a ghost. Restart corosync on the remaining members, one at a time",
  );
}

function missing(server: ClusterStatus | undefined, nodes: readonly NodeRow[]): string[] {
  const name = (id: number): string => nodeName({ nodes }, id);
  return (["dcdb", "status"] as const).flatMap((group) => {
    const status = server?.groups[group];
    if (status === undefined || status.missing.length === 0) return [];
    const waits = status.mode === "update" ? WHILE_UPDATING : WHILE_SYNCING[group];
    return status.missing.map(
      ({ nodeid, pid, silentMs }) =>
        `${group}: ${nodeid}/${pid} (node ${name(nodeid)}) has not answered for ` +
        `${Math.floor(silentMs / 1000)} s (${progressText(status, name)}): ` +
        `until it does, ${waits}. Restart its server if it hangs`,
    );
  });
}

/** Composes the report from the parts. */
export function reportOf(
  view: CorosyncView,
  files: ConfigFiles,
  server: ClusterStatus | undefined,
): ClusterReport {
  const { facts, groups, partition, nodeid, quorate } = view;
  const versions = versionsOf(view, files);
  const nodes = facts.nodes.map(({ id, name, votes }) => ({
    id,
    name,
    votes,
    own: id === nodeid,
    reachable: partition.includes(id),
    dcdb: pidOf(groups.dcdb, id),
    status: pidOf(groups.status, id),
  }));
  const absent = nodes
    .filter((node) => node.reachable && (node.dcdb === undefined || node.status === undefined))
    .map(
      ({ name }) =>
        `node ${name} is reachable, but no pmxcfs of it is in both groups: check that it runs`,
    );
  const problems = [
    ...(quorate ? [] : ["no quorum: /etc/pve is read-only on this node"]),
    ...(files.isTreeSilent === true ? ["/etc/pve does not answer: see pmxcfs-ipc --check"] : []),
    ...absent,
    ...ghosts(view),
    ...missing(server, nodes),
    ...versionProblem(versions, treeFits(view, files)),
  ];
  return {
    schema_version: 1,
    name: facts.clusterName,
    quorate,
    nodes,
    versions,
    server,
    problems,
  };
}
