/**
 * The options that every serving command has: name, limits, polling, log. Defaults are those of
 * limits.ts, and the help shows them.
 */
import { PVE_SERVICE } from "../base/paths.ts";
import { fstatSync } from "node:fs";
import type { ServiceOptions } from "../ipc/options.ts";
import { IpcLimits, PollLimits } from "../base/limits.ts";
import type { MetricsAddress } from "../observe/endpoint.ts";
import { statusPath } from "../observe/status.ts";
import type { ObserveOptions } from "../observe/observe.ts";
import { createLog, defaultFormat, type Log } from "../base/log.ts";
import { bytes, count, flag, milliseconds, oneOf, path, text, type Values } from "./args.ts";
import { UsageFailure } from "./failure.ts";

const LIMITS = "Limits";
const LOGGING = "Logging";
const OBSERVING = "Metrics and status";

const HIGHEST_PORT = 65_535;

export const serviceOptions = {
  socket: text({ description: "Service name to listen on", hint: "NAME", default: PVE_SERVICE }),
  maxConnections: count({
    description: "Connections at once; 0 is as many as descriptors and /dev/shm allow",
    default: 0,
    group: LIMITS,
  }),
  maxConnectionsPerUid: count({
    description: "Connections of one uid other than root; 0: no separate bound",
    default: IpcLimits.connectionsPerUid,
    group: LIMITS,
  }),
  rootReserve: count({
    description: "Further connections for root only, to inspect a full server",
    default: IpcLimits.rootReserve,
    group: LIMITS,
  }),
  maxMessageSize: bytes({
    description: "Largest message a client may ask for",
    default: IpcLimits.maxMessageBytes,
    min: IpcLimits.minMessageBytes,
    group: LIMITS,
  }),
  handshakeTimeout: milliseconds({
    description: "Time limit of a handshake",
    default: IpcLimits.handshakeTimeoutMs,
    min: 1,
    group: LIMITS,
  }),
  pendingHandshakes: count({
    description: "Pending handshakes; a further one drops the oldest of the process with most",
    default: IpcLimits.pendingHandshakes,
    min: 1,
    group: LIMITS,
  }),
  unwantedHandshakes: count({
    description: "The same for peers that will be refused",
    default: IpcLimits.unwantedHandshakes,
    min: 1,
    group: LIMITS,
  }),
  requestsPerTurn: count({
    description: "Requests served from one connection before the others get a turn",
    default: IpcLimits.requestsPerTurn,
    min: 1,
    group: LIMITS,
  }),
  replyDeadline: milliseconds({
    description: "Time after which a client that reads no replies is disconnected",
    default: IpcLimits.replyDeadlineMs,
    min: 1,
    group: LIMITS,
  }),
  stopDeadline: milliseconds({
    description: "Longest time to answer the requests in the rings at a stop",
    default: IpcLimits.stopDeadlineMs,
    group: LIMITS,
  }),
  maxShmPerUid: bytes({
    description: "Space in /dev/shm for the rings of one uid other than root (0: half of it)",
    default: 0,
    group: LIMITS,
  }),
  pooledRings: count({
    description: "Ring directories prepared for the next clients",
    default: IpcLimits.pooledRings,
    group: LIMITS,
  }),
  pollUs: count({
    description: "Time to poll active rings before sleeping (0: never poll)",
    default: PollLimits.idleUs,
    unit: "microseconds",
    group: LIMITS,
  }),
  logLevel: oneOf(["error", "warn", "info", "debug"], {
    description: "Lowest level that is logged",
    default: "info",
    group: LOGGING,
  }),
  log: oneOf(["plain", "journal", "json"], {
    description: "Format of log lines",
    defaultText: "journal under systemd, else plain",
    group: LOGGING,
  }),
  debug: flag({ description: "Same as --log-level debug", alias: "d", group: LOGGING }),
} as const;

