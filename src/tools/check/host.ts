/**
 * The machine as the probes see it: files under given roots, and commands that are killed when they
 * take too long. Tests give other roots or run in namespaces of their own; nothing here changes
 * anything. Whatever may sleep in the kernel without end (a dead FUSE mount, a hung disk) is done
 * by a command, so that only a child hangs. No C counterpart.
 */
import { errorCode } from "../../base/error-text.ts";
import { COROSYNC_CONF, LOCK_FILE, PVE, PVE_RESTART_FLAG, RRDCACHED } from "../../base/paths.ts";
import { SHM } from "../../shm/ring-directory.ts";
import { type Errno, errnoOf } from "../../base/errno.ts";
import { constants } from "node:fs";
import { access, readdir, readlink, stat, statfs } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { type Outcome, runCommand } from "../../platform/command.ts";
import { readRegularFileAsync } from "../../platform/regular-file.ts";

export interface Paths {
  readonly proc: string;
  readonly shm: string;
  /** Pid files, sockets, and systemd's own state. */
  readonly run: string;
  readonly etcHosts: string;
  readonly etcGroup: string;
  /** The FUSE mount of pmxcfs. */
  readonly pve: string;
  readonly fuseDevice: string;
  readonly restartFlag: string;
  readonly database: string;
  readonly lockFile: string;
  /** corosync's own copy of its configuration. */
  readonly corosyncConf: string;
  readonly rrdSocket: string;
  readonly rrdFiles: string;
  /** With this file libqb uses sockets in the file system. */
  readonly filesystemSockets: string;
  /** The directory of those sockets. */
  readonly socketDirectory: string;
}

const PATHS: Paths = {
  proc: "/proc",
  shm: SHM,
  run: "/run",
  etcHosts: "/etc/hosts",
  etcGroup: "/etc/group",
  pve: PVE.mount,
  fuseDevice: "/dev/fuse",
  restartFlag: PVE_RESTART_FLAG,
  database: PVE.database,
  lockFile: join(dirname(PVE.database), LOCK_FILE),
  corosyncConf: COROSYNC_CONF,
  rrdSocket: RRDCACHED.socket,
  rrdFiles: RRDCACHED.directory,
  filesystemSockets: "/etc/libqb/force-filesystem-sockets",
  socketDirectory: "/run",
};

export interface FileInfo {
  readonly kind: "file" | "directory" | "socket" | "other";
  readonly inode: number;
  readonly uid: number;
  readonly gid: number;
  /** Permission bits. */
  readonly mode: number;
  readonly size: number;
  readonly modifiedMs: number;
}

export interface Space {
  /** The magic number of statfs(2). */
  readonly type: number;
  readonly sizeBytes: number;
  readonly freeBytes: number;
  /** With what the file system keeps for root (ext4: 5 % of it). */
  readonly rootFreeBytes: number;
  readonly inodes: number;
  readonly freeInodes: number;
}

/** Access to the machine. Errors are values: an Errno where a probe has to distinguish them. */
export interface Machine {
  readonly paths: Paths;
  /** The command line that starts this program; undefined in a library or a test. */
  readonly self: readonly string[] | undefined;
  /** Milliseconds since 1970. */
  now(): number;
  hostName(): string;
  text(path: string): Promise<string | Errno>;
  list(path: string): Promise<string[] | Errno>;
  link(path: string): Promise<string | Errno>;
  info(path: string): Promise<FileInfo | Errno>;
  space(path: string): Promise<Space | Errno>;
  readable(path: string): Promise<boolean>;
  /** Whether a program is installed. */
  has(program: string): boolean;
  /** Runs a program (no shell, LC_ALL=C) and kills it after `deadlineMs`. */
  run(words: readonly string[], deadlineMs: number): Promise<Outcome>;
}

/** Output beyond this is cut: a journal can be long. */
const OUTPUT_BYTES = 256 * 1024;

function errnoFrom(error: unknown): Errno {
  return errnoOf(errorCode(error));
}

async function attempt<T>(promise: Promise<T>): Promise<T | Errno> {
  try {
    return await promise;
  } catch (error) {
    return errnoFrom(error);
  }
}

async function fileInfo(path: string): Promise<FileInfo> {
  const found = await stat(path);
  const kinds = [
    ["file", found.isFile()],
    ["directory", found.isDirectory()],
    ["socket", found.isSocket()],
  ] as const;
  return {
    kind: kinds.find(([, is]) => is)?.[0] ?? "other",
    inode: found.ino,
    uid: found.uid,
    gid: found.gid,
    mode: found.mode & 0o7777,
    size: found.size,
    modifiedMs: found.mtimeMs,
  };
}

async function spaceOf(path: string): Promise<Space> {
  const found = await statfs(path);
  return {
    type: found.type,
    sizeBytes: found.blocks * found.bsize,
    freeBytes: found.bavail * found.bsize,
    rootFreeBytes: found.bfree * found.bsize,
    inodes: found.files,
    freeInodes: found.ffree,
  };
}

const ENVIRONMENT = { LC_ALL: "C", SYSTEMD_COLORS: "0", SYSTEMD_PAGER: "cat" };

async function run(words: readonly string[], deadlineMs: number): Promise<Outcome> {
  const options = { deadlineMs, mostBytes: OUTPUT_BYTES, env: ENVIRONMENT };
  const outcome = await runCommand(words, options);
  // A part of an output is not read as all of it.
  return outcome.timedOut ? { ...outcome, out: "", error: "" } : outcome;
}

/** This machine; `paths` replaces some of the usual paths, `self` starts this program. */
export function localMachine(paths: Partial<Paths> = {}, self?: readonly string[]): Machine {
  return {
    paths: { ...PATHS, ...paths },
    self,
    now: () => Date.now(),
    hostName: () => hostname().split(".")[0] ?? "",
    text: (path) => attempt(readRegularFileAsync(path).then((bytes) => bytes.toString("utf8"))),
    list: (path) => attempt(readdir(path)),
    link: (path) => attempt(readlink(path)),
    info: (path) => attempt(fileInfo(path)),
    space: (path) => attempt(spaceOf(path)),
    readable: async (path) => typeof (await attempt(access(path, constants.R_OK))) !== "number",
    has: (program) => Bun.which(program) !== null,
    run,
  };
}
