/**
 * The content of `cluster status`: corosync's view, this node's server (when it is ours), and
 * problems between the two, each with what to do.
 */
import { readRegularFile } from "../../platform/regular-file.ts";
import { parseCorosyncConf } from "../../pmxcfs/state/corosync-conf.ts";
import type { CpgMember } from "../../corosync/fragments.ts";
import type { ClusterStatus } from "../../pmxcfs/replication/services/cluster.ts";
import type { CorosyncView } from "./corosync-view.ts";

/** One node of the cluster, and which of pmxcfs's groups it is in. */
export interface NodeRow {
  readonly id: number;
  readonly name: string;
  readonly votes: number;
  /** This node. */
  readonly own: boolean;
  /** In this partition. */
  readonly reachable: boolean;
  /** pid of its server in the group; undefined: it has none there. */
  readonly dcdb: number | undefined;
  readonly status: number | undefined;
}

/** corosync.conf as three places have it; undefined: not there, or not readable. */
export interface ConfigVersions {
  readonly running: number;
  readonly host: number | undefined;
  readonly tree: number | undefined;
}

export interface ClusterReport {
  readonly schema_version: 1;
  readonly name: string;
  readonly quorate: boolean;
  readonly nodes: readonly NodeRow[];
  readonly versions: ConfigVersions;
  /** This node's server, when it is one of ours. */
  readonly server: ClusterStatus | undefined;
  /** What is wrong, one line each. */
  readonly problems: readonly string[];
}

function versionIn(path: string): number | undefined {
  try {
    const config = parseCorosyncConf(readRegularFile(path).toString("latin1"));
    return typeof config === "string" ? undefined : config.configVersion;
  } catch {
    return undefined;
  }
}

/** The three versions of corosync.conf on this node. */
export function configVersions(
  running: number,
  paths = { host: "/etc/corosync/corosync.conf", tree: "/etc/pve/corosync.conf" },
): ConfigVersions {
  return { running, host: versionIn(paths.host), tree: versionIn(paths.tree) };
}

function pidOf(members: readonly CpgMember[], id: number): number | undefined {
  return members.find(({ nodeid }) => nodeid === id)?.pid;
}

/** A version, or a word for one that does not exist. */
export function shown(version: number | undefined): string {
  return version === undefined ? "?" : `${version}`;
}

function versionProblem({ running, host, tree }: ConfigVersions): string[] {
  const known = [running, host, tree].filter((version) => version !== undefined);
  if (new Set(known).size <= 1) return [];
  return [
    `corosync.conf differs: running ${running}, /etc/corosync ${shown(host)}, /etc/pve ` +
      `${shown(tree)}: the highest one must reach all (pvecm, or corosync-cfgtool -R)`,
  ];
}

function ghosts({ groups, partition, facts }: CorosyncView): string[] {
  const here = new Set(partition);
  const name = (id: number): string =>
    facts.nodes.find((node) => node.id === id)?.name ?? `id ${id}`;
  const lost = [...groups.dcdb, ...groups.status].filter(({ nodeid }) => !here.has(nodeid));
  return [...new Set(lost.map(({ nodeid, pid }) => `${nodeid}/${pid}`))].map(
    (member) =>
      `${member} (node ${name(Number(member.split("/")[0]))}) is in a group, but its node is not ` +
      "in this partition: a ghost. Restart corosync on the remaining members, one at a time",
  );
}

function missing(server: ClusterStatus | undefined, nodes: readonly NodeRow[]): string[] {
  const name = (id: number): string => nodes.find((node) => node.id === id)?.name ?? `id ${id}`;
  return (["dcdb", "status"] as const).flatMap((group) => {
    const status = server?.groups[group];
    if (status === undefined || status.missing.length === 0) return [];
    const seconds = Math.floor(status.modeMs / 1000);
    return status.missing.map(
      ({ nodeid, pid }) =>
        `${group}: ${nodeid}/${pid} (node ${name(nodeid)}) has not answered for ${seconds} s: ` +
        "until it does, no write of any node is answered. Look at its server; restart it if it hangs",
    );
  });
}

/** Composes the report from what was read. */
export function reportOf(
  view: CorosyncView,
  versions: ConfigVersions,
  server: ClusterStatus | undefined,
): ClusterReport {
  const { facts, groups, partition, nodeid, quorate } = view;
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
      ({ name }) => `node ${name} is reachable, but its pmxcfs is not in both groups: is it up?`,
    );
  const problems = [
    ...(quorate ? [] : ["no quorum: /etc/pve is read-only on this node"]),
    ...absent,
    ...ghosts(view),
    ...missing(server, nodes),
    ...versionProblem(versions),
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
