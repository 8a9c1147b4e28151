/**
 * A directory that others write, as the in-memory tree: the last known state of each name, and how
 * a name is read again (when is decided by directory.ts). Owns the watches of its directories.
 */
import { closeSync, fstatSync, type Stats } from "node:fs";
import { mountMadeNames } from "../state/private-path.ts";
import { CfsLimits } from "../../base/limits.ts";
import { type Inotify, Watch } from "../../platform/inotify.ts";
import {
  descriptorPath,
  isSameStamp,
  kindOf,
  listDirectory,
  openBelow,
  readFileIn,
  stampOf,
  statIn,
  type FileRead,
  type FileStamp,
} from "./file-walk.ts";
import type { Entry, Memdb, Stamp } from "../state/memdb.ts";
import {
  aKind,
  isTransient,
  type Folder,
  isDirectoryAt,
  isThere,
  type Known,
  type LeftOut,
  namesBeyond,
  newFolder,
  NO_BYTES,
  outdate,
  UNKNOWN_STAMP,
} from "./directory-folder.ts";
import type { Steps } from "../../base/steps.ts";
import { errorCode, errorText } from "../../base/error-text.ts";

/** A file this fresh may change again without a new time stamp, within one tick of the kernel. */
const RACY_MS = 20;
/** Events after which another file may have the name, perhaps with the same inode number. */
const REPLACED = Watch.CREATE | Watch.MOVED_TO;
/** Nested directories: each level holds a descriptor while it is read. */
const MAX_DEPTH = 64;
/** Bytes that are read and compared in about 50 us. */
const STEP_BYTES = 64 * 1024;

export interface DirectoryTreeOptions {
  readonly memdb: Memdb;
  readonly inotify: Inotify | undefined;
  /** Called for every name that is left out, once per reason. */
  readonly onLeftOut: (what: LeftOut) => void;
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
  /** Bytes of files read since the last call of `stepLength`. */
  #bytesRead = 0;
  /** Files in all folders, and names that are left out. */
  #names = 0;

  constructor(options: DirectoryTreeOptions, rootFd: number) {
    this.#memdb = options.memdb;
    this.#inotify = options.inotify;
    this.#onLeftOut = options.onLeftOut;
    this.#rootFd = rootFd;
    this.root = newFolder(options.memdb.root, undefined, []);
    this.#folders.add(this.root);
  }

  /** Reads the whole directory, at the start or again. */
  *load(): Steps {
    yield* this.inside(this.root, (directory) => this.enter(directory, this.root));
  }

  get folders(): ReadonlySet<Folder> {
    return this.#folders;
  }

  /** A counter that grows with every change of the in-memory tree. */
  get changes(): number {
    return this.#version + this.#removals;
  }

  /** The names that are left out now. */
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

  /** The kernel has removed a watch by itself. */
  forgetWatch(watch: number): void {
    const folder = this.#byWatch.get(watch);
    this.#byWatch.delete(watch);
    if (folder !== undefined) folder.watch = -1;
  }

