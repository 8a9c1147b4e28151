/**
 * A directory of somebody else as the in-memory tree: which names were seen in which state, what
 * is left out and why, and how one name is looked at again. Knows nothing of when to look; that is
 * directory.ts. Owns the watches of its directories.
 */
import { closeSync, fstatSync, type Stats } from "node:fs";
import { mountMadeNames } from "../state/private-path.ts";
import { CfsLimits } from "../../base/limits.ts";
import type { Inotify } from "../../platform/inotify.ts";
import { Watch } from "../../platform/inotify.ts";
import {
  descriptorPath,
  isSameStamp,
  kindOf,
  listDirectory,
  readFileIn,
  stampOf,
  statIn,
  withDirectory,
  type FileRead,
  type FileStamp,
  type Kind,
} from "./file-walk.ts";
import type { Entry, Memdb, Stamp } from "../state/memdb.ts";
import { errorText } from "../../base/error-text.ts";

/** A state this fresh may change again without a new time stamp (the kernel's clock ticks). */
const RACY_MS = 20;
/** Another file or directory may have the name now, even one with the same inode number. */
const REPLACED = Watch.CREATE | Watch.MOVED_TO;
/** Directories in directories: each level holds a descriptor while it is read. */
const MAX_DEPTH = 64;

/** A name in a directory, as it was when it was last looked at. */
interface Known {
  stamp: FileStamp;
  /** Look at the content again although the stamp is the same. */
  racy: boolean;
  /** Why it is not in the tree; undefined when it is. */
  leftOut: string | undefined;
}

export interface Folder {
  readonly entry: Entry;
  /** Names from the root to it. */
  readonly names: readonly string[];
  readonly above: Folder | undefined;
  readonly known: Map<string, Known>;
  readonly folders: Map<string, Folder>;
  stamp: FileStamp;
  /** inotify's number, negative when it is not watched. */
  watch: number;
}

export interface LeftOut {
  readonly path: string;
  readonly reason: string;
}

export interface DirectoryTreeOptions {
  readonly memdb: Memdb;
  readonly inotify: Inotify | undefined;
  /** Told of every name that is left out, once per reason. */
  readonly onLeftOut: (what: LeftOut) => void;
}

const UNKNOWN_STAMP: FileStamp = { dev: 0, ino: 0, size: 0, mtimeMs: 0, ctimeMs: 0 };

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

export class DirectoryTree {
  readonly #memdb: Memdb;
  readonly #inotify: Inotify | undefined;
  readonly #onLeftOut: (what: LeftOut) => void;
  readonly #byWatch = new Map<number, Folder>();
  readonly #folders = new Set<Folder>();
  readonly root: Folder;
  #rootFd: number;
  #version = 0;
  #removals = 0;

  constructor(options: DirectoryTreeOptions, rootFd: number) {
    this.#memdb = options.memdb;
    this.#inotify = options.inotify;
    this.#onLeftOut = options.onLeftOut;
    this.#rootFd = rootFd;
    this.root = newFolder(options.memdb.root, undefined, []);
    this.#folders.add(this.root);
    this.enter(rootFd, this.root);
  }

  get folders(): ReadonlySet<Folder> {
    return this.#folders;
  }

  /** Moves with every change of the in-memory tree. */
  get changes(): number {
    return this.#version + this.#removals;
  }

  /** What is left out at this moment. */
  *leftOut(): Generator<LeftOut> {
    for (const { names, known } of this.#folders) {
      for (const [name, { leftOut }] of known) {
        if (leftOut !== undefined) yield { path: [...names, name].join("/"), reason: leftOut };
      }
    }
  }

  folderOf(watch: number): Folder | undefined {
    return this.#byWatch.get(watch);
  }

  /** The kernel dropped a watch by itself. */
  forgetWatch(watch: number): void {
    const folder = this.#byWatch.get(watch);
    this.#byWatch.delete(watch);
    if (folder !== undefined) folder.watch = -1;
  }

