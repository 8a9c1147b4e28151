/**
 * Directories and files by descriptor: created with O_EXCL|O_NOFOLLOW, given away by fchown,
 * removed by unlinkat. No path is looked up twice. A `Directory` owns its descriptor.
 */
import { readdirSync, statSync } from "node:fs";
import { Errno } from "../base/errno.ts";
import { cString, cText, shim } from "./shim.ts";

/** The parent argument for paths that are absolute or relative to the working directory. */
const NO_PARENT = -1;

/** The names in the directory `path`; undefined if it cannot be read. */
export function namesIn(path: string): string[] | undefined {
  try {
    return readdirSync(path);
  } catch {
    return undefined;
  }
}

/** Whether two paths lead to one file; false when there is none. Throws the kernel's error. */
export function isSameFile(one: string, other: string): boolean {
  const [a, b] = [one, other].map((path) => {
    // Inode numbers of 64 bits: two of them may be one number of JavaScript.
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  });
  return a !== undefined && a.ino === b?.ino && a.dev === b.dev;
}

/** Closes a descriptor that a function of src/platform returned. */
export function closeDescriptor(fd: number): void {
  shim.shim_close(fd);
}

/**
 * Opens a regular file for reading and writing; `path` is latin1, as it comes from a peer. Returns
 * a descriptor, or ELOOP (a symlink), EINVAL (another kind of file) and the errnos of open(2).
 */
export function openFile(path: string): number {
  return shim.shim_file_open(NO_PARENT, cString(path));
}

/** The size of an open file, or a negative errno. */
export function fileSize(fd: number): number {
  return shim.shim_file_size(fd);
}

/** Raises RLIMIT_NOFILE to its hard limit; returns the limit of descriptors now in force. */
export function raiseDescriptorLimit(): number {
  return shim.shim_raise_descriptors();
}

/** Sets the mode, then the owner, of an open file. EPERM: this process may not. */
export function giveFile(fd: number, uid: number, gid: number, mode: number): 0 | Errno {
  return shim.shim_give(fd, uid, gid, mode) as 0 | Errno;
}

/** As `giveFile`, for the group only, which a process may set to one of its own groups. EPERM. */
export function giveFileToGroup(fd: number, gid: number, mode: number): 0 | Errno {
  return shim.shim_give_group(fd, gid, mode) as 0 | Errno;
}

/** Permissions that an ACL entry grants: read and write a file; search a directory. */
export const Share = { FILE: 6, DIRECTORY: 1 } as const;

/** Adds an ACL entry for `uid` to an open file. EOPNOTSUPP: the file system has no ACLs. */
export function shareFile(fd: number, uid: number, permissions: number): 0 | Errno {
  return shim.shim_share(fd, uid | 0, permissions) as 0 | Errno;
}

/**
 * Locks an open file (flock(2)) until its descriptor is closed and all its mappings are gone, which
 * shows other processes, in any pid namespace, that its owner is alive. EAGAIN: another process
 * holds the lock.
 */
export function lockFile(fd: number): 0 | Errno {
  return shim.shim_lock(fd) as 0 | Errno;
}

const look = new Int32Array(3);

/** An entry of a directory: its owner, whether it is a directory, and seconds since its ctime. */
export interface Entry {
  readonly uid: number;
  readonly isDirectory: boolean;
  readonly ageS: number;
}

/** Sets the mode of an open file or directory. EPERM: it belongs to another user. */
export function setMode(fd: number, mode: number): 0 | Errno {
  return shim.shim_set_mode(fd, mode) as 0 | Errno;
}

/** Writes the content of an open file to its disk (fsync(2)). EIO, ENOSPC. */
export function syncFile(fd: number): 0 | Errno {
  return shim.shim_sync(fd) as 0 | Errno;
}

/**
 * A name in UTF-16, such as one of the command line, as the methods of a directory take it: the
 * latin1 string of its UTF-8 bytes.
 */
export function latin1Name(name: string): string {
  return Buffer.from(name, "utf8").toString("latin1");
}

/**
 * Operations on a directory; an interface, so that tests can make each call fail. Names are latin1,
 * one character per byte.
 */
export interface FileDirectory extends Disposable {
  /** Its inode number, which stays the same when it is renamed. */
  readonly inode: number;
  /** The entry `name`, no symlink followed; undefined if there is none or it cannot be read. */
  lookAt(name: string): Entry | undefined;
  /** Opens a directory in this one, not through a symlink. */
  openSub(name: string): FileDirectory | Errno;
  /** Makes a directory of mode 0700 in this one. EEXIST, ENOSPC, EMFILE. */
  makeSub(name: string): FileDirectory | Errno;
  /** Makes a file of mode 0600 with `size` reserved zero bytes; its descriptor, or an errno. */
  makeFile(name: string, size: number): number;
  /** Sets the mode, then the owner, of the directory. ENOENT: it was removed meanwhile. */
  give(uid: number, gid: number, mode: number): 0 | Errno;
  /** As `giveFileToGroup` and `shareFile`, for the directory. */
  giveToGroup(gid: number, mode: number): 0 | Errno;
  share(uid: number): 0 | Errno;
  rename(from: string, to: string): 0 | Errno;
  unlink(name: string): 0 | Errno;
  removeSub(name: string): 0 | Errno;
}

