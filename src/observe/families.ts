/** The metrics of a server: names, help texts, and the source of each value. */
import { errnoName } from "../base/errno.ts";
import { shmSpace } from "../ipc/options.ts";
import type { Service } from "../ipc/service.ts";
import { SHM } from "../shm/ring-directory.ts";
import { buildInfo } from "../base/version.ts";
import { aboutDatabase, type StoreReading } from "./database-families.ts";
import { aboutCluster, type ClusterFigures } from "./cluster-families.ts";
import { type Bound, MetricRegistry, type Reading } from "./registry.ts";
import { PAUSE_BOUNDS_MS } from "./loop-pauses.ts";
import {
  type Buckets,
  DURATION_BOUNDS_NS,
  type RequestCounters,
  TIMED_ONE_IN,
} from "./request-counters.ts";

/** State of the mount. */
export interface MountReading {
  readonly directory: string;
  /** Answered operations by their names in linux/fuse.h. */
  readonly operations: readonly {
    readonly operation: string;
    readonly answered: number;
    readonly errors: number;
    readonly ns: number;
  }[];
  /** Changes that wait for the cluster, and how long the oldest has waited. */
  readonly waiting: number;
  readonly oldestWaitMs: number;
  /** Inodes that the kernel knows, and open handles with state. */
  readonly nodes: number;
  readonly handles: number;
}

/** The sources besides the transport; a server has only some of them. */
export interface MetricSources {
  /** Delays of timers, by PAUSE_BOUNDS_MS of loop-pauses.ts, in ms. */
  readonly pauses?: () => Buckets;
  /** Version counters by name (`clinfo`, `vmlist`, observed paths). */
  readonly versions?: () => Iterable<readonly [name: string, version: number]>;
  /**
   * Changes loaded from the store, by what reported them: `counts` by `boundsMs`, and one more
   * without a bound.
   */
  readonly reloads?: () => {
    readonly boundsMs: readonly number[];
    readonly byTrigger: ReadonlyMap<
      string,
      { readonly counts: readonly number[]; readonly sumMs: number }
    >;
    readonly failures: number;
    readonly loadMs: number;
    /** When the served tree last equalled the store; ms since 1970. */
    readonly stateOf: number;
    /** How long a change in the store has not been served yet; 0: there is none. */
    readonly behindMs: number;
  };
  /**
   * RRD values: taken by rrdcached, refused by it, dropped because the queue was full, and waiting.
   */
  readonly rrd?: () => {
    readonly written: number;
    readonly rejected: number;
    readonly dropped: number;
    readonly pending: number;
  };
  readonly mount?: () => MountReading;
  /** The writable store, if there is one (pmxcfs/store/row-writer.ts). */
  readonly store?: () => StoreReading | undefined;
  /** This node in its cluster. */
  readonly cluster?: () => ClusterFigures;
  /** The history of the tree (pmxcfs/history/recorder.ts). */
  readonly history?: () => {
    readonly written: number;
    readonly waiting: number;
    readonly lostChanges: number;
    readonly lostContents: number;
    readonly failures: number;
  };
}

const NS_PER_SECOND = 1e9;
const US_PER_SECOND = 1e6;
const MS_PER_SECOND = 1e3;

const DURATIONS: readonly Bound[] = DURATION_BOUNDS_NS.map((ns, index) => {
  return { le: ns / NS_PER_SECOND, buckets: index + 1 };
});

/** Powers of two, from 64 bytes to 1 MiB; slot n of a counter goes up to 2^n. */
const SIZES: readonly Bound[] = [6, 8, 10, 12, 14, 16, 18, 20].map((power) => {
  return { le: 2 ** power, buckets: power + 1 };
});

function aboutProcess(metrics: MetricRegistry): void {
  const startedAt = (Date.now() - performance.now()) / MS_PER_SECOND;
  metrics.gauge("build_info", "Version of the program, in labels; always 1.", () => [
    [{ ...buildInfo }, 1],
  ]);
  metrics.gauge("start_time_seconds", "Start of the process, since 1970.", () => startedAt);
  metrics.counter("cpu_seconds_total", "User and system time of the process.", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / US_PER_SECOND;
  });
  metrics.gauge("resident_memory_bytes", "Memory of the process, mapped rings included.", () =>
    process.memoryUsage.rss(),
  );
}

