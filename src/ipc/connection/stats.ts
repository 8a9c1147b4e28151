/**
 * Counters of a service and of each connection, with libqb's names (qb_ipcs_stats,
 * qb_ipcs_connection_stats_2) and a few of our own. Plain numbers, incremented where the event
 * happens.
 */

/** The counters of one connection. */
export interface ConnectionStats {
  clientPid: number;
  requests: number;
  responses: number;
  events: number;
  /** Attempts to send a reply that found no room in the response ring. */
  sendRetries: number;
  /** Wake-ups that found nothing to read. */
  recvRetries: number;
  flowControlState: 0 | 1 | 2;
  /** How often flow control was set to another level than 0. */
  flowControlCount: number;
  /** Requests whose asynchronous reply is pending. */
  eventQueueLength: number;
  /** Replies with an error. */
  errors: number;
  requestBytes: number;
  responseBytes: number;
}

/** The counters of a new connection, all 0; `clientPid` is the pid of its credentials. */
export function newConnectionStats(clientPid: number): ConnectionStats {
  return {
    clientPid,
    requests: 0,
    responses: 0,
    events: 0,
    sendRetries: 0,
    recvRetries: 0,
    flowControlState: 0,
    flowControlCount: 0,
    eventQueueLength: 0,
    errors: 0,
    requestBytes: 0,
    responseBytes: 0,
  };
}

/** The counters of a connection that only increase, so that they can be summed. */
export const TRAFFIC = [
  "requests",
  "responses",
  "errors",
  "events",
  "requestBytes",
  "responseBytes",
  "sendRetries",
  "recvRetries",
  "flowControlCount",
] as const;

export type TrafficTotals = Record<(typeof TRAFFIC)[number], number>;

function newTotals(): TrafficTotals {
  return {
    requests: 0,
    responses: 0,
    errors: 0,
    events: 0,
    requestBytes: 0,
    responseBytes: 0,
    sendRetries: 0,
    recvRetries: 0,
    flowControlCount: 0,
  };
}

/** Adds the counters of `stats` to `totals`. */
export function addTraffic(totals: TrafficTotals, stats: TrafficTotals): void {
  for (const name of TRAFFIC) totals[name] += stats[name];
}

/** Why a peer did not become, or did not stay, a connection. */
export type Refusal =
  | "denied" // the handler's authenticate refused it
  | "full" // too many connections, in total or of its uid
  | "size" // asked for larger messages than allowed
  | "handshake" // malformed, late or aborted
  | "resources"; // no rings: /dev/shm is full, no descriptors are left

/** The counters of a service. */
export interface ServiceStats {
  activeConnections: number;
  closedConnections: number;
  /** Connections ended because the peer broke the protocol. */
  violations: number;
  readonly refused: Record<Refusal, number>;
  /** Sums over the connections that have ended. */
  readonly closed: TrafficTotals;
}

/** The counters of a new service, all 0. */
export function newServiceStats(): ServiceStats {
  return {
    activeConnections: 0,
    closedConnections: 0,
    violations: 0,
    refused: { denied: 0, full: 0, size: 0, handshake: 0, resources: 0 },
    closed: newTotals(),
  };
}
