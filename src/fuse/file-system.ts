/**
 * What a FUSE session requires of a file system. Nodes are numbers (the root is 1). Each lookup
 * adds 1 to a node's count, and a node stays valid until FORGET has taken off as many. Results are
 * values or negative Errno numbers; a change may return a promise, and others go on meanwhile.
 */
import type { Errno } from "../base/errno.ts";

/** The root directory's node id (FUSE_ROOT_ID). */
export const ROOT_NODE = 1;

/** A result that is there now, or a promise of it. */
export type Eventual<T> = T | Promise<T>;

/** stat(2) of a node, and how long the kernel may cache it. */
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
  /** Seconds the kernel may cache name and attributes; 0: it asks each time. */
  readonly validSeconds: number;
}

/** The process that sent a request, and the signal that ends its wait. */
export interface Requester {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** The kernel's `unique`: unchanged when the request is sent again after a take-over. */
  readonly request: number;
  /** Aborted when the process was interrupted (FUSE_INTERRUPT) and the request is 1 s old. */
  readonly signal: AbortSignal;
}

/** SETATTR: undefined stays as it is. `mtime` (u32 seconds) is set only if atime was given too. */
export interface AttributeChange {
  readonly mode: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly size: number | undefined;
  readonly mtime: number | undefined;
  /** For an open descriptor (ftruncate, FATTR_FH), not by a path. */
  readonly isOpen: boolean;
}

/** An open file or directory. */
export interface Opened {
  readonly handle: number;
  /** FOPEN_DIRECT_IO: reads and writes bypass the page cache. */
  readonly direct: boolean;
}

/** A file that was created and opened by one request. */
export interface Created extends Opened {
  readonly attributes: Attributes;
}

/** Takes one entry of a listing; false: no room, the next READDIR continues with this entry. */
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

/** Names are latin1, one character per byte. `written` is valid only during the call. */
export interface FileSystem {
  /** Counts one lookup of the node. `pid`, here and in `open`: of the caller, 0 if not known. */
  lookup(parent: number, name: string, pid: number): Attributes | Errno;
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
  open(node: number, flags: number, pid: number): Opened | Errno;
  /** Counts one lookup. */
  create(parent: number, name: string, by: Requester): Eventual<Created | Errno>;
  read(node: number, handle: number, offset: number, size: number): Uint8Array | Errno;
  /** Bytes written. */
  write(node: number, at: WriteAt, written: Uint8Array, by: Requester): Eventual<number>;
  /** Puts every change that was answered on the disk (fsync(2)). */
  fsync(): 0 | Errno;
  release(node: number, handle: number): void;
  opendir(node: number): Opened | Errno;
  /** Lists the entries after `offset` (0: from the start). */
  readdir(node: number, handle: number, offset: number, add: AddEntry): 0 | Errno;
  releasedir(node: number, handle: number): void;
  statfs(): FileSystemFigures;
  /** The path of the node, or of `name` in it, for logs and traces. */
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
