/**
 * The server's side of a connection's directory in /dev/shm with its six files: makes it, names it,
 * gives the files to the client, removes it (libqb ipc_shm.c). The server keeps the directory (mode
 * 0710), so the client can use the files but not rename, replace or remove them.
 */
import { Errno } from "../base/errno.ts";
import { atExit } from "../platform/at-exit.ts";
import {
  closeDescriptor,
  type FileDirectory,
  giveFile,
  giveFileToGroup,
  lockFile,
  namesIn,
  Share,
  shareFile,
} from "../platform/files.ts";
import type { Credentials } from "../platform/socket.ts";
import { RingHeader } from "../wire/qb.ts";
import {
  initRing,
  RING_NAMES,
  type RingFiles,
  type RingName,
  RingSet,
  ringSetBytes,
} from "./ring-set.ts";

/** The directory of ring directories, as in libqb. */
export const SHM = "/dev/shm";

/** The client's group may search the directory, which suffices to open files by name. */
const DIRECTORY_MODE = 0o710;
const FILE_MODE = 0o600;
const GROUP_FILE_MODE = 0o660;

/** The names of a ring's files without their suffix, such as `qb-request-pve2`. */
function stem(ring: RingName, service: string): string {
  return `qb-${ring}-${service}`;
}

/** The six file names of a service's ring directory. */
export function ringFileNames(service: string): string[] {
  return RING_NAMES.flatMap((ring) => [
    `${stem(ring, service)}-header`,
    `${stem(ring, service)}-data`,
  ]);
}

/**
 * A new name `qb-<server pid>-<client pid>-<descriptor>-<random>` (libqb ipc_setup.c). The random
 * part has 12 hex digits; libqb's has 6 letters and digits (mkdtemp(3)).
 */
export function newDirectoryName(clientPid: number, socketFd: number): string {
  const random = Buffer.from(crypto.getRandomValues(new Uint8Array(6))).toString("hex");
  return `qb-${process.pid}-${clientPid}-${socketFd}-${random}`;
}

const DIRECTORY_NAME = /^qb-([1-9][0-9]{0,9})-([0-9]+)-[0-9]+-([A-Za-z0-9]+)$/;
const OUR_RANDOM = /^[0-9a-f]{12}$/;

/** The parts of a ring directory's name. */
export interface DirectoryName {
  readonly serverPid: number;
  /** 0: prepared, without a client yet. */
  readonly clientPid: number;
  /** Made by this program, not by libqb. */
  readonly isOurs: boolean;
}

/** Undefined for the name of anything else. */
export function parseDirectoryName(name: string): DirectoryName | undefined {
  const [, server, client, random = ""] = DIRECTORY_NAME.exec(name) ?? [];
  if (server === undefined) return undefined;
  const isOurs = OUR_RANDOM.test(random);
  return { serverPid: Number(server), clientPid: Number(client), isOurs };
}

/** One connection's directory, files and mappings; owns all of them until disposed. */
export class RingDirectory implements Disposable {
  readonly set: RingSet;
  readonly dataBytes: number;
  readonly #service: string;
  readonly #parent: FileDirectory;
  /** Open only until the files are given away: an open connection holds only its socket. */
  #directory: FileDirectory | undefined;
  readonly #descriptors: number[];
  readonly #inode: number;
  readonly #atExit = atExit(() => this[Symbol.dispose]());
  #name: string;

  private constructor(made: Made, set: RingSet) {
    this.set = set;
    this.dataBytes = made.dataBytes;
    this.#service = made.service;
    this.#parent = made.parent;
    this.#directory = made.directory;
    this.#descriptors = made.descriptors;
    this.#inode = made.directory.inode;
    this.#name = made.name;
  }

  /**
   * Makes a directory with six files of reserved pages, and maps them. On an error nothing is left:
   * ENOSPC (/dev/shm is full or has no inodes), EMFILE, ENOMEM, EACCES; EAGAIN: a process that
   * looks for stale directories holds the lock.
   */
  static make(parent: FileDirectory, service: string, dataBytes: number): RingDirectory | Errno {
    const name = newDirectoryName(0, 0);
    const directory = parent.makeSub(name);
    if (typeof directory === "number") return directory;
    const made: Made = { parent, directory, name, service, dataBytes, descriptors: [] };
    const set = makeFiles(made);
    if (typeof set !== "number") return new RingDirectory(made, set);
    removeMade(made);
    return set;
  }

  /**
   * Names the directory after its client and gives it the files. EPERM: this process may not change
   * their owner or group, nor set an ACL for the client. ENOENT: they were removed meanwhile.
   */
  giveTo(peer: Credentials, socketFd: number): 0 | Errno {
    const name = newDirectoryName(peer.pid, socketFd);
    const renamed = this.#parent.rename(this.#name, name);
    if (renamed) return renamed;
    this.#name = name;
    for (const ring of RING_NAMES) {
      const prefix = this.prefix(ring);
      initRing(this.set.rings[ring], `${prefix}-header`, `${prefix}-data`);
    }
    const given = this.#giveFiles(peer);
    this.#closeFiles();
    // Truncated already, by a process that opened the files before their owner was changed.
    return given || (this.set.vanished ? Errno.ENOENT : 0);
  }