  /** Another directory stands at the root's path: everything is looked at again. */
  reroot(rootFd: number): void {
    closeSync(this.#rootFd);
    this.#rootFd = rootFd;
    this.enter(rootFd, this.root);
  }

  close(): void {
    closeSync(this.#rootFd);
  }

  /** Runs `use` with an open directory; a folder that is no more is taken out of the tree. */
  within(folder: Folder, use: (directory: number) => void): void {
    try {
      withDirectory(this.#rootFd, folder.names, use);
    } catch (error) {
      const { above } = folder;
      const name = folder.names.at(-1);
      if (above === undefined || name === undefined) return;
      if (["ENOENT", "ENOTDIR", "ELOOP"].includes(codeOf(error))) {
        this.within(above, (directory) => this.look(directory, above, name, 0));
      } else {
        this.#leaveOut(above, name, UNKNOWN_STAMP, errorText(error));
      }
    }
  }

  /** Watches a directory, then looks at all that is in it, to the bottom. */
  enter(directory: number, folder: Folder): void {
    // Those that are new are entered when they are found.
    const before = [...folder.folders.keys()];
    this.visit(directory, folder, true);
    for (const name of before) this.#enterAgain(directory, folder, name);
  }

  /** Watches a directory and takes over which names came and went; or looks at `all` names. */
  visit(directory: number, folder: Folder, all: boolean): void {
    this.#watch(directory, folder);
    folder.stamp = stampOf(fstatSync(directory));
    const listed = listDirectory(directory);
    const names = new Set(listed.map(({ name }) => name));
    for (const name of folder.known.keys()) if (!names.has(name)) this.#gone(folder, name);
    for (const name of folder.folders.keys()) if (!names.has(name)) this.#gone(folder, name);
    for (const { name, kind } of listed) {
      const isNew = !folder.known.has(name) && !folder.folders.has(name);
      if (isNew && kind === "file") {
        this.#guarded(folder, name, () => this.#read(directory, folder, name, Watch.CREATE));
      } else if (isNew || all || kind !== "file") {
        this.look(directory, folder, name, 0);
      }
    }
  }

  /** Looks at one name; `mask` is what inotify said of it, 0 when nobody said anything. */
  look(directory: number, folder: Folder, name: string, mask: number): void {
    this.#guarded(folder, name, () => {
      const stats = statIn(directory, name);
      if (stats === undefined) return this.#gone(folder, name);
      const kind = kindOf(stats);
      if (kind === "directory") return this.#lookDirectory(directory, folder, name, stats, mask);
      const stamp = stampOf(stats);
      const known = folder.known.get(name);
      const same = known !== undefined && isSameStamp(known.stamp, stamp);
      if (same && !known.racy && (mask & Watch.MODIFY) === 0) return undefined;
      if (kind !== "file") return this.#leaveOut(folder, name, stamp, aKind(kind));
      return this.#read(directory, folder, name, mask);
    });
  }

  #guarded(folder: Folder, name: string, look: () => void): void {
    try {
      look();
    } catch (error) {
      const code = codeOf(error);
      if (code === "ENOENT") this.#gone(folder, name);
      else if (["EMFILE", "ENFILE", "ENOMEM", "EINTR"].includes(code)) this.#later(folder, name);
      else this.#leaveOut(folder, name, UNKNOWN_STAMP, errorText(error));
    }
  }

