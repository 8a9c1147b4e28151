/**
 * What a FUSE session asks of a file system. Nodes are numbers (the root is 1); a node that was
 * given out by an answer stays valid until it is forgotten as often. Results are values or negative
 * Errno numbers; a changing operation may answer later, by a promise, without blocking others.
 */
import type { Errno } from "../base/errno.ts";

/** The root directory's node id (FUSE_ROOT_ID). */
export const ROOT_NODE = 1;

/** Now or later. */
export type Eventual<T> = T | Promise<T>;

/** stat(2) of a node, and how long the kernel may keep it. */
export interface Attributes {
  /** Node id and st_ino. */
  readonly node: number;
  /** Type and permission bits. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Unix seconds: atime, mtime and ctime. */
  readonly mtime: number;
  /** Seconds that name and attributes stay valid in the kernel; 0 asks each time. */
  readonly validSeconds: number;
}

/** Who asks, and for how long an answer is waited for. */
export interface Requester {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** The kernel's number of the request: the same when it is sent again after a take-over. */
  readonly request: number;
  /** Aborted when the waiting process was interrupted and the request is older than a second. */
  readonly signal: AbortSignal;
}

/** SETATTR: only what is to change. `mtime` (u32 seconds) only when both times were given. */
export interface AttributeChange {
  readonly mode: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly size: number | undefined;
  readonly mtime: number | undefined;
}

/** An open file or directory. */
export interface Opened {
  readonly handle: number;
  /** Past the page cache (FOPEN_DIRECT_IO). */
  readonly direct: boolean;
}

/** A node that was made and opened at once. */
export interface Created extends Opened {
  readonly attributes: Attributes;
}

/** Takes one entry of a listing; false when it did not fit, and the listing goes on later. */
export type AddEntry = (name: string, node: number, type: number, offset: number) => boolean;

/** statfs(2). */
export interface FileSystemFigures {
  readonly blockSize: number;
  readonly blocks: number;
  readonly blocksFree: number;
  readonly files: number;
  readonly filesFree: number;
  readonly nameLength: number;
}

/** Names are latin1, one character per byte. `written` bytes are good only during the call. */
export interface FileSystem {
  /** Counts one lookup of the node. */
  lookup(parent: number, name: string): Attributes | Errno;
  forget(node: number, lookups: number): void;
  getattr(node: number, handle: number | undefined): Attributes | Errno;
  setattr(node: number, change: AttributeChange, by: Requester): Eventual<Attributes | Errno>;
  readlink(node: number): string | Errno;
  /** `mode`: type and permission. Counts one lookup. */
  mknod(parent: number, name: string, mode: number, by: Requester): Eventual<Attributes | Errno>;
  /** Counts one lookup. */
  mkdir(parent: number, name: string, by: Requester): Eventual<Attributes | Errno>;
  unlink(parent: number, name: string, by: Requester): Eventual<0 | Errno>;
  rmdir(parent: number, name: string, by: Requester): Eventual<0 | Errno>;
  rename(from: Place, to: Place, flags: number, by: Requester): Eventual<0 | Errno>;
  open(node: number, flags: number): Opened | Errno;
  /** Counts one lookup. */
  create(parent: number, name: string, by: Requester): Eventual<Created | Errno>;
  read(node: number, handle: number, offset: number, size: number): Uint8Array | Errno;
  /** Bytes written. */
  write(node: number, at: WriteAt, written: Uint8Array, by: Requester): Eventual<number>;
  /** Everything that was answered is on disk as fsync(2) wants it. */
  fsync(): 0 | Errno;
  release(node: number, handle: number): void;
  opendir(node: number): Opened | Errno;
  /** Entries behind `offset` (0: from the start). */
  readdir(node: number, handle: number, offset: number, add: AddEntry): 0 | Errno;
  releasedir(node: number, handle: number): void;
  statfs(): FileSystemFigures;
  /** A path for people: of the node, or of `name` in it. Made only for logs and traces. */
  describe(node: number, name?: string): string;
}

/** A name in a directory. */
export interface Place {
  readonly parent: number;
  readonly name: string;
}

/** Where a write goes. */
export interface WriteAt {
  readonly handle: number;
  readonly offset: number;
}