  /**
   * Changes the owner; if that is not permitted (a server that is not root), adds an ACL entry, or
   * changes the group.
   */
  #giveFiles(peer: Credentials): 0 | Errno {
    const directory = this.#directory;
    if (directory === undefined) return Errno.EBADF;
    const ownUid = process.geteuid?.() ?? 0;
    const given =
      this.#each((fd) => giveFile(fd, peer.uid, peer.gid, FILE_MODE)) ||
      directory.give(ownUid, peer.gid, DIRECTORY_MODE);
    if (given !== Errno.EPERM) return given;
    // The server's own uid and root can open them anyway.
    if (peer.uid === ownUid || peer.uid === 0) return 0;
    const shared =
      this.#each((fd) => shareFile(fd, peer.uid, Share.FILE)) || directory.share(peer.uid);
    if (shared === 0) return 0;
    const byGroup =
      this.#each((fd) => giveFileToGroup(fd, peer.gid, GROUP_FILE_MODE)) ||
      directory.giveToGroup(peer.gid, DIRECTORY_MODE);
    return byGroup === 0 ? 0 : Errno.EPERM;
  }

  #each(action: (fd: number) => 0 | Errno): 0 | Errno {
    for (const fd of this.#descriptors) {
      const failed = action(fd);
      if (failed) return failed;
    }
    return 0;
  }

  /** Bytes of /dev/shm that the files take. */
  get bytes(): number {
    return ringSetBytes(this.dataBytes);
  }

  /** The path prefix for the handshake's answer; the files are `<prefix>-header` and `-data`. */
  prefix(ring: RingName): string {
    return `${SHM}/${this.#name}/${stem(ring, this.#service)}`;
  }

  #closeFiles(): void {
    for (const fd of this.#descriptors) closeDescriptor(fd);
    this.#descriptors.length = 0;
    this.#directory?.[Symbol.dispose]();
    this.#directory = undefined;
  }

  /** Unmaps, and removes our six files and the directory; files added by others are not touched. */
  [Symbol.dispose](): void {
    this.#atExit[Symbol.dispose]();
    this.set[Symbol.dispose]();
    this.#closeFiles();
    const opened = this.#parent.openSub(this.#name);
    if (opened === Errno.EMFILE || opened === Errno.ENFILE) {
      this.#removeUnopened();
      return;
    }
    const directory = this.#ifOwn(opened) ?? this.#find();
    if (directory === undefined) return;
    for (const name of ringFileNames(this.#service)) directory.unlink(name);
    directory[Symbol.dispose]();
    this.#parent.removeSub(this.#name);
  }

  /**
   * Removes the directory by its path, when no descriptor is free: nothing would remove it later.
   * Only root and this uid can have put another one there.
   */
  #removeUnopened(): void {
    const entry = this.#parent.lookAt(this.#name);
    if (entry?.isDirectory !== true || entry.uid !== process.geteuid?.()) return;
    for (const name of ringFileNames(this.#service)) this.#parent.unlink(`${this.#name}/${name}`);
    this.#parent.removeSub(this.#name);
  }

  /** What was opened, if it is this directory; undefined if it is another one, or an errno. */
  #ifOwn(directory: FileDirectory | Errno): FileDirectory | undefined {
    if (typeof directory === "number") return undefined;
    if (directory.inode === this.#inode) return directory;
    directory[Symbol.dispose]();
    return undefined;
  }

  /**
   * Finds this directory under another name: if a process of our uid has renamed it, its memory
   * would otherwise never be freed.
   */
  #find(): FileDirectory | undefined {
    for (const name of namesIn(SHM) ?? []) {
      const directory = this.#ifOwn(this.#parent.openSub(name));
      if (directory === undefined) continue;
      this.#name = name;
      return directory;
    }
    return undefined;
  }
}

interface Made {
  readonly parent: FileDirectory;
  readonly directory: FileDirectory;
  readonly name: string;
  readonly service: string;
  readonly dataBytes: number;
  readonly descriptors: number[];
}

/**
 * Makes and maps the files. The lock on the first one marks the directory as used by a live server
 * until it is unmapped (stale-directories.ts). A process that looks for stale directories takes it
 * for an instant, so it is tried again after each further ring.
 */
function makeFiles(made: Made): RingSet | Errno {
  const { directory, service, dataBytes, descriptors } = made;
  const files: RingFiles[] = [];
  let locked: 0 | Errno = Errno.EAGAIN;
  for (const ring of RING_NAMES) {
    const header = directory.makeFile(`${stem(ring, service)}-header`, RingHeader.fileBytes);
    if (header < 0) return header as Errno;
    descriptors.push(header);
    const data = directory.makeFile(`${stem(ring, service)}-data`, dataBytes);
    if (data < 0) return data as Errno;
    descriptors.push(data);
    files.push({ header, data, dataBytes });
    if (locked === Errno.EAGAIN) locked = lockFile(files[0]?.header ?? header);
  }
  // Any other errno: this file system has no locks, and the liveness of the directory is unknown.
  if (locked === Errno.EAGAIN) return locked;
  return RingSet.map(files as [RingFiles, RingFiles, RingFiles]);
}

function removeMade(made: Made): void {
  for (const fd of made.descriptors) closeDescriptor(fd);
  for (const name of ringFileNames(made.service)) made.directory.unlink(name);
  made.directory[Symbol.dispose]();
  made.parent.removeSub(made.name);
}
