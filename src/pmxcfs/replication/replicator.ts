/**
 * The one seam through which anything changes: files, status values, the cluster log. On a single
 * node a change is applied at once (local.ts); in a cluster it is multicast and applied when it
 * comes back, on every node alike. Reads do not come here: they look at Memdb and Status.
 */
import type { Errno } from "../../base/errno.ts";
import type { TreeCommand } from "../state/tree-command.ts";

/** Who asks for a change; for logs. pid 0: not known. */
export interface Requester {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** The mount's number of the request, the same when it is sent again; 0 or undefined: none. */
  readonly request?: number;
}

/** One line for the cluster log, as LOG_CLUSTER_MSG brings it. Texts are latin1. */
export interface LogMessage {
  readonly priority: number;
  readonly user: string;
  readonly tag: string;
  readonly message: string;
  readonly pid: number;
}

export interface Replicator {
  /** Whether changes are accepted; true on a single node. Modes and `local` show it. */
  readonly quorate: boolean;

  /**
   * Applies a change: at once (a number), or when the cluster delivered it (a promise, which never
   * rejects). Bytes written or 0, or TreeStore.apply's errors, and: EROFS, the tree is somebody
   * else's; EACCES, no quorum; EBUSY, the cluster did not deliver it in time (it may still happen);
   * EINTR, `signal` was aborted while it waited (likewise). A utime of mtime 0 on a directory below
   * priv/lock asks for an expired lock: ENOENT when it was given up (removed), else EACCES.
   * A truncate that makes an empty file longer fills it with zeros.
   */
  propose(command: TreeCommand, by?: Requester, signal?: AbortSignal): number | Promise<number>;

  /** fsync: everything that was answered is in config.db afterwards. EBUSY, EIO: not now. */
  flush(): 0 | Errno;

  /** SET_STATUS of this node (state/status.ts for its errors): applied at once, then sent. */
  setStatus(name: string, data: Uint8Array): 0 | Errno;

  /** LOG_CLUSTER_MSG: logged at once, then sent. */
  log(message: LogMessage): void;
}
