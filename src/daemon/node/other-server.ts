/**
 * Finds another server on this node's database, by a config.db open for writing, the listener of
 * the service name, or the pid file. The lock file alone does not show it: published recipes remove
 * that.
 */
import { constants, readdirSync, statSync, type Stats } from "node:fs";
import { NODE_UNIT } from "../../base/paths.ts";
import { DAEMON_FD } from "../../platform/daemonize.ts";
import { readRegularFile } from "../../platform/regular-file.ts";
import { commandOf, isAlive } from "../../platform/processes.ts";
import { findSocketOwner } from "../../platform/socket-owner.ts";

export interface OtherServerOptions {
  readonly database: string;
  /** The pid file that servers on this database write. */
  readonly pidFile: string | undefined;
  /** The service name that this server will listen on. */
  readonly socket: string;
  /** Process ids of this start, which are not another server. */
  readonly own: readonly number[];
}

/** Process names of servers: the C server's, and both of ours. */
const SERVER_NAME = /^pmxcfs/;

const { O_RDONLY, O_RDWR, O_WRONLY } = constants;
/** O_ACCMODE, the flags of open(2) that say whether a file is read or written. */
const ACCESS_MODE = O_WRONLY | O_RDWR;

function text(path: string): string {
  try {
    return readRegularFile(path).toString("latin1");
  } catch {
    return "";
  }
}

function pidIn(file: string | undefined): number | undefined {
  const pid = file === undefined ? Number.NaN : Number(text(file).trim());
  return Number.isInteger(pid) && pid > 1 ? pid : undefined;
}

/**
 * Whether the descriptor can be of the file with this inode, and be that of a server. Programs that
 * only read, such as `serve --db`, exclude no server. fdinfo shows inodes since Linux 5.14.
 */
function mayServe(pid: number, fd: string, inode: number): boolean {
  const info = text(`/proc/${pid}/fdinfo/${fd}`);
  const [, flags] = /^flags:\s*([0-7]+)$/m.exec(info) ?? [];
  if (flags !== undefined && (Number.parseInt(flags, 8) & ACCESS_MODE) === O_RDONLY) return false;
  const [, opened] = /^ino:\s*(\d+)$/m.exec(info) ?? [];
  return opened === undefined || Number(opened) === inode;
}

/** Whether the process has the file open for writing. */
function writes(pid: number, file: Stats): boolean {
  try {
    const directory = `/proc/${pid}/fd`;
    return readdirSync(directory).some((fd) => {
      // stat(2) of a file in a mount that is about to be taken over would wait for this process.
      if (!mayServe(pid, fd, file.ino)) return false;
      const status = statSync(`${directory}/${fd}`, { throwIfNoEntry: false });
      return status?.ino === file.ino && status.dev === file.dev;
    });
  } catch {
    return false;
  }
}

function isServer(pid: number): boolean {
  return SERVER_NAME.test(commandOf(pid));
}

function serversByName(): number[] {
  try {
    const pids = readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name));
    return pids.map(Number).filter(isServer);
  } catch {
    return [];
  }
}

/** The pid, when the server was started, and how, for an administrator. */
function describe(pid: number): string {
  const words = text(`/proc/${pid}/cmdline`).split("\0").filter(Boolean);
  const options = words
    .slice(1)
    .filter((word) => word.startsWith("-") && !word.startsWith(DAEMON_FD));
  const started = statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.mtime;
  const since = started === undefined ? "" : `, since ${started.toISOString()}`;
  const byHand = text(`/proc/${pid}/cgroup`).includes(NODE_UNIT)
    ? ", started by systemd"
    : `, started by hand${options.length === 0 ? "" : ` with ${options.join(" ")}`}`;
  return `pid ${pid}${since}${byHand}`;
}

/** One line about a server that can write the database; undefined when there is none. */
export function findDatabaseUser(database: string, own: readonly number[]): string | undefined {
  const file = statSync(database, { throwIfNoEntry: false });
  const users = file === undefined ? [] : serversByName().filter((pid) => writes(pid, file));
  const user = users.find((pid) => !own.includes(pid));
  if (user === undefined) return undefined;
  return `another pmxcfs (${describe(user)}) uses ${database}: stop it first (kill ${user})`;
}

/** One line about the server that uses the database; undefined when there is none. */
export function findOtherServer(options: OtherServerOptions): string | undefined {
  const { database, pidFile, socket, own } = options;
  const isOther = (pid: number): boolean => !own.includes(pid);
  const user = findDatabaseUser(database, own);
  if (user !== undefined) return user;
  const listener = findSocketOwner(socket)?.pid;
  if (listener !== undefined && isOther(listener)) {
    return (
      `another server (${commandOf(listener)}, ${describe(listener)}) listens on "${socket}": ` +
      `stop it first (kill ${listener})`
    );
  }
  const noted = pidIn(pidFile);
  if (noted === undefined || !isOther(noted) || !isAlive(noted) || !isServer(noted))
    return undefined;
  return `${pidFile} names another pmxcfs (${describe(noted)}): stop it first (kill ${noted})`;
}
