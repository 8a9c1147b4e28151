/**
 * The processes of pmxcfs's groups, as corosync and this node's server see them: which are missing,
 * which should not be there, which ones delay the cluster's writes, whose clock differs.
 */
import { counted } from "../../../base/counted.ts";
import { existsSync } from "node:fs";
import { askCluster } from "../../../observe/ask-cluster.ts";
import { clusterSocketPath } from "../../../observe/cluster-socket.ts";
import type { GroupStatus, SilentMember } from "../../../pmxcfs/replication/group-status.ts";
import type { ClusterStatus } from "../../../pmxcfs/replication/services/cluster.ts";
import type { CorosyncView } from "../../cluster/corosync-view.ts";
import { progressText } from "../../cluster/progress.ts";
import { nodeName } from "../../cluster/report.ts";
import { type Finding, found, pass } from "../finding.ts";
import type { Context } from "../probe.ts";
import { isRecord } from "../session.ts";

/** A synchronisation that takes less is normal. */
const SILENT_LIMIT_S = 5;
/** Times in messages are whole seconds, and a message takes time to arrive. */
const CLOCK_LIMIT_S = 2;

const GROUPS = ["dcdb", "status"] as const;

/** The views of the members that are compared. */
export interface Seen {
  readonly view: CorosyncView;
  /** The status by the server itself, when it is one of ours. */
  readonly server: ClusterStatus | undefined;
  /**
   * Something serves the IPC here: without it this node is in no group, which another probe
   * reports.
   */
  readonly serving: boolean;
  /** Counters of corosync and its links, for a synchronisation that does not end. */
  readonly links: readonly string[];
}

/** The cluster status by this node's server; undefined when it is not ours, or gives none. */
export async function serverView(context: Context): Promise<ClusterStatus | undefined> {
  const { service } = context.options;
  const path = clusterSocketPath(service, process.env, process.getuid?.());
  if (path === undefined || !existsSync(path)) return undefined;
  const owner = (await context.facts.server())?.owner;
  const stop = AbortSignal.timeout(context.left() / 2);
  try {
    for await (const view of askCluster(path, "view", stop)) {
      const { pid, groups } = view;
      if (pid === owner?.pid && isRecord(groups)) return view as unknown as ClusterStatus;
    }
  } catch {
    // A stopped server does not answer; other probes report that.
  }
  return undefined;
}

/** A synchronisation of this node's server does not end. */
export function isStalled(server: ClusterStatus | undefined): boolean {
  return GROUPS.some((group) => server?.groups[group]?.missing.some(isSilent));
}

function isSilent({ silentMs }: SilentMember): boolean {
  return silentMs >= SILENT_LIMIT_S * 1000;
}

/** `node id/pid` and the groups of each process in a group whose node quorum does not have. */
export function ghostsOf(view: CorosyncView): ReadonlyMap<string, readonly string[]> {
  const ghosts = new Map<string, string[]>();
  for (const group of GROUPS) {
    for (const { nodeid, pid } of view.groups[group]) {
      if (view.partition.includes(nodeid)) continue;
      const member = `${nodeid}/${pid}`;
      ghosts.set(member, [...(ghosts.get(member) ?? []), group]);
    }
  }
  return ghosts;
}

function ghostFindings(view: CorosyncView): Finding[] {
  return [...ghostsOf(view)].map(([member, groups]) => {
    const node = nodeName(view.facts, Number(member.split("/")[0]));
    return found("GROUP_GHOST", { member, node, groups: groups.join(", ") });
  });
}

function absentFindings({ view, serving }: Seen): Finding[] {
  return view.facts.nodes.flatMap(({ id, name }) => {
    if (!view.partition.includes(id) || (id === view.nodeid && !serving)) return [];
    const missing = GROUPS.filter((group) => {
      return view.groups[group].every(({ nodeid }) => nodeid !== id);
    });
    if (missing.length === 0) return [];
    return [found("GROUP_MEMBER_ABSENT", { node: name, id, groups: missing.join(", ") })];
  });
}

function silentIn(group: string, status: GroupStatus, view: CorosyncView): Finding[] {
  const { waiting, oldestMs } = status.sending;
  const oldest = `the oldest for ${Math.floor(oldestMs / 1000)} s`;
  const changes =
    waiting === 0
      ? ""
      : `; ${counted(waiting, "change")} ${waiting === 1 ? "waits" : "wait"}, ${oldest}`;
  // Members that have the leader's data are synced, and do not wait for its updates.
  const texts =
    status.mode === "update"
      ? { waiting: "this node waits", awaited: "updates" }
      : { waiting: "all members wait", awaited: "state" };
  const ghosts = ghostsOf(view);
  return status.missing.filter(isSilent).flatMap(({ nodeid, pid, silentMs }) => {
    const member = `${nodeid}/${pid}`;
    // A ghost never answers: it has a finding of its own, with the remedy.
    if (ghosts.has(member)) return [];
    const node = nodeName(view.facts, nodeid);
    const seconds = Math.floor(silentMs / 1000);
    const values = { member, node, pid, group, seconds, changes, ...texts };
    const details = [progressText(status, (id) => nodeName(view.facts, id))];
    return [found("MEMBER_SILENT", values, { details })];
  });
}

function clockFindings({ view, server }: Seen): Finding[] {
  const members = server?.groups.dcdb?.members ?? [];
  return members.flatMap(({ nodeid, clockSeconds }) => {
    if (clockSeconds === undefined || Math.abs(clockSeconds) <= CLOCK_LIMIT_S) return [];
    const seconds = Math.abs(clockSeconds);
    const way = clockSeconds > 0 ? "ahead of" : "behind";
    const values = { node: nodeName(view.facts, nodeid), seconds, way, limit: CLOCK_LIMIT_S };
    return [found("CLUSTER_CLOCK_DIFFERS", values)];
  });
}

function described({ view, server }: Seen): string {
  const inGroup = view.groups.dcdb.map(({ nodeid, pid }) => {
    return `${nodeid}/${pid} (${nodeName(view.facts, nodeid)})`;
  });
  const line = `corosync is quorate, in pmxcfs's group: ${inGroup.join(", ") || "no process"}`;
  const group = server?.groups.dcdb;
  if (group === undefined) return line;
  const count = group.members.filter(({ synced }) => synced).length;
  return `${line}; ${group.mode}, ${count} of ${group.members.length} synced`;
}

/** What is wrong with the members; one line that passes when nothing is. */
export function memberFindings(seen: Seen): Finding[] {
  const { view, server } = seen;
  const silent = GROUPS.flatMap((group) => {
    const status = server?.groups[group];
    return status === undefined ? [] : silentIn(group, status, view);
  });
  // The counters are the same for all of them.
  const [first, ...further] = silent;
  const withCounters = first && { ...first, details: [...first.details, ...seen.links] };
  const findings = [
    ...ghostFindings(view),
    ...(withCounters === undefined ? [] : [withCounters, ...further]),
    ...absentFindings(seen),
    ...clockFindings(seen),
  ];
  if (findings.length > 0 || !view.quorate) return findings;
  return [pass("cluster", described(seen))];
}
