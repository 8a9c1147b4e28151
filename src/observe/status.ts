/**
 * The status of a server as one JSON document, and the unix socket that sends it to each reader,
 * such as `pmxcfs-ipc top`. It is made from counters that the service has anyway, so it costs
 * nothing without a reader. Only root and the server's own user can connect.
 */
import { jsonText } from "../base/escape.ts";
import { errorText } from "../base/error-text.ts";
import { mkdirSync, rmdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ConnectionReport, Service } from "../ipc/service.ts";
import type { TrafficTotals } from "../ipc/connection/stats.ts";
import { ObserveLimits } from "../base/limits.ts";
import { buildInfo } from "../base/version.ts";
import type { ClusterFigures } from "./cluster-families.ts";
import type { Running } from "./endpoint.ts";
import type { StoreReading } from "./database-families.ts";
import type { MetricSources, MountReading } from "./families.ts";
import { listenAtPath, SocketMask, type Stoppable } from "./unix-path.ts";
import { sendOn, type Unsent, BoundedConnections } from "./bounded-connections.ts";

/** Incremented when a change of the document is incompatible with its readers. */
export const STATUS_SCHEMA_VERSION = 1;

/** Traffic of one connection, or of all; the numbers only increase. */
export interface TrafficStatus {
  readonly requests: number;
  readonly responses: number;
  readonly errors: number;
  readonly events: number;
  /** Headers included. */
  readonly request_bytes: number;
  /** Headers not included. */
  readonly response_bytes: number;
  /** Attempts to send an answer that found no room. */
  readonly response_waits: number;
  /** Times that flow control was switched on. */
  readonly flow_controls: number;
}

/** One connection. */
export interface ConnectionStatus extends TrafficStatus {
  readonly number: number;
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly permissions: "read-write" | "read-only";
  /** ms since 1970. */
  readonly opened_ms: number;
  /** Requests whose answers are pending. */
  readonly queued: number;
  /** 0 is off. */
  readonly flow_control: number;
  /** `[at_most_ns, count]`, shortest first: times from finding a request to answering it. */
  readonly durations_ns: readonly (readonly [atMostNs: number, count: number])[];
}

/** A mount; the first two numbers only increase. */
export interface MountStatus {
  readonly operations: number;
  readonly errors: number;
  readonly directory: string;
  /** Changes that wait for the cluster, and how long the oldest has waited. */
  readonly waiting: number;
  readonly oldest_wait_ms: number;
}

/** The database that the server writes; counters since its start. */
export interface StoreStatus {
  readonly waiting_changes: number;
  readonly journal_bytes: number;
  readonly wal_bytes: number;
  readonly checkpoints: number;
  readonly checkpoint_failures: number;
  /** ms since 1970; 0: none yet. */
  readonly checkpointed_ms: number;
  readonly commit_failures: number;
}

/** The document that the socket sends. */
export interface StatusDocument {
  readonly schema_version: number;
  readonly service: string;
  readonly pid: number;
  readonly version: string;
  readonly revision: string;
  /** Start of the process and the current time, in ms since 1970. */
  readonly started_ms: number;
  readonly now_ms: number;
  readonly connections_limit: number;
  readonly closed_connections: number;
  readonly violations: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly handshakes: number;
  readonly pooled_rings: number;
  /** The mount of this server; null if it has none. */
  readonly mount: MountStatus | null;
  /** Over all connections, past ones included. */
  readonly totals: TrafficStatus;
  readonly connections: readonly ConnectionStatus[];
  /** This node in its cluster, if it is in one. */
  readonly cluster?: ClusterFigures;
  /** The database that the server writes, if any. */
  readonly store?: StoreStatus;
}

/** The path of a service's status socket; undefined if this user has no directory for it. */
export function statusPath(
  service: string,
  environment: Readonly<Record<string, string | undefined>>,
  uid: number | undefined,
): string | undefined {
  const runtime = uid === 0 ? "/run" : environment["XDG_RUNTIME_DIR"];
  if (runtime === undefined || runtime === "") return undefined;
  return join(runtime, "pmxcfs-ipc", `${encodeURIComponent(service)}.status`);
}

