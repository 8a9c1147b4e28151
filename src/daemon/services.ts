/** What requests and the mount work on, made over one store. */
import type { Backend } from "../pmxcfs/store/open.ts";
import { ClusterLog } from "../pmxcfs/state/cluster-log.ts";
import { Rrd } from "../pmxcfs/state/rrd-values.ts";
import { Status } from "../pmxcfs/state/status.ts";
import { LocalReplicator } from "../pmxcfs/replication/local.ts";
import { DisconnectedReplicator, ReplicatorSwitch } from "../pmxcfs/replication/switch.ts";
import { FsVersionText } from "../pmxcfs/requests/fs-version.ts";
import type { Services } from "../pmxcfs/requests/request.ts";
import type { RrdFiles } from "../pmxcfs/rrd/files.ts";
import type { SpecialTexts } from "../pmxcfs/mount/special.ts";

/** Entries of .clusterlog. */
const LOG_ENTRIES = 50;

export interface Composition {
  readonly services: Services;
  /** Takes every change; in a cluster without quorum until corosync's services take its place. */
  readonly replicator: ReplicatorSwitch;
  /** The mount's special files, without their debug switch. */
  readonly texts: Omit<SpecialTexts, "debug" | "setDebug">;
}

/** `inCluster`: this node is of a cluster, which it is not connected to yet. */
export function composeServices(
  backend: Backend,
  rrdFiles: RrdFiles | undefined,
  inCluster: boolean,
): Composition {
  const { memdb, versions, guests, members, tokens } = backend;
  const rrd = new Rrd();
  const status = new Status({ members, rrd, ...(rrdFiles === undefined ? {} : { rrdFiles }) });
  const clusterLog = new ClusterLog({ nodeName: members.nodeName, pid: process.pid });
  const fsVersion = new FsVersionText({ versions, status });
  const local = new LocalReplicator({ tree: backend.tree, status, clusterLog });
  const replicator = new ReplicatorSwitch(inCluster ? new DisconnectedReplicator(local) : local);
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
    // The request's text ends in a NUL.
    rrd: () => rrd.dump().subarray(0, -1),
  };
  return { services, replicator, texts };
}
