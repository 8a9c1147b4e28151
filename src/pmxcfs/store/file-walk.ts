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
  readdirSync,
  readSync,
  type Stats,
} from "node:fs";

/** O_NOCTTY is for terminals that lie about being files. */
const FILE_FLAGS =
  constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
const DIRECTORY_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

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

/** Opens the directory `path` for reading below it; throws the error of open(2). */
export function openRoot(path: string): number {
  // The directory that was named may be a symlink; nothing in it is followed.
  return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
}

/** Runs `use` with the directory `names` leads to from `root`. Throws what the kernel says. */
export function withDirectory<T>(
  root: number,
  names: readonly string[],
  use: (directory: number) => T,
): T {
  const [first, ...rest] = names;
  if (first === undefined) return use(root);
  const directory = openSync(inside(root, first), DIRECTORY_FLAGS);
  try {
    return withDirectory(directory, rest, use);
  } finally {
    closeSync(directory);
  }
}

/** What a directory holds, in the order in which it lists it. */
export function listDirectory(directory: number): Listed[] {
  const path = descriptorPath(directory);
  const entries = readdirSync(path, { withFileTypes: true });
  const exact = entries.every(({ name }) => !name.includes("\uFFFD"));
  if (exact) {
    return entries.map((entry) => {
      const name = toLatin1(entry.name);
      const kind = kindOf(entry);
      return { name, kind: kind === "unknown" ? (kindAt(directory, name) ?? kind) : kind };
    });
  }
  // A name that is not UTF-8: only the bytes are right, and they come without kinds.
  return readdirSync(path, { encoding: "buffer" }).flatMap((bytes) => {
    const name = bytes.toString("latin1");
    const kind = kindAt(directory, name);
    return kind === undefined ? [] : [{ name, kind }];
  });
}

function toLatin1(name: string): string {
  return /^[ -~]*$/.test(name) ? name : Buffer.from(name, "utf8").toString("latin1");
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
