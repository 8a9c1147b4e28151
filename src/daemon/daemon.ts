/**
 * The composition root of `serve`: a store, what is derived from it, what nodes report, the
 * operations over all that, and the service that clients connect to.
 */
import { accessOf, type AccessRules, findGroup } from "./access-rules.ts";
import { ClusterLog } from "../pmxcfs/state/cluster-log.ts";
import { type Backend, type BackendOptions, openBackend } from "../pmxcfs/store/open.ts";
import { RELOAD_BOUNDS_MS } from "../pmxcfs/store/reloads.ts";
import { RrdFiles } from "../pmxcfs/rrd/files.ts";
import { Rrd } from "../pmxcfs/state/rrd-values.ts";
import { Status } from "../pmxcfs/state/status.ts";
import { LocalReplicator } from "../pmxcfs/replication/local.ts";
import { FsVersionText } from "../pmxcfs/requests/fs-version.ts";
import { cfsHandler } from "../pmxcfs/requests/handler.ts";
import type { Services } from "../pmxcfs/requests/request.ts";
import { FaultInjector, type FaultRule } from "./fault-injection.ts";
import type { ServiceOptions } from "../ipc/options.ts";
import { LogLimits } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { ObserveOptions } from "../observe/observe.ts";
import { RestartFlag } from "./restart-flag.ts";
import { runService } from "./run-service.ts";
import { describe, descriptionText, REQUEST_IDS, requestName } from "../pmxcfs/requests/wording.ts";

export interface DaemonOptions {
  readonly socket: string;
  readonly store: Omit<BackendOptions, "log">;
  readonly access: AccessRules;
  /** rrdcached's socket and the directory of its files; undefined writes no RRD files. */
  readonly rrd: { readonly socketPath: string; readonly baseDirectory: string } | undefined;
  readonly service: ServiceOptions;
  readonly observe: ObserveOptions;
  /** The file that makes PVE's clients wait for a restart; undefined makes none. */
  readonly restartFlag: string | undefined;
  /** Faults on purpose; none in earnest. */
  readonly inject: readonly FaultRule[];
  readonly log: Log;
}

function servicesOf(backend: Backend, rrdFiles: RrdFiles | undefined): Services {
  const { memdb, versions, guests, members, tokens } = backend;
  const rrd = new Rrd();
  const status = new Status({ members, rrd, ...(rrdFiles === undefined ? {} : { rrdFiles }) });
  const clusterLog = new ClusterLog({ nodeName: members.nodeName, pid: process.pid });
  const fsVersion = new FsVersionText({ versions, status });
  const replicator = new LocalReplicator({ tree: backend.tree, status, clusterLog });
  return { memdb, guests, members, tokens, rrd, fsVersion, status, clusterLog, replicator };
}

/** The counters of GET_FS_VERSION by name. */
function* versionsOf({ versions }: Backend): Iterable<readonly [string, number]> {
  yield ["clinfo", versions.clinfo];
  yield ["vmlist", versions.vmlist];
  for (const path of versions.observed) yield [path, versions.of(path)];
}

/** Serves until SIGTERM or SIGINT; a string says why it could not. */
export async function runDaemon(options: DaemonOptions): Promise<string | undefined> {
  const { log, store } = options;
  const backend = openBackend({ ...store, log: log.tagged("memdb") });
  if (typeof backend === "string") return backend;
  using opened = backend;
  const rrdFiles =
    options.rrd === undefined
      ? undefined
      : new RrdFiles({ ...options.rrd, log: log.tagged("status") });
  const group = findGroup(options.access.group);
  const access = accessOf(options.access, group, log.tagged("main"));
  const services = servicesOf(opened, rrdFiles);
  const handler = cfsHandler(services, access, () => opened.refresh());
  const faults =
    options.inject.length === 0
      ? undefined
      : new FaultInjector(handler, options.inject, log.tagged("inject"));
  const flag =
    options.restartFlag === undefined
      ? undefined
      : new RestartFlag(options.restartFlag, group?.gid, log.tagged("main"));
  log.tagged("main").info(`node ${store.nodeName}, ${opened.origin}`);
  const failure = await runService(options.socket, faults ?? handler, {
    log,
    service: options.service,
    observe: {
      ...options.observe,
      names: new Map([...REQUEST_IDS].map(([name, id]) => [id, name])),
      text: (id, body) =>
        `${requestName(id)} ${descriptionText(describe(id, body, LogLimits.requestBytes))}`,
      sources: {
        versions: () => versionsOf(opened),
        reloads: () => ({ ...opened.reloads, boundsMs: RELOAD_BOUNDS_MS }),
        ...(rrdFiles === undefined ? {} : { rrd: () => rrdFiles.counters }),
      },
    },
    ready: () => flag?.up(),
    stopping() {
      flag?.down();
      faults?.stop();
      rrdFiles?.close();
    },
  });
  rrdFiles?.close();
  return failure?.message;
}
