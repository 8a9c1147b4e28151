/** The options of the commands that run the server: transport, metrics, access, RRD, mount. */
import { hostname } from "node:os";
import { dirname, join, resolve } from "node:path";
import { MountLimits } from "../base/limits.ts";
import { PVE_RESTART_FLAG, PVE_SERVICE, RRDCACHED } from "../base/paths.ts";
import { HISTORY_LIMITS } from "../pmxcfs/history/prune.ts";
import type { DaemonOptions } from "../daemon/daemon.ts";
import type { NodeOptions } from "../daemon/node/node.ts";
import type { BackendOptions } from "../pmxcfs/store/open.ts";
import { accessOptions, accessRules } from "./access-options.ts";
import {
  bytes,
  count,
  flag,
  flagOn,
  milliseconds,
  oneOf,
  path,
  repeated,
  type Values,
} from "./args.ts";
import { isMountRule, parseFaultRule, parseMountRule } from "./inject-rules.ts";
import {
  observeOptions,
  observeSettings,
  serviceOptions,
  serviceSettings,
} from "./service-options.ts";

const CLUSTER = "Cluster";
const RRD = "RRD files";
const FAULTS = "Fault injection";
const MOUNT = "Mount";
const DATABASE = "Database";
const HISTORY = "History";

const DAY_MS = 24 * 3_600_000;

/** Seeds are below this. */
const SEEDS = 2 ** 32;

function randomSeed(): number {
  return Math.floor(Math.random() * SEEDS);
}

export const daemonOptions = {
  ...serviceOptions,
  ...observeOptions,
  wake: oneOf(["epoll", "thread"], {
    description: "How requests of the mount wake the event loop",
    defaultText: "epoll if it works, else thread",
    group: MOUNT,
  }),
  requestTimeout: milliseconds({
    description:
      "Time after which the mount is aborted if the server does not answer a request; 0: never",
    default: MountLimits.requestTimeoutMs,
    max: MountLimits.mostRequestTimeoutMs,
    group: MOUNT,
  }),
  hangGuard: oneOf(["auto", "process", "off"], {
    description:
      "What aborts it: auto: the kernel if it can, else a process; process: always a process; off: nothing",
    default: "auto",
    group: MOUNT,
  }),
  commit: oneOf(["each", "batched"], {
    description: "How changes are written to the database: each at once, or batched with a journal",
    default: "each",
    group: DATABASE,
  }),
  sync: oneOf(["normal", "full"], {
    description:
      "full: each change is on disk before it is answered, so that it survives a power cut",
    default: "normal",
    group: DATABASE,
  }),
  history: path({
    description: "History database of a mounted tree; off: none",
    hint: "FILE",
    defaultText: "history.db beside the database",
    group: HISTORY,
  }),
  historyPrivate: flag({ description: "Keep contents of private files, too", group: HISTORY }),
  historySize: bytes({
    description: "Size limit of the history",
    default: HISTORY_LIMITS.bytes,
    min: 1024 * 1024,
    group: HISTORY,
  }),
  historyDays: count({
    description: "Days after which a superseded change is removed",
    default: HISTORY_LIMITS.ageMs / DAY_MS,
    min: 1,
    group: HISTORY,
  }),
  restartFlag: path({
    description: "File created at a stop, so that PVE's clients wait for a restart; off: none",
    hint: "FILE",
    defaultText: `${PVE_RESTART_FLAG} for root and ${PVE_SERVICE}, else off`,
    group: CLUSTER,
  }),
  ...accessOptions,
  rrd: flagOn({
    without:
      "Do not write RRD files (through rrdcached, or rrdtool while rrdcached is not running)",
    group: RRD,
  }),
  rrdcached: path({
    description: "Socket of rrdcached",
    default: RRDCACHED.socket,
    group: RRD,
  }),
  rrdDir: path({
    description: "Directory of the RRD files",
    hint: "DIR",
    default: RRDCACHED.directory,
    group: RRD,
  }),
  strictReads: flag({
    description:
      "Check --dir or --db for changes before every request that reads them; otherwise once a " +
      "millisecond for a client that sends requests without a pause",
    group: DATABASE,
  }),
  inject: repeated({
    description: "Make requests fail or wait, for tests; syntax: docs/tracing.md",
    hint: "RULE",
    group: FAULTS,
  }),
} as const;

export type DaemonValues = Values<typeof daemonOptions>;

/** The host name without its domain: pmxcfs's node name. */
export function hostNode(): string {
  return hostname().split(".")[0] ?? "localhost";
}

/** The path of the restart flag; by default only for a server that replaces pmxcfs. */
function restartFlagOf(given: string | undefined, socket: string): string | undefined {
  if (given !== undefined) return given === "off" ? undefined : given;
  return socket === PVE_SERVICE && process.getuid?.() === 0 ? PVE_RESTART_FLAG : undefined;
}

/** The absolute path of a path from the command line; `off` and undefined are returned as is. */
export function fromHere<T extends string | undefined>(word: T): T | string {
  return word === undefined || word === "off" ? word : resolve(word);
}

/**
 * The values for a server that mounts. It changes to the root directory, as C does, so its paths
 * are first resolved against the directory it was started in.
 */
export function withAbsolutePaths<V extends DaemonValues>(values: V): V {
  const { history, restartFlag, rrdcached, rrdDir, metrics, metricsTextfile, status } = values;
  return {
    ...values,
    history: fromHere(history),
    restartFlag: fromHere(restartFlag),
    rrdcached: resolve(rrdcached),
    rrdDir: resolve(rrdDir),
    metrics: metrics?.replace(/^unix:(.+)$/, (_, at: string) => `unix:${resolve(at)}`),
    metricsTextfile: fromHere(metricsTextfile),
    status: fromHere(status),
  };
}

/** All settings of the server except those of the tree it serves. */
export function daemonSettings(
  values: DaemonValues,
): Omit<DaemonOptions, "store" | "node" | "log"> {
  return {
    socket: values.socket,
    access: accessRules(values),
    rrd: values.rrd ? { socketPath: values.rrdcached, baseDirectory: values.rrdDir } : undefined,
    service: serviceSettings(values),
    observe: observeSettings(values),
    restartFlag: restartFlagOf(values.restartFlag, values.socket),
    strictReads: values.strictReads,
    inject: values.inject
      .filter((rule) => !isMountRule(rule))
      .map((rule) => parseFaultRule(rule, randomSeed())),
  };
}

/** The settings for writing the node's own database. */
export function writingSettings({ commit, sync }: DaemonValues): BackendOptions["writing"] {
  return { commit, sync };
}

/**
 * The settings of the mount and of its history. `database`: the node's config.db.
 */
export function mountSettings(
  values: DaemonValues,
  database: string,
): Pick<NodeOptions, "wake" | "requestTimeoutSeconds" | "hangGuard" | "inject" | "history"> {
  const file = values.history ?? join(dirname(database), "history.db");
  const limits = { bytes: values.historySize, ageMs: values.historyDays * DAY_MS };
  return {
    history: file === "off" ? undefined : { file, keepPrivate: values.historyPrivate, limits },
    wake: values.wake,
    hangGuard: values.hangGuard,
    inject: values.inject.filter(isMountRule).map((rule) => parseMountRule(rule, randomSeed())),
    requestTimeoutSeconds: Math.ceil(values.requestTimeout / 1000),
  };
}
