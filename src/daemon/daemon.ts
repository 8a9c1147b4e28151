/**
 * The composition root of `serve`: makes the store, the indexes and texts derived from it, the
 * status of the nodes, the request handler, and the service that clients connect to.
 */
import { accessOf, type AccessRules } from "./access-rules.ts";
import { findGroup, type Group } from "../platform/groups.ts";
import { type Backend, type BackendOptions, openBackend } from "../pmxcfs/store/open.ts";
import { RELOAD_BOUNDS_MS } from "../pmxcfs/store/reloads.ts";
import { HistoryRecorder } from "../pmxcfs/history/recorder.ts";
import { pathIsPrivate } from "../pmxcfs/state/private-path.ts";
import { RrdFiles } from "../pmxcfs/rrd/files.ts";
import { cfsHandler } from "../pmxcfs/requests/handler.ts";
import { FaultInjector, type FaultRule } from "./fault-injection.ts";
import type { ServiceOptions } from "../ipc/options.ts";
import { LogLimits } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { MetricSources } from "../observe/families.ts";
import type { ObserveOptions } from "../observe/observe.ts";
import { clusterSocketPath, serveCluster } from "../observe/cluster-socket.ts";
import { clusterFigures, clusterSource } from "./cluster-view.ts";
import { RestartFlag } from "./restart-flag.ts";
import { followCorosyncConf, joinsCluster } from "./node/host-corosync-conf.ts";
import { MountedTree } from "./node/mounted-tree.ts";
import { tracePathOf } from "./node/trace-socket.ts";
import { Node, type NodeOptions } from "./node/node.ts";
import { runService, type ServiceControls } from "./run-service.ts";
import { type Composition, composeServices } from "./services.ts";
import { isRestarting } from "../platform/descriptor-store.ts";
import { ignoreNotices, stopRequested } from "../platform/signals.ts";
import { describe, descriptionText, REQUEST_IDS, requestName } from "../pmxcfs/requests/wording.ts";

export interface DaemonOptions {
  readonly socket: string;
  readonly store: Omit<BackendOptions, "log">;
  readonly access: AccessRules;
  /** rrdcached's socket and the directory of its files; undefined writes no RRD files. */
  readonly rrd: { readonly socketPath: string; readonly baseDirectory: string } | undefined;
  readonly service: ServiceOptions;
  readonly observe: ObserveOptions;
  /** The file that makes PVE's clients wait for a restart; undefined: none is made. */
  readonly restartFlag: string | undefined;
  /** Mounts the tree and takes changes; undefined: the store of another server is only read. */
  readonly node?: NodeOptions;
  /** Check the store for changes before every request that reads it. */
  readonly strictReads: boolean;
  /** Faults on purpose; empty in production. */
  readonly inject: readonly FaultRule[];
  readonly log: Log;
}

/** The counters of GET_FS_VERSION by name. */
function* versionsOf({ versions }: Backend): Iterable<readonly [string, number]> {
  yield ["clinfo", versions.clinfo];
  yield ["vmlist", versions.vmlist];
  for (const path of versions.observed) yield [path, versions.of(path)];
}

/** The history of the served tree; undefined when none is kept. */
function openHistory(
  node: NodeOptions | undefined,
  { memdb, members }: Backend,
  log: Log,
): HistoryRecorder | undefined {
  if (node?.history === undefined) return undefined;
  const isPrivate = pathIsPrivate;
  return new HistoryRecorder({ ...node.history, node: members.nodeName, memdb, isPrivate, log });
}

/** Serves until SIGTERM or SIGINT; a string says why it could not start. */
export async function runDaemon(options: DaemonOptions): Promise<string | undefined> {
  const { node, log } = options;
  const group = findGroup(options.access.group);
  if (node === undefined) return await serveStore(options, group, undefined);
  if (group === undefined) return `Unable to get ${options.access.group} group ID`;
  const { socket, restartFlag, rrd, observe } = options;
  const claimed = await Node.claim(node, {
    gid: group.gid,
    socket,
    paths: [
      restartFlag,
      rrd?.baseDirectory,
      rrd?.socketPath,
      observe.status?.path,
      observe.textfile,
      observe.metrics !== undefined && "unix" in observe.metrics ? observe.metrics.unix : undefined,
    ],
    log: log.tagged("main"),
  });
  if (typeof claimed === "string") return claimed;
  using owned = claimed;
  return await serveStore(options, group, owned);
}

/** The trace socket of the mount, in the directory of the status socket. */
function tracePath({ observe }: DaemonOptions): string | undefined {
  return observe.status === undefined ? undefined : tracePathOf(observe.status.path);
}

/** Why the database cannot be opened, in the C server's words: the reason first. */
function notOpened(reason: string, { database }: NodeOptions): string {
  const opening = `unable to open database '${database}'`;
  return `${reason.replace(`${opening}: `, "")}\nmemdb_open failed - ${opening}`;
}