/** The options for monitoring the commands that serve. */
export const observeOptions = {
  metrics: text({
    description: "Answer GET /metrics on a unix socket or a loopback port",
    hint: "unix:PATH|127.0.0.1:PORT",
    group: OBSERVING,
  }),
  metricsTextfile: path({
    description: "Write the metrics to FILE every 15 s, for node_exporter's textfile collector",
    hint: "FILE",
    group: OBSERVING,
  }),
  status: path({
    description: "Path of the unix socket that pmxcfs-ipc top reads; off: none",
    defaultText: "/run/pmxcfs-ipc/NAME.status for root, else below XDG_RUNTIME_DIR",
    group: OBSERVING,
  }),
  readyFd: count({
    description: "Write a line to this open descriptor when clients can connect, and close it",
    hint: "FD",
    min: 3,
    group: OBSERVING,
  }),
} as const;

/** The address of --metrics: a unix socket or a loopback address. */
function metricsAddress(word: string): MetricsAddress {
  const unix = /^unix:(.+)$/.exec(word)?.[1];
  if (unix !== undefined) return { unix };
  const loopback = /^(127(?:\.\d{1,3}){3}|localhost|\[::1\]):(\d{1,5})$/.exec(word);
  const port = Number(loopback?.[2] ?? 0);
  if (loopback === null || port < 1 || port > HIGHEST_PORT) {
    const wanted = "unix:PATH, or a loopback address and a port such as 127.0.0.1:9221";
    throw new UsageFailure(`--metrics: "${word}" is not ${wanted}`);
  }
  return { hostname: (loopback[1] ?? "").replaceAll(/[[\]]/g, ""), port };
}

/** The status socket: as given, or in this user's runtime directory, if there is one. */
function statusOption(given: string | undefined, service: string): ObserveOptions["status"] {
  if (given === "off") return undefined;
  if (given !== undefined) return { path: given, asked: true };
  const usual = statusPath(service, process.env, process.getuid?.());
  return usual === undefined ? undefined : { path: usual, asked: false };
}

/** Checks that the descriptor is open: otherwise the reader of the line would wait forever. */
function readyDescriptor(fd: number | undefined): number | undefined {
  if (fd === undefined) return undefined;
  try {
    fstatSync(fd);
    return fd;
  } catch {
    throw new UsageFailure(`--ready-fd: descriptor ${fd} is not open: add ${fd}>FILE, or a pipe`);
  }
}

/** The settings for metrics, status and readiness. */
export function observeSettings(
  values: Values<typeof observeOptions> & { readonly socket: string },
): ObserveOptions {
  const { metrics, metricsTextfile: textfile, status, socket } = values;
  return {
    metrics: metrics === undefined ? undefined : metricsAddress(metrics),
    textfile,
    status: statusOption(status, socket),
    readyFd: readyDescriptor(values.readyFd),
  };
}

export type ServiceValues = Values<typeof serviceOptions>;

/** The log of a serving command. */
export function logOf(values: ServiceValues): Log {
  const format = values.log ?? defaultFormat(process.env);
  return createLog({ level: values.debug ? "debug" : values.logLevel, format });
}

/** Time to write the remaining lines to stderr at the end. */
const LEAVE_MS = 500;

/** Exits soon after the server has stopped, even if its stderr is not read. */
export function leaveSoon(): void {
  setTimeout(() => process.exit(), LEAVE_MS).unref();
}

/** The transport's settings. */
export function serviceSettings(values: ServiceValues): ServiceOptions {
  return {
    connections: values.maxConnections,
    connectionsPerUid: values.maxConnectionsPerUid,
    rootReserve: values.rootReserve,
    shmBytesPerUid: values.maxShmPerUid,
    maxMessageBytes: values.maxMessageSize,
    handshakeTimeoutMs: values.handshakeTimeout,
    pendingHandshakes: values.pendingHandshakes,
    unwantedHandshakes: values.unwantedHandshakes,
    requestsPerTurn: values.requestsPerTurn,
    replyDeadlineMs: values.replyDeadline,
    stopDeadlineMs: values.stopDeadline,
    pooledRings: values.pooledRings,
    poll: { idleUs: values.pollUs },
  };
}
