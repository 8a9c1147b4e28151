/**
 * Reads a directory tree that another user may change, without being redirected: every lookup
 * starts from an open directory (/proc/self/fd/N/NAME) and none follows a symlink; FIFOs, sockets
 * and devices are never opened; names are bytes, kept as latin1. Descriptors are closed before each
 * function returns, unless it returns one.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  realpathSync,
  type Stats,
} from "node:fs";
import { errnoName, errnoText } from "../../base/errno.ts";
import {
  Directory,
  openDirectoryBelow,
  readDirectory,
  rewindDirectory,
} from "../../platform/files.ts";

/** O_NONBLOCK and O_NOCTTY: the name may have become a FIFO or a terminal since it was checked. */
const FILE_FLAGS =
  constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/** The type of a directory entry. Only files and directories are served. */
export type Kind = "file" | "directory" | "symlink" | "FIFO" | "socket" | "device" | "unknown";

export interface Listed {
  readonly name: string;
  readonly kind: Kind;
}

/** Identifies one state of a file. Times in milliseconds with fractions. */
export interface FileStamp {
  readonly dev: number;
  readonly ino: number;
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
}

type KindTests = Pick<
  Stats,
  "isFile" | "isDirectory" | "isSymbolicLink" | "isFIFO" | "isSocket" | "isBlockDevice"
> & { isCharacterDevice(): boolean };

/** The kind of a directory entry or of a stat result. */
export function kindOf(tests: KindTests): Kind {
  if (tests.isFile()) return "file";
  if (tests.isDirectory()) return "directory";
  if (tests.isSymbolicLink()) return "symlink";
  if (tests.isFIFO()) return "FIFO";
  if (tests.isSocket()) return "socket";
  return tests.isBlockDevice() || tests.isCharacterDevice() ? "device" : "unknown";
}

/** The stamp of a file, from stat(2). */
export function stampOf({ dev, ino, size, mtimeMs, ctimeMs }: Stats): FileStamp {
  return { dev, ino, size, mtimeMs, ctimeMs };
}

/** True when all fields of the two stamps are equal. */
export function isSameStamp(a: FileStamp, b: FileStamp): boolean {
  const same = a.ino === b.ino && a.dev === b.dev && a.size === b.size;
  return same && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs;
}

/** The path of a name in an open directory, for any call that takes a path. */
function inside(directory: number, name: string): Buffer {
  return Buffer.from(`/proc/self/fd/${directory}/${name}`, "latin1");
}

/** The path of an open directory, for calls that take no descriptor. */
export function descriptorPath(directory: number): string {
  return `/proc/self/fd/${directory}`;
}

/**
 * Opens the directory that is to be served. The path may lead through symlinks, since the
 * administrator gave it; `realPath`, for `reopenRoot`, has none. Throws the kernel's error.
 */
export function openRoot(path: string): { readonly fd: number; readonly realPath: string } {
  const realPath = realpathSync(path);
  return { fd: reopenRoot(realPath), realPath };
}

/** Opens it again. Fails when a component of the path has become a symlink. */
export function reopenRoot(realPath: string): number {
  const opened = Directory.openExact(realPath);
  if (typeof opened === "number") throw errnoError(opened, realPath);
  return opened.fd;
}

function errnoError(errno: number, path: string): Error {
  const error = new Error(`${errnoName(errno)}: ${errnoText(errno)}, '${path}'`);
  return Object.assign(error, { code: errnoName(errno) });
}

/** Bytes of a path that one system call takes: PATH_MAX without the NUL. */
const PATH_BYTES = 4095;

/**
 * A descriptor of the directory at `names` below `root`, without following a symlink. The caller
 * closes it. Throws an Error with the kernel's `code`.
 */
export function openBelow(root: number, names: readonly string[]): number {
  const path = names.length === 0 ? "." : names.join("/");
  if (path.length > PATH_BYTES && names.length > 1) {
    const half = Math.ceil(names.length / 2);
    const above = openBelow(root, names.slice(0, half));
    try {
      return openBelow(above, names.slice(half));
    } finally {
      closeSync(above);
    }
  }
  const fd = openDirectoryBelow(root, path);
  if (fd < 0) throw errnoError(fd, Buffer.from(path, "latin1").toString("utf8"));
  return fd;
}

/** Names in a directory; `isWhole`: all of them. */
export interface Listing {
  readonly listed: readonly Listed[];
  readonly names: ReadonlySet<string>;
  readonly isWhole: boolean;
}

/** Bytes of one read of a directory: some 200 entries. */
const LISTING_BYTES = 8 * 1024;

/** dirent.h's DT_*. */
const KINDS: Readonly<Record<number, Kind>> = {
  1: "FIFO",
  2: "device",
  4: "directory",
  6: "device",
  8: "file",
  10: "symlink",
  12: "socket",
};

/**
 * The names in an open directory, in the kernel's order; stops after `most` names. Yields between
 * reads. Throws an Error with the kernel's `code`.
 */
export function* listDirectory(directory: number, most: number): Generator<undefined, Listing> {
  const listed: Listed[] = [];
  const names = new Set<string>();
  const buffer = Buffer.alloc(LISTING_BYTES);
  rewindDirectory(directory);
  for (;;) {
    const entries = readDirectory(directory, buffer);
    if (typeof entries === "number") throw errnoError(entries, descriptorPath(directory));
    if (entries.length === 0) return { listed, names, isWhole: true };
    for (const { name, type } of entries) {
      if (name === "." || name === "..") continue;
      if (listed.length >= most) return { listed, names, isWhole: false };
      // Some file systems do not report the type (DT_UNKNOWN).
      const kind = KINDS[type] ?? kindAt(directory, name);
      if (kind === undefined) continue;
      listed.push({ name, kind });
      names.add(name);
    }
    yield undefined;
  }
}

function kindAt(directory: number, name: string): Kind | undefined {
  const stats = statIn(directory, name);
  return stats === undefined ? undefined : kindOf(stats);
}

/** lstat(2) of a name; undefined when it does not exist. */
export function statIn(directory: number, name: string): Stats | undefined {
  return lstatSync(inside(directory, name), { throwIfNoEntry: false });
}

/** A file as it was read; `bytes` undefined when it is larger than the limit. */
export interface FileRead {
  readonly stamp: FileStamp;
  readonly bytes: Uint8Array | undefined;
}

/** Reads a regular file of at most `limit` bytes; undefined when the name is not such a file. */
export function readFileIn(directory: number, name: string, limit: number): FileRead | undefined {
  const fd = openSync(inside(directory, name), FILE_FLAGS);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) return undefined;
    const stamp = stampOf(stats);
    return { stamp, bytes: stats.size > limit ? undefined : readAll(fd, stats.size, limit) };
  } finally {
    closeSync(fd);
  }
}

/** Reads to the end of the file, which may have moved since fstat when another process writes. */
function readAll(fd: number, size: number, limit: number): Uint8Array | undefined {
  // One byte more than expected: a short read then says that this was the end.
  let bytes = Buffer.allocUnsafeSlow(size + 1);
  let at = 0;
  for (;;) {
    const got = readSync(fd, bytes, at, bytes.length - at, at);
    at += got;
    if (at > limit) return undefined;
    if (at < bytes.length) return bytes.subarray(0, at);
    bytes = Buffer.concat([bytes], Math.min(2 * at, limit) + 1);
  }
}