  /** Another directory is at the root's path: reads everything again. */
  *reroot(rootFd: number): Steps {
    closeSync(this.#rootFd);
    this.#rootFd = rootFd;
    yield* this.load();
  }

  /** The cost of the reads since the last call, in steps of 50 us. */
  stepLength(): number {
    const length = 1 + this.#bytesRead / STEP_BYTES;
    this.#bytesRead = 0;
    return length;
  }

  close(): void {
    closeSync(this.#rootFd);
  }

  /** Runs `use` with an open directory; removes a folder that no longer exists from the tree. */
  *within(folder: Folder, use: (directory: number) => Steps): Steps {
    try {
      yield* this.inside(folder, use);
    } catch (error) {
      const [code, above, name] = [errorCode(error) ?? "", folder.above, folder.names.at(-1)];
      // The sweep finds what changed in it, by its stamp and those of its files.
      if (isTransient(code)) this.#later(folder, ".", code);
      else if (above === undefined || name === undefined) return;
      else if (["ENOENT", "ENOTDIR", "ELOOP"].includes(code)) {
        yield* this.within(above, (directory) => this.look(directory, above, name, 0));
      } else {
        this.#leaveOut(above, name, UNKNOWN_STAMP, errorText(error));
      }
    }
  }

  *inside(folder: Folder, use: (directory: number) => Steps): Steps {
    const directory = openBelow(this.#rootFd, folder.names);
    try {
      yield* use(directory);
    } finally {
      closeSync(directory);
    }
  }

  /** Watches a directory, then reads all that is in it, recursively. */
  *enter(directory: number, folder: Folder): Steps {
    // New directories are entered when they are found.
    const before = [...folder.folders.keys()];
    yield* this.visit(directory, folder, true);
    for (const name of before) yield* this.#enterAgain(directory, folder, name);
  }

  /** Watches a directory, adds new names and removes old ones; looks at `all` names if asked to. */
  *visit(directory: number, folder: Folder, all: boolean): Steps {
    this.#watch(directory, folder);
    folder.stamp = stampOf(fstatSync(directory));
    // Names that are left out count as well: each is remembered, with its stamp.
    const room = Math.max(0, CfsLimits.treeInodes - this.#names + folder.known.size);
    const { listed, names, isWhole } = yield* listDirectory(directory, room);
    for (const name of yield* namesBeyond(folder, names)) {
      yield undefined;
      // It may have been created since the listing was read.
      if (isThere(directory, name)) continue;
      yield* this.#empty(folder.folders.get(name));
      this.#gone(folder, name);
    }
    for (const { name, kind } of listed) {
      const isNew = !folder.known.has(name) && !folder.folders.has(name);
      if (isNew && kind === "file") {
        this.#guarded(folder, name, () => this.#read(directory, folder, name, Watch.CREATE));
      } else if (isNew && kind === "symlink") {
        this.#leaveOut(folder, name, UNKNOWN_STAMP, aKind(kind));
      } else if (isNew || all || kind !== "file") {
        yield* this.look(directory, folder, name, 0);
      }
      yield this.stepLength();
      if (!this.#folders.has(folder)) return;
    }
    if (!isWhole) {
      const path = [...folder.names, "..."].join("/");
      this.#onLeftOut({ path, reason: `more than ${CfsLimits.treeInodes} names` });
    }
  }

  /** Looks at one name; `mask` is that of its inotify events, 0 without one. */
  *look(directory: number, folder: Folder, name: string, mask: number): Steps {
    const sub = folder.folders.get(name);
    if (sub !== undefined && !isDirectoryAt(directory, name)) yield* this.#empty(sub);
    const enters = this.lookOnly(directory, folder, name, mask);
    if (enters) yield* this.#enterAgain(directory, folder, name);
  }

  /** The same without the content of a directory; true when that has to be read. */
  lookOnly(directory: number, folder: Folder, name: string, mask: number): boolean {
    let enters = false;
    // The descriptor may be of a directory that was moved away meanwhile.
    if (!this.#folders.has(folder)) return enters;
    this.#guarded(folder, name, () => {
      const stats = statIn(directory, name);
      if (stats === undefined) return this.#gone(folder, name);
      const kind = kindOf(stats);
      if (kind === "directory") {
        enters = this.#lookDirectory(folder, name, stats, mask);
        return undefined;
      }
      const stamp = stampOf(stats);
      const known = folder.known.get(name);
      const same = known !== undefined && isSameStamp(known.stamp, stamp);
      if (same && !known.racy && (mask & Watch.MODIFY) === 0) return undefined;
      if (kind !== "file") return this.#leaveOut(folder, name, stamp, aKind(kind));
      return this.#read(directory, folder, name, mask);
    });
    return enters;
  }

  #guarded(folder: Folder, name: string, look: () => void): void {
    try {
      look();
    } catch (error) {
      const code = errorCode(error) ?? "";
      if (code === "ENOENT") this.#gone(folder, name);
      else if (isTransient(code)) this.#later(folder, name, code);
      else this.#leaveOut(folder, name, UNKNOWN_STAMP, errorText(error));
    }
  }

  /** A temporary failure: the last content stays until the name is read again. */
  #later(folder: Folder, name: string, code: string): void {
    this.#onLeftOut({ path: [...folder.names, name].join("/"), reason: `not readable (${code})` });
    const known = folder.known.get(name);
    if (known === undefined) outdate(folder);
    else known.racy = true;
  }

  #read(directory: number, folder: Folder, name: string, mask: number): void {
    if (folder === this.root && mountMadeNames.has(name)) {
      return this.#leaveOut(folder, name, UNKNOWN_STAMP, "pmxcfs generates it");
    }
    const read = readFileIn(directory, name, CfsLimits.fileBytes);
    if (read === undefined) return this.#leaveOut(folder, name, UNKNOWN_STAMP, "not a file");
    this.#bytesRead += read.bytes?.length ?? 0;
    const reason = this.#tooMuch(folder.entry.children.get(name), read);
    if (reason !== undefined) return this.#leaveOut(folder, name, read.stamp, reason);
    return this.#keep(folder, name, read, mask);
  }

  #keep(folder: Folder, name: string, { stamp, bytes = NO_BYTES }: FileRead, mask: number): void {
    const before = folder.known.get(name);
    const racy = Date.now() - Math.max(stamp.mtimeMs, stamp.ctimeMs) < RACY_MS;
    const entry = folder.entry.children.get(name);
    if (entry?.kind === "directory") this.#gone(folder, name, false);
    this.#remember(folder, name, { stamp, racy, leftOut: undefined });
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

  /** True when the directory's content has to be read. */
  #lookDirectory(folder: Folder, name: string, stats: Stats, mask: number): boolean {
    const sub = folder.folders.get(name);
    if (sub !== undefined) {
      const same = sub.stamp.ino === stats.ino && sub.stamp.dev === stats.dev;
      return !same || (mask & REPLACED) !== 0;
    }
    const depth = folder.names.length + 1;
    const reason = depth > MAX_DEPTH ? `more than ${MAX_DEPTH} levels deep` : this.#tooMany();
    if (reason !== undefined) {
      this.#leaveOut(folder, name, stampOf(stats), reason);
      return false;
    }
    if (folder.known.has(name)) this.#gone(folder, name);
    const stamps = this.#next(stats.mtimeMs);
    const inode = stamps.version;
    const entry = this.#memdb.add(folder.entry, { inode, kind: "directory", name, ...stamps });
    const made = newFolder(entry, folder, [...folder.names, name]);
    folder.folders.set(name, made);
    this.#folders.add(made);
    return true;
  }