  /** No descriptor or memory now: what was served stays until the next look. */
  #later(folder: Folder, name: string): void {
    const known = folder.known.get(name);
    if (known === undefined) folder.stamp = UNKNOWN_STAMP;
    else known.racy = true;
  }

  #read(directory: number, folder: Folder, name: string, mask: number): void {
    if (folder === this.root && mountMadeNames.has(name)) {
      return this.#leaveOut(folder, name, UNKNOWN_STAMP, "pmxcfs makes it itself");
    }
    const read = readFileIn(directory, name, CfsLimits.fileBytes);
    if (read === undefined) return this.#leaveOut(folder, name, UNKNOWN_STAMP, "no regular file");
    const reason = this.#tooMuch(folder.entry.children.get(name), read);
    if (reason !== undefined) return this.#leaveOut(folder, name, read.stamp, reason);
    return this.#keep(folder, name, read, mask);
  }

  #keep(folder: Folder, name: string, { stamp, bytes = EMPTY }: FileRead, mask: number): void {
    const before = folder.known.get(name);
    const racy = Date.now() - Math.max(stamp.mtimeMs, stamp.ctimeMs) < RACY_MS;
    const entry = folder.entry.children.get(name);
    if (entry?.kind === "directory") this.#gone(folder, name, false);
    folder.known.set(name, { stamp, racy, leftOut: undefined });
    if (entry?.kind !== "file") {
      const stamps = this.#next(stamp.mtimeMs);
      const inode = stamps.version;
      this.#memdb.add(folder.entry, { inode, kind: "file", name, bytes, ...stamps });
      return;
    }
    const replaced = before?.stamp.ino !== stamp.ino || before.stamp.dev !== stamp.dev;
    const moved = before?.stamp.mtimeMs !== stamp.mtimeMs;
    const rewritten = moved && (mask === 0 || (mask & (Watch.MODIFY | REPLACED)) !== 0);
    if (replaced || rewritten || Buffer.compare(entry.bytes, bytes) !== 0) {
      this.#memdb.write(entry, bytes, this.#next(stamp.mtimeMs));
    } else if (moved) {
      this.#memdb.touch(entry, this.#next(stamp.mtimeMs));
    }
  }

  #tooMuch(entry: Entry | undefined, { bytes, stamp }: FileRead): string | undefined {
    if (bytes === undefined) return `${stamp.size} bytes, more than ${CfsLimits.fileBytes}`;
    const grown = this.#memdb.fileBytes + bytes.length - (entry?.bytes.length ?? 0);
    if (grown > CfsLimits.treeBytes)
      return `all files together exceed ${CfsLimits.treeBytes} bytes`;
    return entry === undefined ? this.#tooMany() : undefined;
  }

  #tooMany(): string | undefined {
    const full = this.#memdb.entryCount >= CfsLimits.treeInodes;
    return full ? `more than ${CfsLimits.treeInodes} files and directories` : undefined;
  }

  #lookDirectory(
    directory: number,
    folder: Folder,
    name: string,
    stats: Stats,
    mask: number,
  ): void {
    const sub = folder.folders.get(name);
    if (sub !== undefined) {
      const same = sub.stamp.ino === stats.ino && sub.stamp.dev === stats.dev;
      if (!same || (mask & REPLACED) !== 0) this.#enterAgain(directory, folder, name);
      return;
    }
    const depth = folder.names.length + 1;
    const reason = depth > MAX_DEPTH ? `more than ${MAX_DEPTH} levels deep` : this.#tooMany();
    if (reason !== undefined) {
      this.#leaveOut(folder, name, stampOf(stats), reason);
      return;
    }
    if (folder.known.has(name)) this.#gone(folder, name);
    const stamps = this.#next(stats.mtimeMs);
    const inode = stamps.version;
    const entry = this.#memdb.add(folder.entry, { inode, kind: "directory", name, ...stamps });
    const made = newFolder(entry, folder, [...folder.names, name]);
    folder.folders.set(name, made);
    this.#folders.add(made);
    this.#enterAgain(directory, folder, name);
  }

  #enterAgain(directory: number, folder: Folder, name: string): void {
    const sub = folder.folders.get(name);
    if (sub === undefined) return;
    this.#guarded(folder, name, () =>
      withDirectory(directory, [name], (inner) => this.enter(inner, sub)),
    );
  }

  #watch(directory: number, folder: Folder): void {
    const watch = this.#inotify?.watch(descriptorPath(directory)) ?? -1;
    if (folder.watch !== watch) this.#unwatch(folder);
    folder.watch = watch;
    if (watch >= 0) this.#byWatch.set(watch, folder);
  }

  #unwatch(folder: Folder): void {
    // A directory that moved has its number under its new name already.
    if (this.#byWatch.get(folder.watch) !== folder) return;
    this.#byWatch.delete(folder.watch);
    this.#inotify?.unwatch(folder.watch);
  }

  /** Takes a name out; `told` is false when something else takes its place at once. */
  #gone(folder: Folder, name: string, told = true): void {
    folder.known.delete(name);
    this.#forget(folder.folders.get(name));
    folder.folders.delete(name);
    const entry = folder.entry.children.get(name);
    if (entry === undefined || !told) return;
    this.#removals++;
    this.#memdb.remove(entry);
  }

  #forget(folder: Folder | undefined): void {
    if (folder === undefined) return;
    this.#unwatch(folder);
    this.#folders.delete(folder);
    for (const sub of folder.folders.values()) this.#forget(sub);
  }

  #leaveOut(folder: Folder, name: string, stamp: FileStamp, reason: string): void {
    const before = folder.known.get(name)?.leftOut;
    this.#gone(folder, name);
    folder.known.set(name, { stamp, racy: false, leftOut: reason });
    if (before !== reason) this.#onLeftOut({ path: [...folder.names, name].join("/"), reason });
  }

  #next(mtimeMs: number): Stamp {
    this.#version++;
    return { version: this.#version, writer: 0, mtime: Math.floor(mtimeMs / 1000) >>> 0 };
  }
}

const EMPTY = new Uint8Array(0);

function newFolder(entry: Entry, above: Folder | undefined, names: readonly string[]): Folder {
  const [known, folders] = [new Map<string, Known>(), new Map<string, Folder>()];
  return { entry, names, above, known, folders, stamp: UNKNOWN_STAMP, watch: -1 };
}

function aKind(kind: Kind): string {
  return kind === "unknown" ? "neither file nor directory" : `a ${kind}`;
}
