/**
 * Directories and files by descriptor: made with O_EXCL|O_NOFOLLOW, given away by fchown, removed
 * by unlinkat. No path is looked up twice. A `Directory` owns its descriptor.
 */
import { Errno } from "../base/errno.ts";
import { cString, shim } from "./shim.ts";

/** The parent argument for paths that are absolute or relative to the working directory. */
const NO_PARENT = -1;

/** Closes a descriptor that a function of this layer returned. */
export function closeDescriptor(fd: number): void {
  shim.shim_close(fd);
}

/** Opens a regular file read-write, not through a symlink; a descriptor or an errno. */
export function openFile(path: string): number {
  return shim.shim_file_open(NO_PARENT, cString(path));
}

/** Bytes of an open file, or a negative errno. */
export function fileSize(fd: number): number {
  return shim.shim_file_size(fd);
}

/** Raises RLIMIT_NOFILE as far as permitted; the number of descriptors this process may have. */
export function raiseDescriptorLimit(): number {
  return shim.shim_raise_descriptors();
}

/** Gives an open file away: mode, then owner. EPERM when this process may not. */
export function giveFile(fd: number, uid: number, gid: number, mode: number): 0 | Errno {
  return shim.shim_give(fd, uid, gid, mode) as 0 | Errno;
}

/** As `giveFile` for the group alone, which a process may do for its own groups. EPERM. */
export function giveFileToGroup(fd: number, gid: number, mode: number): 0 | Errno {
  return shim.shim_give_group(fd, gid, mode) as 0 | Errno;
}

/** What an access list grants a user on another user's file or directory. */
export const Share = { FILE: 6, DIRECTORY: 1 } as const;

/** Lets `uid` use an open file of ours, by an access list. EOPNOTSUPP: the file system has none. */
export function shareFile(fd: number, uid: number, permissions: number): 0 | Errno {
  return shim.shim_share(fd, uid | 0, permissions) as 0 | Errno;
}

/**
 * Locks an open file (flock(2)) until its descriptor is closed and all its mappings are gone: for
 * other processes to see that its owner lives, whatever pid namespace they are in. EAGAIN: another
 * process holds the lock.
 */
export function lockFile(fd: number): 0 | Errno {
  return shim.shim_lock(fd) as 0 | Errno;
}

const look = new Int32Array(3);

/** An entry of a directory: its owner, whether it is a directory, seconds since its last change. */
export interface Entry {
  readonly uid: number;
  readonly isDirectory: boolean;
  readonly ageS: number;
}

/** Sets the mode of an open file or directory. */
export function setMode(fd: number, mode: number): 0 | Errno {
  return shim.shim_set_mode(fd, mode) as 0 | Errno;
}

/** Writes the content of an open file to its disk. */
export function syncFile(fd: number): 0 | Errno {
  return shim.shim_sync(fd) as 0 | Errno;
}

/** Operations on a directory. An interface, so that tests can make each call fail. */
export interface FileDirectory extends Disposable {
  /** Its inode number: stays, whatever it is renamed to. */
  readonly inode: number;
  /** Opens a directory in this one, not through a symlink. */
  openSub(name: string): FileDirectory | Errno;
  /** Makes a directory of mode 0700 in this one. EEXIST, ENOSPC, EMFILE. */
  makeSub(name: string): FileDirectory | Errno;
  /** Makes a file of mode 0600 with `size` reserved zero bytes; its descriptor, or an errno. */
  makeFile(name: string, size: number): number;
  /** Gives the directory away: mode, then owner. ENOENT: somebody has removed it. */
  give(uid: number, gid: number, mode: number): 0 | Errno;
  /** As `giveFileToGroup` and `shareFile`, for the directory. */
  giveToGroup(gid: number, mode: number): 0 | Errno;
  share(uid: number): 0 | Errno;
  rename(from: string, to: string): 0 | Errno;
  unlink(name: string): 0 | Errno;
  removeSub(name: string): 0 | Errno;
}

/** An entry as getdents64(2) gives it. */
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

/** Opens a directory below an open one, through no symlink; a descriptor, or an errno. */
export function openDirectoryBelow(directory: number, path: string): number {
  return shim.shim_dir_open_below(directory, cString(path));
}

/** Restarts the listing of an open directory. */
export function rewindDirectory(directory: number): void {
  shim.shim_dir_rewind(directory);
}

/** The next entries of an open directory, as many as the buffer takes; none at the end. */
export function readDirectory(directory: number, buffer: Buffer): DirectoryEntry[] | Errno {
  const got = shim.shim_dir_read(directory, buffer, buffer.length);
  return got < 0 ? (got as Errno) : [...parseEntries(buffer, got)];
}

/** An open directory. */
export class Directory implements FileDirectory {
  readonly fd: number;
  #closed = false;

  private constructor(fd: number) {
    this.fd = fd;
  }

  static open(path: string): Directory | Errno {
    const fd = shim.shim_dir_open(NO_PARENT, cString(path));
    return fd < 0 ? (fd as Errno) : new Directory(fd);
  }

  /** The entry `name`, no symlink followed; undefined when there is none. */
  lookAt(name: string): Entry | undefined {
    if (shim.shim_look_at(this.fd, cString(name), look) < 0) return undefined;
    const [uid = 0, isDirectory = 0, ageS = 0] = look;
    return { uid: uid >>> 0, isDirectory: isDirectory === 1, ageS };
  }

  /**
   * Opens a regular file in this one read-write, not through a symlink; a descriptor or an errno.
   */
  openFile(name: string): number {
    return shim.shim_file_open(this.fd, cString(name));
  }

  /** Opens an absolute path in which no component is a symlink; ELOOP or ENOTDIR if one is. */
  static openExact(path: string): Directory | Errno {
    const fd = shim.shim_dir_open_exact(cString(Buffer.from(path, "utf8").toString("latin1")));
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

  /** Whether it has no entries; false also when it cannot be listed. */
  isEmpty(): boolean {
    const buffer = Buffer.alloc(4096);
    rewindDirectory(this.fd);
    for (;;) {
      const entries = readDirectory(this.fd, buffer);
      if (typeof entries === "number") return false;
      if (entries.length === 0) return true;
      if (entries.some(({ name }) => name !== "." && name !== "..")) return false;
    }
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