/** An entry from getdents64(2). */
export interface DirectoryEntry {
  /** Latin1, one character per byte. */
  readonly name: string;
  /** dirent.h's DT_*; 0 when the file system does not say. */
  readonly type: number;
}

/** linux_dirent64: inode, offset, record length, type, name. */
const RECORD_LENGTH_AT = 16;
const TYPE_AT = 18;
const NAME_AT = 19;

/** The entries in the first `length` bytes of a buffer that shim_dir_read filled. */
function* parseEntries(buffer: Buffer, length: number): Generator<DirectoryEntry> {
  for (let at = 0; at + NAME_AT < length;) {
    const end = at + buffer.readUInt16LE(at + RECORD_LENGTH_AT);
    const nul = buffer.indexOf(0, at + NAME_AT);
    yield { name: buffer.toString("latin1", at + NAME_AT, nul), type: buffer[at + TYPE_AT] ?? 0 };
    at = end;
  }
}

/**
 * Opens a directory below an open one, following no symlink in any component. Returns a descriptor,
 * or EXDEV (the path is absolute or leads out of the directory) and the errnos of openat2(2).
 */
export function openDirectoryBelow(directory: number, path: string): number {
  return shim.shim_dir_open_below(directory, cString(path));
}

/** Restarts the listing of an open directory. */
export function rewindDirectory(directory: number): void {
  shim.shim_dir_rewind(directory);
}

/** The next entries of an open directory, as many as fit in the buffer; none at the end. */
export function readDirectory(directory: number, buffer: Buffer): DirectoryEntry[] | Errno {
  const got = shim.shim_dir_read(directory, buffer, buffer.length);
  return got < 0 ? (got as Errno) : [...parseEntries(buffer, got)];
}

/** An open directory. Names in it are latin1, one character per byte. */
export class Directory implements FileDirectory {
  readonly fd: number;
  #closed = false;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** Opens `path`; its last component must not be a symlink. ENOENT, ENOTDIR, EACCES. */
  static open(path: string): Directory | Errno {
    const fd = shim.shim_dir_open(NO_PARENT, cText(path));
    return fd < 0 ? (fd as Errno) : new Directory(fd);
  }

  lookAt(name: string): Entry | undefined {
    if (shim.shim_look_at(this.fd, cString(name), look) < 0) return undefined;
    const [uid = 0, isDirectory = 0, ageS = 0] = look;
    return { uid: uid >>> 0, isDirectory: isDirectory === 1, ageS };
  }

  /**
   * Opens a regular file in this directory for reading and writing, not through a symlink; a
   * descriptor or an errno.
   */
  openFile(name: string): number {
    return shim.shim_file_open(this.fd, cString(name));
  }

  /** Opens an absolute path in which no component is a symlink; ELOOP or ENOTDIR if one is. */
  static openExact(path: string): Directory | Errno {
    const fd = shim.shim_dir_open_exact(cText(path));
    return fd < 0 ? (fd as Errno) : new Directory(fd);
  }

  openSub(name: string): Directory | Errno {
    const fd = shim.shim_dir_open(this.fd, cString(name));
    return fd < 0 ? (fd as Errno) : new Directory(fd);
  }

  makeSub(name: string): Directory | Errno {
    const fd = shim.shim_dir_make(this.fd, cString(name));
    return fd < 0 ? (fd as Errno) : new Directory(fd);
  }

  makeFile(name: string, size: number): number {
    return shim.shim_file_make(this.fd, cString(name), size);
  }

  /** Makes an empty file of mode 0600; a descriptor for writing, or an errno (EEXIST). */
  newFile(name: string): number {
    return shim.shim_file_new(this.fd, cString(name));
  }

  /** Its names; undefined if there are more than `most`, or it cannot be listed. */
  names(most: number): string[] | undefined {
    const buffer = Buffer.alloc(4096);
    const names: string[] = [];
    rewindDirectory(this.fd);
    while (names.length <= most) {
      const entries = readDirectory(this.fd, buffer);
      if (typeof entries === "number") return undefined;
      if (entries.length === 0) return names;
      const found = entries.map(({ name }) => name);
      names.push(...found.filter((name) => name !== "." && name !== ".."));
    }
    return undefined;
  }

  /** Whether it has no entries; false if it cannot be listed. */
  isEmpty(): boolean {
    return this.names(0) !== undefined;
  }

  get inode(): number {
    return shim.shim_inode(this.fd);
  }

  give(uid: number, gid: number, mode: number): 0 | Errno {
    return giveFile(this.fd, uid, gid, mode);
  }

  giveToGroup(gid: number, mode: number): 0 | Errno {
    return giveFileToGroup(this.fd, gid, mode);
  }

  share(uid: number): 0 | Errno {
    return shareFile(this.fd, uid, Share.DIRECTORY);
  }

  rename(from: string, to: string): 0 | Errno {
    return shim.shim_rename(this.fd, cString(from), cString(to)) as 0 | Errno;
  }

  unlink(name: string): 0 | Errno {
    return shim.shim_unlink(this.fd, cString(name)) as 0 | Errno;
  }

  removeSub(name: string): 0 | Errno {
    return shim.shim_rmdir(this.fd, cString(name)) as 0 | Errno;
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    shim.shim_close(this.fd);
  }
}
