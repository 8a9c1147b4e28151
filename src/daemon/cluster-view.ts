/** A node's cluster state, as the `cluster` socket and the metrics show it. */
import type { ClusterSource } from "../observe/cluster-socket.ts";
import {
  CHANGE_BOUNDS_NS,
  type ChangeTimes,
  type ClusterFigures,
  type GroupFigures,
} from "../observe/cluster-families.ts";
import type { Histogram } from "../base/histogram.ts";
import { memberText } from "../pmxcfs/replication/events.ts";
import type { GroupStatus } from "../pmxcfs/replication/group-status.ts";
import { messageText } from "../pmxcfs/replication/message-text.ts";
import type { Cluster } from "../pmxcfs/replication/services/cluster.ts";
import type { GroupEvent } from "../pmxcfs/replication/services/group-options.ts";
import type { GroupTimes } from "../pmxcfs/replication/services/group-service.ts";

function eventOf(group: "dcdb" | "status", event: GroupEvent, now: Date): object {
  const head = { time: now.toISOString(), group, kind: event.kind };
  switch (event.kind) {
    case "message": {
      const { from, message } = event;
      const text = messageText(group, message);
      return { ...head, from: memberText(from), bytes: message.length, text };
    }
    case "members":
      return { ...head, members: event.members.map(memberText) };
    case "mode":
      return { ...head, mode: event.mode };
    default:
      return event satisfies never;
  }
}

/** The answers of this server's socket. */
export function clusterSource(cluster: Cluster): ClusterSource {
  return {
    view: () => ({ schema_version: 1, pid: process.pid, ...cluster.view }),
    verify: () => cluster.verify(),
    watch: (observer) =>
      cluster.observe(observer && ((group, event) => observer(eventOf(group, event, new Date())))),
  };
}

function changeTimes(changes: Histogram): ChangeTimes {
  return {
    p50Ns: changes.quantile(0.5),
    p99Ns: changes.quantile(0.99),
    maxNs: changes.max,
    sumNs: changes.sum,
    counts: changes.bucketCounts(CHANGE_BOUNDS_NS),
  };
}

function figuresOf(status: GroupStatus, times: GroupTimes): GroupFigures {
  const { mode, epoch, members, missing, queued, queuedBytes, sending } = status;
  return {
    mode,
    epoch: epoch.counter,
    members: members.length,
    synced: members.filter(({ synced }) => synced).length,
    missing: missing.length,
    queued,
    queuedBytes,
    outbox: sending.outbox,
    waiting: sending.waiting,
    oldestMs: sending.oldestMs,
    sentMessages: sending.sent.messages,
    sentBytes: sending.sent.bytes,
    retries: sending.sent.retries,
    syncs: times.syncs,
    syncMs: times.syncMs,
    changes: times.changes.total,
    changeTimes: changeTimes(times.changes),
  };
}

/** The figures for metrics and `top`. */
export function clusterFigures(cluster: Cluster): ClusterFigures {
  const { quorate, services, groups } = cluster.view;
  const { dcdb, status } = groups;
  return {
    quorate,
    services,
    groups: {
      ...(dcdb === undefined ? {} : { dcdb: figuresOf(dcdb, cluster.times.dcdb) }),
      ...(status === undefined ? {} : { status: figuresOf(status, cluster.times.status) }),
    },
  };
}
