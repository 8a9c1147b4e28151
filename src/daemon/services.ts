/** Builds the services that requests and the mount use, over one store. */
import type { Backend } from "../pmxcfs/store/open.ts";
import { ClusterLog } from "../pmxcfs/state/cluster-log.ts";
import { Rrd } from "../pmxcfs/state/rrd-values.ts";
import { Status } from "../pmxcfs/state/status.ts";
import { LocalReplicator } from "../pmxcfs/replication/local.ts";
import type { Replicator } from "../pmxcfs/replication/replicator.ts";
import { ClusterReplicator } from "../pmxcfs/replication/services/cluster-replicator.ts";
import { Cluster } from "../pmxcfs/replication/services/cluster.ts";
import { FsVersionText } from "../pmxcfs/requests/fs-version.ts";
import type { Services } from "../pmxcfs/requests/request.ts";
import type { RrdFiles } from "../pmxcfs/rrd/files.ts";
import type { SpecialTexts } from "../pmxcfs/mount/special.ts";
import type { Log } from "../base/log.ts";
import { resolveNodeAddress } from "./node/node-address.ts";

/** Entries of .clusterlog. */
const LOG_ENTRIES = 50;

export interface Composition {
  readonly services: Services;
  /** Takes every change. */
  readonly replicator: Replicator;
  /** The cluster services, not started yet; undefined outside a cluster. */
  readonly cluster: Cluster | undefined;
  /** The mount's special files, without their debug switch. */
  readonly texts: Omit<SpecialTexts, "debug" | "setDebug">;
  /** To be called when the mount has ended or was handed over, before the store is closed. */
  stop(): Promise<void>;
}

/** `inCluster`: changes go through the node's corosync, and are refused without quorum. */
export function composeServices(
  backend: Backend,
  rrdFiles: RrdFiles | undefined,
  inCluster: boolean,
  log: Log,
): Composition {
  const { memdb, versions, guests, members, tokens, tree } = backend;
  const rrd = new Rrd();
  const status = new Status({ members, rrd, ...(rrdFiles === undefined ? {} : { rrdFiles }) });
  const clusterLog = new ClusterLog({ nodeName: members.nodeName, pid: process.pid });
  const fsVersion = new FsVersionText({ versions, status });
  const cluster =
    inCluster && tree !== undefined
      ? new Cluster({
          tree,
          members,
          status,
          clusterLog,
          address: () => resolveNodeAddress(members.nodeName),
          log,
        })
      : undefined;
  const local = new LocalReplicator({ tree, status, clusterLog });
  const replicator =
    cluster === undefined || tree === undefined ? local : new ClusterReplicator(cluster, tree);
  const services = {
    memdb,
    guests,
    members,
    tokens,
    rrd,
    fsVersion,
    status,
    clusterLog,
    replicator,
  };
  const texts = {
    version: () => fsVersion.text(),
    members: () => members.clusterInfo(),
    vmlist: () => guests.list(),
    clusterLog: () => clusterLog.dump("", LOG_ENTRIES),
    // The dump ends in a NUL, which the request's answer has and the file does not.
    rrd: () => rrd.dump().subarray(0, -1),
  };
  const stop = async (): Promise<void> => {
    local[Symbol.dispose]();
    await cluster?.stop();
  };
  return { services, replicator, cluster, texts, stop };
}