function aboutConnections(metrics: MetricRegistry, service: Service): void {
  const { stats } = service;
  metrics.gauge("connections", "Current connections.", () => stats.activeConnections);
  metrics.gauge(
    "connections_limit",
    "Most connections at once, without those reserved for root.",
    () => service.connectionLimit,
  );
  metrics.counter(
    "connections_closed_total",
    "Connections that have ended.",
    () => stats.closedConnections,
  );
  metrics.counter(
    "protocol_violations_total",
    "Connections ended for breaking the protocol.",
    () => stats.violations,
  );
  metrics.counter("connections_refused_total", "Peers that did not become connections.", () =>
    Object.entries(stats.refused).map(([reason, count]) => [{ reason }, count]),
  );
  metrics.gauge("handshakes", "Pending handshakes.", () => service.standby.handshakes);
  metrics.gauge(
    "pooled_rings",
    "Ring directories ready for the next connections.",
    () => service.standby.pooledRings,
  );
  const flow = "Connections stopped by flow control, by level (2: only if the client agreed).";
  metrics.gauge("flow_controlled_connections", flow, () => {
    const levels = service.connections().map(({ flowControlState }) => flowControlState);
    return [1, 2].map((level) => [
      { level: String(level) },
      levels.filter((each) => each === level).length,
    ]);
  });
  metrics.gauge("queued_requests", "Requests whose answers are pending.", () =>
    service.connections().reduce((sum, { eventQueueLength }) => sum + eventQueueLength, 0),
  );
}

function aboutTraffic(metrics: MetricRegistry, service: Service): void {
  const counters = [
    ["flow_control_total", "Times that flow control was switched on.", "flowControlCount"],
    ["events_total", "Events sent.", "events"],
    ["responses_total", "Answers sent, those with an errno included.", "responses"],
    ["response_waits_total", "Attempts to send an answer that found no room.", "sendRetries"],
    ["empty_wakeups_total", "Wake-ups that found nothing to read.", "recvRetries"],
    ["received_bytes_total", "Bytes of requests, headers included.", "requestBytes"],
    ["sent_bytes_total", "Bytes of answers, headers not included.", "responseBytes"],
  ] as const;
  for (const [name, help, field] of counters) {
    metrics.counter(name, help, () => service.totals()[field]);
  }
}

function aboutOperations(metrics: MetricRegistry, counters: RequestCounters): void {
  metrics.counter("requests_total", "Requests that reached the handler.", () =>
    counters.operations().map(({ operation, requests }) => [{ operation }, requests]),
  );
  metrics.counter("request_errors_total", "Answers with an errno.", () =>
    counters
      .operations()
      .flatMap(({ operation, errors }) =>
        [...errors].map(
          ([errno, count]) => [{ operation, errno: errnoName(-errno) }, count] as const,
        ),
      ),
  );
  metrics.histogram("request_bytes", "Sizes of request bodies.", SIZES, () =>
    counters.operations().map(({ operation, requestBytes }) => [{ operation }, requestBytes]),
  );
  metrics.histogram("reply_bytes", "Sizes of the bodies of answers without an errno.", SIZES, () =>
    counters.operations().map(({ operation, replyBytes }) => [{ operation }, replyBytes]),
  );
  const timed = `Time in the handler; measured for one request in ${TIMED_ONE_IN} per operation.`;
  metrics.histogram("request_duration_seconds", timed, DURATIONS, () =>
    counters
      .operations()
      .map(({ operation, durations: { counts, sum } }) => [
        { operation },
        { counts, sum: sum / NS_PER_SECOND },
      ]),
  );
}

/** No value for an unmounted /dev/shm, and for one without a limit. */
const ifKnown = (bytes: number): Reading => (Number.isFinite(bytes) ? bytes : []);

function aboutMemory(metrics: MetricRegistry): void {
  metrics.gauge("shm_size_bytes", `Size of ${SHM}, which holds the rings.`, () =>
    ifKnown(shmSpace().sizeBytes),
  );
  metrics.gauge("shm_free_bytes", `Free space in ${SHM}.`, () => ifKnown(shmSpace().freeBytes));
}

function aboutReloads(
  metrics: MetricRegistry,
  reloads: NonNullable<MetricSources["reloads"]>,
): void {
  metrics.gauge("config_load_seconds", "Time to read the whole store at the start.", () => {
    return reloads().loadMs / MS_PER_SECOND;
  });
  const bounds = reloads().boundsMs.map((ms, index) => {
    return { le: ms / MS_PER_SECOND, buckets: index + 1 };
  });
  const took = "Time to load changes of other processes in the store, by what reported them.";
  metrics.histogram("config_reload_duration_seconds", took, bounds, () => {
    return [...reloads().byTrigger].map(([trigger, { counts, sumMs }]) => {
      return [{ trigger }, { counts, sum: sumMs / MS_PER_SECOND }];
    });
  });
  const failed = "Changes that could not be loaded, so that the old state is still served.";
  metrics.counter("config_reload_failures_total", failed, () => reloads().failures);
  const behind = "Age of the oldest change in the store that is not served yet; 0: none.";
  metrics.gauge("config_behind_seconds", behind, () => reloads().behindMs / MS_PER_SECOND);
  const state = "When the served tree last equalled the store, in seconds since 1970.";
  metrics.gauge("config_state_timestamp_seconds", state, () => reloads().stateOf / MS_PER_SECOND);
}