async function serveStore(
  options: DaemonOptions,
  group: Group | undefined,
  claimed: Node | undefined,
): Promise<string | undefined> {
  const { log, store, node } = options;
  const signal = stopRequested();
  // The mount is made before the service, which handles these signals: they must not end it there.
  ignoreNotices();
  const backend = openBackend({ ...store, log: log.tagged("memdb") });
  if (typeof backend === "string") return node === undefined ? backend : notOpened(backend, node);
  using opened = backend;
  const { tree } = opened;
  const inCluster = node && tree ? joinsCluster(tree, node, log.tagged("main")) : false;
  if (typeof inCluster === "string") return inCluster;
  if (inCluster) tree?.enterCluster();
  const rrdFiles =
    options.rrd === undefined
      ? undefined
      : new RrdFiles({ ...options.rrd, log: log.tagged("status") });
  const composition = composeServices(opened, rrdFiles, inCluster, log);
  if (node !== undefined && inCluster) {
    const ownId = (): number | undefined => composition.cluster?.nodeid;
    followCorosyncConf(opened.memdb, ownId, node.hostCorosyncConf, log.tagged("dcdb"));
  }
  await using history = openHistory(node, opened, log.tagged("history"));
  const context = {
    backend: opened,
    composition,
    history,
    gid: group?.gid ?? 0,
    log: log.tagged("main"),
  };
  const mounted = node === undefined ? undefined : await MountedTree.open({ ...context, node });
  if (typeof mounted === "string") return mounted;
  using mount = mounted;
  log.tagged("main").info(`node ${store.nodeName}, ${opened.origin}`);
  using _clusterSocket = await openClusterSocket(options, composition);
  composition.cluster?.start();
  const stop = Promise.race([signal, ...(mount === undefined ? [] : [mount.lost])]);
  const failure = await serveRequests(options, group, {
    ...context,
    rrdFiles,
    ...(mount === undefined ? {} : { mount: () => mount.reading() }),
    stop,
    ready(controls) {
      mount?.setControls(controls);
      const trace = tracePath(options);
      if (trace !== undefined) void mount?.openTrace(trace, context.log);
      claimed?.announce();
    },
    stopping: () => mount && log.tagged("main").info("teardown filesystem"),
  });
  // In a restart by systemd the next server takes the mount over: processes in it notice nothing.
  if (mount?.mount.canBeHandedOver === true && (await isRestarting(process.env)))
    mount.mount.handOver();
  // Unmount first: then no process can see the answer to a change that is still pending.
  mount?.[Symbol.dispose]();
  await composition.stop();
  rrdFiles?.close();
  return failure ?? mount?.failure;
}

/** The socket of `pmxcfs-ipc cluster`; a failure does not stop the server. */
async function openClusterSocket(
  { socket, log }: DaemonOptions,
  { cluster }: Composition,
): Promise<Disposable | undefined> {
  const path = clusterSocketPath(socket, process.env, process.getuid?.());
  if (cluster === undefined || path === undefined) return undefined;
  const running = await serveCluster(path, clusterSource(cluster));
  if (typeof running !== "string") return { [Symbol.dispose]: () => running.close() };
  log.tagged("main").warn(`${running}; pmxcfs-ipc cluster cannot ask this server`);
  return undefined;
}

interface Serving {
  readonly backend: Backend;
  readonly composition: Composition;
  readonly history: HistoryRecorder | undefined;
  readonly rrdFiles: RrdFiles | undefined;
  readonly mount?: MetricSources["mount"];
  readonly stop: Promise<string>;
  readonly ready: (controls: ServiceControls) => void;
  readonly stopping: () => void;
}

/** What the metrics and the status are read from. */
function sourcesOf({ backend, composition, history, rrdFiles, mount }: Serving): MetricSources {
  const { cluster } = composition;
  const { tree } = backend;
  return {
    versions: () => versionsOf(backend),
    reloads: () => {
      const { byTrigger, failures, loadMs, stateOf, behindMs } = backend.reloads;
      const boundsMs = RELOAD_BOUNDS_MS;
      return { byTrigger, failures, loadMs, stateOf, behindMs, boundsMs };
    },
    ...(cluster === undefined ? {} : { cluster: () => clusterFigures(cluster) }),
    ...(history === undefined ? {} : { history: () => history.counters }),
    ...(mount === undefined ? {} : { mount }),
    ...(tree === undefined ? {} : { store: () => tree.storage.figures }),
    ...(rrdFiles === undefined ? {} : { rrd: () => rrdFiles.counters }),
  };
}

async function serveRequests(
  options: DaemonOptions,
  group: Group | undefined,
  serving: Serving,
): Promise<string | undefined> {
  const { log } = options;
  const { backend, composition, rrdFiles, stop, ready, stopping } = serving;
  const access = accessOf(options.access, group, log.tagged("main"));
  const handler = cfsHandler(
    composition.services,
    access,
    () => backend.refresh(),
    options.strictReads,
  );
  const faults =
    options.inject.length === 0
      ? undefined
      : new FaultInjector(handler, options.inject, log.tagged("inject"));
  const flag =
    options.restartFlag === undefined
      ? undefined
      : new RestartFlag(options.restartFlag, group?.gid, log.tagged("main"));
  const failure = await runService(options.socket, faults ?? handler, {
    log,
    service: options.service,
    stop,
    observe: {
      ...options.observe,
      names: new Map([...REQUEST_IDS].map(([name, id]) => [id, name])),
      text: (id, body) =>
        `${requestName(id)} ${descriptionText(describe(id, body, LogLimits.requestBytes))}`,
      sources: sourcesOf(serving),
    },
    ready(controls) {
      flag?.up();
      ready(controls);
    },
    stopping() {
      flag?.down();
      stopping();
      faults?.stop();
      rrdFiles?.close();
    },
  });
  return failure?.message;
}
