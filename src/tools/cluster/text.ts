/** `cluster status` and `cluster members` for a terminal. */
import { escapeText } from "../../base/escape.ts";
import { alignColumns } from "../../base/table.ts";
import type { GroupStatus } from "../../pmxcfs/replication/group-status.ts";
import { type ClusterReport, nodeName, type NodeRow } from "./report.ts";
import { runningText, shownVersion } from "./versions.ts";

function shownPid(pid: number | undefined): string {
  return pid === undefined ? "?" : `${pid}`;
}

function nodeCells({ id, name, votes, own, reachable, dcdb, status }: NodeRow): string[] {
  const mark = own ? "*" : "";
  const reached = reachable ? "yes" : "no";
  return [`${id}${mark}`, escapeText(name), `${votes}`, reached, shownPid(dcdb), shownPid(status)];
}

/** One line per node. */
export function membersText({ nodes }: ClusterReport): string {
  const head = ["ID", "NAME", "VOTES", "REACHABLE", "DCDB PID", "STATUS PID"];
  return `${alignColumns([head, ...nodes.map(nodeCells)]).join("\n")}\n`;
}

function shownChanges(count: number): string {
  return count === 1 ? "1 change waits" : `${count} changes wait`;
}

function groupLine(name: string, group: GroupStatus | undefined): string {
  if (group === undefined) return `${name}: not connected`;
  const { mode, modeMs, epoch, members, queued, sending } = group;
  const syncedCount = members.filter(({ synced }) => synced).length;
  const waiting =
    sending.waiting === 0
      ? ""
      : `, ${shownChanges(sending.waiting)} (oldest ${sending.oldestMs} ms)`;
  return (
    `${name}: ${mode} since ${Math.floor(modeMs / 1000)} s, epoch ${epoch.nodeid}/${epoch.pid}/` +
    `${epoch.counter}, ${syncedCount} of ${members.length} members synced, ${queued} queued${waiting}`
  );
}

function clockLines({ server, nodes }: ClusterReport): string[] {
  const skewed = (server?.groups.dcdb?.members ?? []).filter(
    ({ clockSeconds }) => Math.abs(clockSeconds ?? 0) > 2,
  );
  return skewed.map(({ nodeid, clockSeconds }) => {
    const name = escapeText(nodeName({ nodes }, nodeid));
    const seconds = clockSeconds ?? 0;
    const way = seconds > 0 ? "ahead of" : "behind";
    return `clock of ${name}: ${Math.abs(seconds)} s ${way} this node's`;
  });
}

/** The whole report. */
export function statusText(report: ClusterReport): string {
  const { name, quorate, server, versions, problems } = report;
  const { host, tree } = versions;
  const files = `/etc/corosync ${shownVersion(host)}, /etc/pve ${shownVersion(tree)}`;
  const lines = [
    `cluster ${escapeText(name)}: ${quorate ? "quorate" : "NO QUORUM"}`,
    `corosync.conf: running ${escapeText(runningText(versions))}, ${files}`,
    "",
    membersText(report).trimEnd(),
    "",
    ...(server === undefined
      ? ["this node's server has no status socket (not ours, or not running)"]
      : [groupLine("dcdb", server.groups.dcdb), groupLine("status", server.groups.status)]),
    ...clockLines(report),
    "",
    ...(problems.length === 0
      ? ["no problem found"]
      : problems.map((text) => `! ${escapeText(text)}`)),
  ];
  return `${lines.join("\n")}\n`;
}