function aboutMount(metrics: MetricRegistry, { mount }: MetricSources): void {
  if (mount === undefined) return;
  const by = (field: "answered" | "errors" | "ns", unit: number) => () =>
    mount().operations.map((each) => [{ operation: each.operation }, each[field] / unit] as const);
  metrics.counter("mount_operations_total", "Operations of the mount.", by("answered", 1));
  metrics.counter("mount_errors_total", "Operations answered with an errno.", by("errors", 1));
  const time = "Time in operations of the mount, waiting for the cluster included.";
  metrics.counter("mount_operation_seconds_total", time, by("ns", NS_PER_SECOND));
  metrics.gauge("mount_waiting", "Changes that wait for the cluster.", () => mount().waiting);
  const oldest = "How long the oldest change has waited for the cluster.";
  metrics.gauge("mount_oldest_wait_seconds", oldest, () => mount().oldestWaitMs / MS_PER_SECOND);
  metrics.gauge("mount_nodes", "Inodes of the mount that the kernel knows.", () => mount().nodes);
}

function aboutHistory(metrics: MetricRegistry, { history }: MetricSources): void {
  if (history === undefined) return;
  metrics.counter(
    "history_changes_total",
    "Changes of the tree that are kept.",
    () => history().written,
  );
  metrics.gauge("history_waiting", "Changes that are not written yet.", () => history().waiting);
  const lost = "Changes, or contents of changes, that were dropped because too many waited.";
  metrics.counter("history_lost_total", lost, () => [
    [{ what: "change" }, history().lostChanges],
    [{ what: "content" }, history().lostContents],
  ]);
  const failures = "Times that the history could not be written.";
  metrics.counter("history_failures_total", failures, () => history().failures);
}

function aboutStore(metrics: MetricRegistry, { versions, reloads, rrd }: MetricSources): void {
  if (reloads !== undefined) aboutReloads(metrics, reloads);
  if (versions !== undefined) {
    metrics.gauge("config_version", "Version counters, as in GET_FS_VERSION.", () =>
      [...versions()].map(([config, version]) => [{ config }, version]),
    );
  }
  if (rrd !== undefined) {
    metrics.counter("rrd_values_written_total", "Values that rrdcached took.", () => rrd().written);
    metrics.counter(
      "rrd_values_rejected_total",
      "Values that rrdcached refused.",
      () => rrd().rejected,
    );
    const dropped = "Values dropped because rrdcached was unreachable too long.";
    metrics.counter("rrd_values_dropped_total", dropped, () => rrd().dropped);
    metrics.gauge("rrd_values_pending", "Values waiting for rrdcached.", () => rrd().pending);
  }
}

function aboutLoop(metrics: MetricRegistry, { pauses }: MetricSources): void {
  if (pauses === undefined) return;
  const bounds = PAUSE_BOUNDS_MS.map((ms, index) => {
    return { le: ms / MS_PER_SECOND, buckets: index + 1 };
  });
  const help = "Delays of a timer that is due every 20 ms: how long the event loop is blocked.";
  metrics.histogram("loop_pause_seconds", help, bounds, () => {
    const { counts, sum } = pauses();
    return [[{}, { counts, sum: sum / MS_PER_SECOND }]];
  });
}

/** All metrics of one service. */
export function metricsOf(
  service: Service,
  counters: RequestCounters,
  sources: MetricSources,
): MetricRegistry {
  const metrics = new MetricRegistry();
  aboutProcess(metrics);
  aboutLoop(metrics, sources);
  aboutConnections(metrics, service);
  aboutTraffic(metrics, service);
  aboutOperations(metrics, counters);
  aboutMemory(metrics);
  aboutStore(metrics, sources);
  if (sources.store !== undefined) aboutDatabase(metrics, sources.store);
  aboutMount(metrics, sources);
  if (sources.cluster !== undefined) aboutCluster(metrics, sources.cluster);
  aboutHistory(metrics, sources);
  return metrics;
}
