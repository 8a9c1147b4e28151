/**
 * This node's own server, as C's pmxcfs is: the database is ours alone (lock file), the tree is
 * mounted, a pid file names the server, corosync.conf of tree and host are kept equal. Holds what
 * `serve --mount` and the `pmxcfs` command do beyond serving requests.
 */
import { chownSync, existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
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
  /** Where the tree is mounted: absolute. */
  readonly mount: string;
  /** The database; made when it is missing. */
  readonly database: string;
  /** No cluster even with a corosync.conf; the host's file is neither read nor written then. */
  readonly local: boolean;
  readonly lockFile: string;
  readonly pidFile: string | undefined;
  /**
   * PVE's directory below /run, made if missing: the restart flag needs it; undefined: left alone.
   */
  readonly runDirectory: string | undefined;
  /** corosync's own configuration on this host. */
  readonly hostCorosyncConf: string;
  readonly wake: WakeKind | undefined;
  /** Requests that wait longer than this mean that the server hangs; 0: no limit. */
  readonly requestTimeoutSeconds: number;
  /** The history of the tree; undefined: none is kept. */
  readonly history: HistoryOptions | undefined;
  readonly hangGuard: HangGuard;
  /** Faults of the mount on purpose; empty in production. */
  readonly inject: readonly MountFaultRule[];
  /** The server is ready: mounted, listening. */
  readonly ready?: () => void;
}

/** Interval of the checks of the lock file. */
const CHECK_MS = 1000;

/**
 * Says which path lies below the server's own mount: to open it the server would wait for itself.
 */
function pathsBelowMount(
  mount: string,
  paths: readonly (string | undefined)[],
): string | undefined {
  const path = paths.find((each) => each !== undefined && isBelow(each, mount));
  if (path === undefined) return undefined;
  return `${path} is below the mount point ${mount}: the server would wait for itself for ever`;
}

function makeDirectory(path: string, gid: number | undefined): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o750 });
    if (gid !== undefined) chownSync(path, 0, gid);
  } catch {
    // Opening a file in it reports the problem.
  }
}

/** What a server of a node uses besides its database. */
export interface NodeServer {
  /** Of group www-data. */
  readonly gid: number;
  /** Service name. */
  readonly socket: string;
  /** Files, directories and sockets it opens; none may lie below the mount. */
  readonly paths: readonly (string | undefined)[];
  readonly log: Log;
}

/** A claimed database. Owns the lock. */
export class Node implements Disposable {
  /** The database was not there when it was claimed. */
  readonly isNew: boolean;
  readonly #options: NodeOptions;
  readonly #lock: NodeLock;
  readonly #log: Log;
  readonly #checks: Timer;
  #pid: PidFile | undefined;

  private constructor(options: NodeOptions, lock: NodeLock, log: Log) {
    this.#options = options;
    this.#lock = lock;
    this.#log = log;
    this.isNew = !existsSync(options.database);
    this.#checks = setInterval(() => this.#lock.check(), CHECK_MS);
    this.#checks.unref();
  }

  /** Takes the database for this process; a line that says why not. Waits up to 10 s. */
  static async claim(options: NodeOptions, server: NodeServer): Promise<Node | string> {
    const { mount, database, lockFile, runDirectory, pidFile } = options;
    const { gid, socket, log, paths } = server;
    const below = pathsBelowMount(mount, [
      database,
      lockFile,
      pidFile,
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

  /** Mounted and serving: writes the pid file. */
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
    clearInterval(this.#checks);
    const failure = this.#pid?.remove();
    if (failure !== undefined) this.#log.warn(failure);
    this.#lock[Symbol.dispose]();
  }
}