  /** Removes the content of a directory, deepest first, so that it can be removed in one step. */
  *#empty(folder: Folder | undefined): Steps {
    if (folder === undefined) return;
    for (const [name, sub] of folder.folders) {
      yield* this.#empty(sub);
      this.#gone(folder, name);
      yield undefined;
    }
    for (const name of folder.known.keys()) {
      this.#gone(folder, name);
      yield undefined;
    }
  }

  *#enterAgain(directory: number, folder: Folder, name: string): Steps {
    const sub = folder.folders.get(name);
    if (sub === undefined) return;
    try {
      const inner = openBelow(directory, [name]);
      try {
        yield* this.enter(inner, sub);
      } finally {
        closeSync(inner);
      }
    } catch (error) {
      this.#guarded(folder, name, () => {
        throw error;
      });
    }
  }

  #watch(directory: number, folder: Folder): void {
    const watch = this.#inotify?.watch(descriptorPath(directory)) ?? -1;
    if (folder.watch !== watch) this.#unwatch(folder);
    folder.watch = watch;
    if (watch >= 0) this.#byWatch.set(watch, folder);
  }

  #unwatch(folder: Folder): void {
    // A directory that moved already has its watch under the new name.
    if (this.#byWatch.get(folder.watch) !== folder) return;
    this.#byWatch.delete(folder.watch);
    this.#inotify?.unwatch(folder.watch);
  }

  /** Forgets a name, and removes its entry unless another one takes its place at once. */
  #gone(folder: Folder, name: string, withEntry = true): void {
    if (folder.known.delete(name)) this.#names--;
    this.#forget(folder.folders.get(name));
    folder.folders.delete(name);
    const entry = folder.entry.children.get(name);
    if (entry === undefined || !withEntry) return;
    this.#removals++;
    this.#memdb.remove(entry);
  }

  #forget(folder: Folder | undefined): void {
    if (folder === undefined) return;
    this.#unwatch(folder);
    this.#folders.delete(folder);
    this.#names -= folder.known.size;
    folder.known.clear();
    for (const sub of folder.folders.values()) this.#forget(sub);
  }

  #leaveOut(folder: Folder, name: string, stamp: FileStamp, reason: string): void {
    const before = folder.known.get(name)?.leftOut;
    this.#gone(folder, name);
    this.#remember(folder, name, { stamp, racy: false, leftOut: reason });
    if (before !== reason) this.#onLeftOut({ path: [...folder.names, name].join("/"), reason });
  }

  #remember(folder: Folder, name: string, known: Known): void {
    if (!folder.known.has(name)) this.#names++;
    folder.known.set(name, known);
  }

  #next(mtimeMs: number): Stamp {
    this.#version++;
    return { version: this.#version, writer: 0, mtime: Math.floor(mtimeMs / 1000) >>> 0 };
  }
}
