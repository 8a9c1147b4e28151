/**
 * Writes a salvaged tree into an empty directory. The directory is opened once, by a path without
 * symlinks; every further step starts from an open directory, and nothing that exists is opened or
 * replaced. Files are made 0600 and get the mode of the mount when they are complete. Only the
 * directories of the current path are kept open.
 */
import { futimesSync, writeSync } from "node:fs";
import { basename, resolve } from "node:path";
import { Errno, errnoText } from "../../base/errno.ts";
import { closeDescriptor, Directory, giveFile, latin1Name, setMode } from "../../platform/files.ts";
import { openParent } from "../../platform/atomic-file.ts";
import { findGroup } from "../../platform/groups.ts";
import { permissionsOf } from "../state/modes.ts";
import type { SalvagedItem } from "./salvage.ts";

const GROUP = "www-data";

export interface Exported {
  readonly files: number;
  readonly directories: number;
  /** Entries that could not be written, and why. */
  readonly failures: readonly string[];
}

/** The group of the mount, only for root; when undefined, owner and group are not changed. */
function mountGroup(): number | undefined {
  return process.getuid?.() === 0 ? findGroup(GROUP)?.gid : undefined;
}

/** Opens the directory, and makes it if missing; a text when it is not an empty directory. */
function openTarget(target: string): Directory | string {
  const parent = openParent(target, { makeMissing: true });
  if (typeof parent === "string") return parent;
  using above = parent;
  // Resolved: the last component of "." or "a/.." is no name in its parent.
  const name = latin1Name(basename(resolve(target)));
  const made = above.makeSub(name);
  if (typeof made !== "number") {
    setMode(made.fd, 0o755);
    return made;
  }
  if (made !== Errno.EEXIST) return `${target}: ${errnoText(made)}`;
  const there = above.openSub(name);
  if (typeof there === "number") {
    const isLink = there === Errno.ELOOP || there === Errno.ENOTDIR;
    return `${target}: ${isLink ? "EEXIST: it exists and is not a directory" : errnoText(there)}`;
  }
  if (there.isEmpty()) return there;
  there[Symbol.dispose]();
  return `${target} is not empty`;
}

/** A directory that is being filled. */
interface Level {
  readonly item: SalvagedItem | undefined;
  readonly directory: Directory;
}

class Writer {
  readonly #group = mountGroup();
  readonly #stack: Level[];
  readonly failures: string[] = [];
  /** Directories that could not be made, and whose content is not written. */
  readonly #missing = new Set<SalvagedItem>();
  files = 0;
  directories = 0;

  constructor(root: Directory) {
    this.#stack = [{ item: undefined, directory: root }];
  }

  write(item: SalvagedItem): void {
    const { parent } = item;
    while (this.#stack.length > 1 && this.#stack.at(-1)?.item !== parent) this.#leave();
    const above = this.#stack.at(-1);
    if (above === undefined || above.item !== parent) {
      if (parent !== undefined && this.#missing.has(parent)) this.#missing.add(item);
      return;
    }
    if (item.kind === "file") this.#writeFile(above.directory, item);
    else this.#enter(above.directory, item);
  }

  /**
   * Directories get their mode and time when they are complete: writing into one changes its time.
   */
  finish(): void {
    while (this.#stack.length > 1) this.#leave();
  }

  #enter(above: Directory, item: SalvagedItem): void {
    const directory = above.makeSub(item.name);
    if (typeof directory === "number") {
      this.#missing.add(item);
      this.#fail(item, directory);
      return;
    }
    this.directories++;
    this.#stack.push({ item, directory });
  }

  #leave(): void {
    const level = this.#stack.pop();
    if (level?.item === undefined) return;
    this.#dress(level.directory.fd, level.item);
    level.directory[Symbol.dispose]();
  }

  #writeFile(above: Directory, item: SalvagedItem): void {
    const { data, omitted } = item.row;
    if (omitted !== undefined) {
      this.failures.push(`${item.path.join("/")}: its ${omitted} bytes exceed the read limit`);
      return;
    }
    const fd = above.newFile(item.name);
    if (fd < 0) return this.#fail(item, fd);
    try {
      for (let at = 0; at < data.length;) at += writeSync(fd, data, at);
      this.#dress(fd, item);
      this.files++;
    } catch (error) {
      this.failures.push(`${item.path.join("/")}: ${String(error)}`);
    } finally {
      closeDescriptor(fd);
    }
    return undefined;
  }

  /** Sets mode, owner and time of an entry that is complete. */
  #dress(fd: number, item: SalvagedItem): void {
    const mode = permissionsOf(item.path.join("/"), item.kind);
    const failed =
      this.#group === undefined ? setMode(fd, mode) : giveFile(fd, 0, this.#group, mode);
    if (failed < 0) this.#fail(item, failed);
    futimesSync(fd, item.row.mtime, item.row.mtime);
  }

  #fail(item: SalvagedItem, errno: number): void {
    this.failures.push(`${item.path.join("/")}: ${errnoText(errno)}`);
  }
}

/**
 * Writes the items into `target`, which is made if missing and must be empty. A text says why when
 * nothing could be written.
 */
export function exportTree(items: readonly SalvagedItem[], target: string): Exported | string {
  const root = openTarget(target);
  if (typeof root === "string") return root;
  using opened = root;
  const writer = new Writer(opened);
  for (const item of items) writer.write(item);
  writer.finish();
  const { files, directories, failures } = writer;
  return { files, directories, failures };
}
