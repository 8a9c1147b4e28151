/**
 * The only interface through which state changes: files, status values, the cluster log. On a
 * single node a change is applied at once (local.ts); in a cluster it is multicast, and applied on
 * every node when it is delivered. Reads do not use it: they go to Memdb and Status.
 */
import type { Errno } from "../../base/errno.ts";
import type { LogEntry } from "../state/cluster-log.ts";
import type { TreeCommand } from "../state/tree-command.ts";

/** The process that asks for a change; for logs. pid 0: not known. */
export interface Requester {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** The mount's number of the request, unchanged when it is repeated; 0 or undefined: none. */
  readonly request?: number;
}

export interface Replicator {
  /** Whether changes are accepted; true on a single node. The mount's file modes depend on it. */
  readonly quorate: boolean;

  /**
   * Applies a change: at once (a number), or when the cluster delivered it (a promise, which never
   * rejects). Bytes written or 0, or TreeStore.apply's errors, and: EROFS, another program owns the
   * tree; EACCES, no quorum; EBUSY, the cluster did not deliver it in time (it may still happen);
   * EINTR, `signal` was aborted while it waited (likewise). A utime of mtime 0 on a directory below
   * priv/lock asks for the release of an expired lock: ENOENT when it was removed, else EACCES.
   * A truncate that makes an empty file longer fills it with zeros.
   */
  propose(command: TreeCommand, by?: Requester, signal?: AbortSignal): number | Promise<number>;

  /** fsync: stores every answered change in config.db. EBUSY, EIO: that is not possible now. */
  flush(): 0 | Errno;

  /** SET_STATUS of this node (state/status.ts for its errors): applied at once, then sent. */
  setStatus(name: string, data: Uint8Array): 0 | Errno;

  /** LOG_CLUSTER_MSG: logged at once, then sent. */
  log(entry: LogEntry): void;
}
