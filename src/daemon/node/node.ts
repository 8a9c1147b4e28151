/**
 * What `serve --mount` and the `pmxcfs` command do as the node's own server, as the C pmxcfs does:
 * lock the database, keep the paths out of the mount, make directories, write the pid file.
 */
import { chownSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { everySecond } from "../../base/heartbeat.ts";
import type { Log } from "../../base/log.ts";
import type { WakeKind } from "../../platform/fuse-wake.ts";
import { isBelow } from "../../platform/mounts.ts";
import type { HangGuard } from "./mount.ts";
import type { MountFaultRule } from "./mount-faults.ts";
import { findOtherServer } from "./other-server.ts";
import { NodeLock } from "./node-lock.ts";
import { PidFile } from "./pid-file.ts";
import type { PruneLimits } from "../../pmxcfs/history/prune.ts";

export interface HistoryOptions {
  readonly file: string;
  /** Keep contents of private files too. */
  readonly keepPrivate: boolean;
  readonly limits: PruneLimits;
}

export interface NodeOptions {
  /** The mount point; an absolute path. */
  readonly mount: string;
  /** The database; made when it is missing. */
  readonly database: string;
  /** pmxcfs -l: no cluster, and the host's corosync.conf is neither read nor written. */
  readonly local: boolean;
  readonly lockFile: string;
  readonly pidFile: string | undefined;
  /**
   * PVE's directory below /run, for the restart flag; made if missing. Undefined: not made.
   */
  readonly runDirectory: string | undefined;
  /** corosync's own configuration on this host. */
  readonly hostCorosyncConf: string;
  readonly wake: WakeKind | undefined;
  /** The server counts as hung when a request waits longer than this; 0: no limit. */
  readonly requestTimeoutSeconds: number;
  /** The history of the tree; undefined: none. */
  readonly history: HistoryOptions | undefined;
  readonly hangGuard: HangGuard;
  /** Faults of the mount on purpose; empty in production. */
  readonly inject: readonly MountFaultRule[];
  /** Called when the server is mounted and listens. */
  readonly ready?: () => void;
}

/**
 * A message when a path lies below the server's own mount: opening it would deadlock the server.
 */
function pathsBelowMount(
  mount: string,
  paths: readonly (string | undefined)[],
): string | undefined {
  const path = paths.find((each) => each !== undefined && isBelow(each, mount));
  if (path === undefined) return undefined;
  return `${path} is below the mount point ${mount}: the server would wait for itself forever`;
}

function makeDirectory(path: string, gid: number | undefined): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o750 });
    if (gid !== undefined) chownSync(path, 0, gid);
  } catch {
    // Opening a file in it reports the problem.
  }
}

/** What the server uses besides its database. */
export interface NodeServer {
  /** Of group www-data. */
  readonly gid: number;
  /** Service name. */
  readonly socket: string;
  /** Files, directories and sockets that it opens; none may lie below the mount. */
  readonly paths: readonly (string | undefined)[];
  readonly log: Log;
}

/** A claimed database. Owns the lock. */
export class Node implements Disposable {
  readonly #options: NodeOptions;
  readonly #lock: NodeLock;
  readonly #log: Log;
  readonly #checks: Disposable;
  #pid: PidFile | undefined;

  private constructor(options: NodeOptions, lock: NodeLock, log: Log) {
    this.#options = options;
    this.#lock = lock;
    this.#log = log;
    this.#checks = everySecond(() => this.#lock.check());
  }

  /** Locks the database; waits up to 10 s. A string says why that failed. */
  static async claim(options: NodeOptions, server: NodeServer): Promise<Node | string> {
    const { mount, database, lockFile, runDirectory, pidFile } = options;
    const { gid, socket, log, paths } = server;
    const below = pathsBelowMount(mount, [
      database,
      lockFile,
      pidFile,
      runDirectory,
      options.hostCorosyncConf,
      options.history?.file,
      ...paths,
    ]);
    if (below !== undefined) return below;
    process.chdir("/");
    process.umask(0o027);
    makeDirectory(dirname(database), undefined);
    if (runDirectory !== undefined) makeDirectory(runDirectory, gid);
    const own = [process.pid, process.ppid];
    const lock = await NodeLock.take(lockFile, log, () =>
      findOtherServer({ database, pidFile, socket, own }),
    );
    return typeof lock === "string" ? lock : new Node(options, lock, log);
  }

  /** To be called when the server is mounted and serves: writes the pid file. */
  announce(): void {
    const { pidFile, ready } = this.#options;
    if (pidFile !== undefined) {
      const written = PidFile.write(pidFile, process.pid);
      if (typeof written === "string") this.#log.error(written);
      else this.#pid = written;
    }
    ready?.();
  }

  /** Removes the pid file, then releases the lock. */
  [Symbol.dispose](): void {
    this.#checks[Symbol.dispose]();
    const failure = this.#pid?.remove();
    if (failure !== undefined) this.#log.warn(failure);
    this.#lock[Symbol.dispose]();
  }
}
