/** The metrics of a node in its cluster, and the summary that `top` shows. */
import type { MetricRegistry } from "./registry.ts";

/** One replicated group. */
export interface GroupFigures {
  readonly mode: string;
  /** Configuration changes (confchg) counted by the node that started the epoch. */
  readonly epoch: number;
  readonly members: number;
  /** Members that are synced. */
  readonly synced: number;
  /** Members that a sync waits for. */
  readonly missing: number;
  /** Messages and bytes that wait for the end of a sync. */
  readonly queued: number;
  readonly queuedBytes: number;
  /** Messages that corosync has not taken yet. */
  readonly outbox: number;
  /** Changes whose callers wait, and for how long the oldest has waited. */
  readonly waiting: number;
  readonly oldestMs: number;
  readonly sentMessages: number;
  readonly sentBytes: number;
  readonly retries: number;
  /** Since the start: completed syncs, and the time they took. */
  readonly syncs: number;
  readonly syncMs: number;
  /** Since the start: changes of this node that were answered, and how long callers waited. */
  readonly changes: number;
  readonly changeTimes: ChangeTimes;
}

/** Durations of changes, in ns. */
export interface ChangeTimes {
  readonly p50Ns: number;
  readonly p99Ns: number;
  readonly maxNs: number;
  readonly sumNs: number;
  /** Counts by CHANGE_BOUNDS_NS; the last one is above all bounds. */
  readonly counts: readonly number[];
}

/** From a change whose token arrives at once to the deadline of a change (30 s). */
export const CHANGE_BOUNDS_NS: readonly number[] = [
  2.5e5, 5e5, 1e6, 2e6, 4e6, 8e6, 1.6e7, 3.2e7, 6.4e7, 1.28e8, 2.5e8, 1e9, 5e9, 3e10,
];

export interface ClusterFigures {
  readonly quorate: boolean;
  /** Whether the server is connected to corosync, by service. */
  readonly services: Readonly<Record<string, boolean>>;
  readonly groups: Readonly<Record<string, GroupFigures>>;
}

const MS_PER_SECOND = 1000;
const NS_PER_SECOND = 1e9;

const GAUGES = [
  [
    "epoch",
    "Configuration changes counted by the node that started the group's epoch.",
    ({ epoch }) => epoch,
  ],
  ["members", "Processes in the group.", ({ members }) => members],
  ["synced_members", "Members that are synced.", ({ synced }) => synced],
  ["missing_members", "Members that a sync waits for.", ({ missing }) => missing],
  ["queued_messages", "Messages that wait for the end of a sync.", ({ queued }) => queued],
  ["queued_bytes", "Bytes of these messages.", ({ queuedBytes }) => queuedBytes],
  ["outbox_messages", "Messages corosync has not taken yet.", ({ outbox }) => outbox],
  ["waiting_changes", "Changes whose callers wait.", ({ waiting }) => waiting],
  [
    "oldest_change_seconds",
    "How long the oldest of these changes has waited.",
    ({ oldestMs, waiting }) => (waiting === 0 ? 0 : oldestMs / MS_PER_SECOND),
  ],
] as const satisfies readonly Family[];

const COUNTERS = [
  ["sent_messages_total", "Messages that corosync took.", ({ sentMessages }) => sentMessages],
  ["sent_bytes_total", "Bytes of these messages.", ({ sentBytes }) => sentBytes],
  [
    "send_retries_total",
    "Times that corosync was busy, after which a send is retried in 100 ms.",
    ({ retries }) => retries,
  ],
  ["syncs_total", "Completed syncs.", ({ syncs }) => syncs],
  ["sync_seconds_total", "Time that completed syncs took.", ({ syncMs }) => syncMs / MS_PER_SECOND],
  ["changes_total", "Changes of this node that were answered.", ({ changes }) => changes],
] as const satisfies readonly Family[];

type Family = readonly [name: string, help: string, value: (group: GroupFigures) => number];

/** Adds `pmxcfs_ipc_cluster_...`. */
export function aboutCluster(metrics: MetricRegistry, read: () => ClusterFigures): void {
  metrics.gauge("cluster_quorate", "1 with quorum.", () => (read().quorate ? 1 : 0));
  metrics.gauge("cluster_service_up", "1 while connected to corosync.", () =>
    Object.entries(read().services).map(([service, up]) => [{ service }, up ? 1 : 0]),
  );
  metrics.gauge("cluster_group_mode", "The mode of each group, as a label; always 1.", () =>
    Object.entries(read().groups).map(([group, { mode }]) => [{ group, mode }, 1]),
  );
  const each = (value: Family[2]) => () =>
    Object.entries(read().groups).map(([group, figures]) => [{ group }, value(figures)] as const);
  for (const [name, help, value] of GAUGES) metrics.gauge(`cluster_${name}`, help, each(value));
  for (const [name, help, value] of COUNTERS) metrics.counter(`cluster_${name}`, help, each(value));
  const bounds = CHANGE_BOUNDS_NS.map((ns, index) => {
    return { le: ns / NS_PER_SECOND, buckets: index + 1 };
  });
  const took =
    "How long callers waited for their change: multicast, delivered, applied, committed.";
  metrics.histogram("cluster_change_duration_seconds", took, bounds, () => {
    return Object.entries(read().groups).map(([group, { changeTimes }]) => {
      return [{ group }, { counts: changeTimes.counts, sum: changeTimes.sumNs / NS_PER_SECOND }];
    });
  });
}