function trafficOf(totals: TrafficTotals): TrafficStatus {
  return {
    requests: totals.requests,
    responses: totals.responses,
    errors: totals.errors,
    events: totals.events,
    request_bytes: totals.requestBytes,
    response_bytes: totals.responseBytes,
    response_waits: totals.sendRetries,
    flow_controls: totals.flowControlCount,
  };
}

function connectionOf(report: ConnectionReport): ConnectionStatus {
  const { caller, number } = report;
  return {
    number,
    pid: caller.pid,
    uid: caller.uid,
    gid: caller.gid,
    permissions: caller.permissions,
    opened_ms: report.openedAt,
    queued: report.eventQueueLength,
    flow_control: report.flowControlState,
    durations_ns: report.latencies,
    ...trafficOf(report),
  };
}

function mountOf({ directory, operations, waiting, oldestWaitMs }: MountReading): MountStatus {
  return {
    operations: operations.reduce((sum, { answered }) => sum + answered, 0),
    errors: operations.reduce((sum, { errors }) => sum + errors, 0),
    directory,
    waiting,
    oldest_wait_ms: Math.round(oldestWaitMs),
  };
}

function storeOf(store: StoreReading): StoreStatus {
  return {
    waiting_changes: store.waiting,
    journal_bytes: store.journalBytes,
    wal_bytes: store.walBytes,
    checkpoints: store.checkpoints,
    checkpoint_failures: store.checkpointFailures,
    checkpointed_ms: store.checkpointedAt,
    commit_failures: store.commitFailures,
  };
}

/** The sources besides the service. */
export type StatusSources = Pick<MetricSources, "mount" | "cluster" | "store">;

/** The current status. */
export function statusOf(service: Service, sources: StatusSources): StatusDocument {
  const mount = sources.mount?.();
  const cluster = sources.cluster?.();
  const store = sources.store?.();
  const { handshakes, pooledRings } = service.standby;
  return {
    schema_version: STATUS_SCHEMA_VERSION,
    service: service.name,
    pid: process.pid,
    version: buildInfo.version,
    revision: buildInfo.revision,
    started_ms: Math.round(Date.now() - performance.now()),
    now_ms: Date.now(),
    connections_limit: service.connectionLimit,
    closed_connections: service.stats.closedConnections,
    violations: service.stats.violations,
    refused: service.stats.refused,
    handshakes,
    pooled_rings: pooledRings,
    mount: mount === undefined ? null : mountOf(mount),
    totals: trafficOf(service.totals()),
    connections: service.connections().map(connectionOf),
    ...(cluster === undefined ? {} : { cluster }),
    ...(store === undefined ? {} : { store: storeOf(store) }),
  };
}

function listenAt(path: string, read: () => StatusDocument): Stoppable {
  const { statusReaders: atOnce, statusReadMs: forMs } = ObserveLimits;
  const readers = new BoundedConnections<Unsent>({ atOnce, forMs });
  return Bun.listen<Unsent>({
    unix: path,
    socket: {
      open(socket) {
        readers.add(socket);
        socket.data = { bytes: Buffer.from(`${jsonText(read())}\n`) };
        sendOn(socket);
      },
      data() {},
      drain: sendOn,
      close: (socket) => readers.remove(socket),
      error: (socket) => socket.terminate(),
    },
  });
}

/** Listens at `path`, whose directory exists; a string says why that failed. */
export async function serveStatus(
  path: string,
  read: () => StatusDocument,
): Promise<Running | string> {
  const listener = await listenAtPath(path, SocketMask.OWNER, (opened) => listenAt(opened, read));
  return typeof listener === "string" ? `status: ${listener}` : listener;
}

/** The same at the path of `statusPath`; also makes and removes its directory. */
export async function serveStatusBelow(
  path: string,
  read: () => StatusDocument,
): Promise<Running | string> {
  const directory = dirname(path);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o755 });
  } catch (error) {
    return `status: cannot make ${directory}: ${errorText(error)}`;
  }
  const running = await serveStatus(path, read);
  if (typeof running === "string") return running;
  return {
    close() {
      running.close();
      try {
        rmdirSync(directory);
      } catch {
        // The directory holds another server's socket.
      }
    },
  };
}
