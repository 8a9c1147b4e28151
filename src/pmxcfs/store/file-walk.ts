/**
 * A directory tree of somebody else, read without being led astray: every step is taken from an
 * open directory (/proc/self/fd/N/NAME) and none through a symlink; FIFOs, sockets and devices
 * are never opened; names are bytes, kept as latin1. Descriptors are closed before each function
 * returns.
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

/** O_NOCTTY is for terminals that lie about being files. */
const FILE_FLAGS =
  constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/** What a name stands for; `other` is what is left out, and why. */
export type Kind = "file" | "directory" | "symlink" | "FIFO" | "socket" | "device" | "unknown";

export interface Listed {
  readonly name: string;
  readonly kind: Kind;
}

/** What tells one state of a file from another. Times in milliseconds with fractions. */
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

/** What identifies the content of a file: device, inode, size, mtime and ctime in ms. */
export function stampOf({ dev, ino, size, mtimeMs, ctimeMs }: Stats): FileStamp {
  return { dev, ino, size, mtimeMs, ctimeMs };
}

/** True when nothing of the two stamps differs. */
export function isSameStamp(a: FileStamp, b: FileStamp): boolean {
  const same = a.ino === b.ino && a.dev === b.dev && a.size === b.size;
  return same && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs;
}

/** The path of a name in an open directory, for any call that takes a path. */
function inside(directory: number, name: string): Buffer {
  return Buffer.from(`/proc/self/fd/${directory}/${name}`, "latin1");
}

/** The path by which other programs of this process reach an open directory. */
export function descriptorPath(directory: number): string {
  return `/proc/self/fd/${directory}`;
}

/**
 * Opens the directory that is to be served; a descriptor. The path may lead through symlinks: it
 * is the caller's word. `realPath` is where it led, for looking again. Throws what the kernel says.
 */
export function openRoot(path: string): { readonly fd: number; readonly realPath: string } {
  const realPath = realpathSync(path);
  return { fd: reopenRoot(realPath), realPath };
}

/** Opens it again: by now no component may have become a symlink. */
export function reopenRoot(realPath: string): number {
  const opened = Directory.openExact(realPath);
  if (typeof opened === "number") throw errnoError(opened, realPath);
  return opened.fd;
}

function errnoError(errno: number, path: string): Error {
  const error = new Error(`${errnoName(errno)}: ${errnoText(errno)}, '${path}'`);
  return Object.assign(error, { code: errnoName(errno) });
}

/**
 * A descriptor of the directory `names` lead to from `root`, through no symlink; the caller closes
 * it. Throws an Error with the kernel's `code`.
 */
export function openBelow(root: number, names: readonly string[]): number {
  const path = names.length === 0 ? "." : names.join("/");
  const fd = openDirectoryBelow(root, path);
  if (fd < 0) throw errnoError(fd, Buffer.from(path, "latin1").toString("utf8"));
  return fd;
}

/** What a directory holds; not all of it if there is more than was wanted. */
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
 * What an open directory holds, in the order in which it lists it; stops after `most` names. Yields
 * between reads. Throws an Error with the kernel's `code`.
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
      // A file system that does not say what an entry is.
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

/** lstat(2) of a name; undefined when there is nothing. */
export function statIn(directory: number, name: string): Stats | undefined {
  return lstatSync(inside(directory, name), { throwIfNoEntry: false });
}

/** A file as it was read; `bytes` undefined when it is larger than the limit. */
export interface FileRead {
  readonly stamp: FileStamp;
  readonly bytes: Uint8Array | undefined;
}

/** Reads a regular file of at most `limit` bytes; undefined when the name is none (any more). */
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

/** Reads to the end, which may be elsewhere than fstat said when somebody writes meanwhile. */
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
