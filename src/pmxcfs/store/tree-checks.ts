/**
 * Checks of a change before anything is written, in the C server's order: the directory, the name,
 * the guest number, an existing entry. C counterpart: memdb.c.
 */
import { Errno } from "../../base/errno.ts";
import type { GuestNumbers } from "../state/guest-numbers.ts";
import { guestPath } from "../state/guests.ts";
import { isBelowLocks } from "../state/locks.ts";
import { isWithin, type Entry, type Memdb } from "../state/memdb.ts";
import type { OrphanRows } from "./orphan-rows.ts";
import { directoryOf, isBadName, nameOf } from "./tree-path.ts";

/** The tree, the owners of guest numbers in it, and the rows that are not in it. */
export interface CheckedTree {
  readonly memdb: Memdb;
  readonly numbers: GuestNumbers;
  readonly orphans: OrphanRows;
}

/**
 * The directory that has or gets the last name of a normal path. ENOENT: it is missing; ENOTDIR: it
 * is a file; EACCES: no entry may have that name, or the path is the root.
 */
export function parentOf(memdb: Memdb, path: string): Entry | Errno {
  let at: Entry | undefined = memdb.root;
  const directory = directoryOf(path);
  if (directory !== "") {
    for (const name of directory.split("/")) {
      if (at.kind !== "directory") return Errno.ENOTDIR;
      at = at.children.get(name);
      if (at === undefined) return Errno.ENOENT;
    }
  }
  if (at.kind !== "directory") return Errno.ENOTDIR;
  return isBadName(nameOf(path)) ? Errno.EACCES : at;
}

/**
 * The file at a path, for write and truncate. Errors of parentOf, and EEXIST: another file has its
 * guest number; ENOTDIR: it is a directory; ENOENT: it does not exist.
 */
export function fileAt({ memdb, numbers }: CheckedTree, path: string): Entry | Errno {
  const parent = parentOf(memdb, path);
  if (typeof parent === "number") return parent;
  if (numbers.elsewhere(path) !== undefined) return Errno.EEXIST;
  const entry = parent.children.get(nameOf(path));
  if (entry?.kind === "directory") return Errno.ENOTDIR;
  return entry ?? Errno.ENOENT;
}

/**
 * The directory into which `source`, now at `from`, is to be renamed as `to`. ENOENT: no source;
 * EACCES: the root, or a lock; EEXIST: another file has the guest number; ENOTEMPTY: the target is
 * a directory that is not empty, or the source is one and there is no target outside it (with one,
 * the caller refuses the rename); EINVAL: into itself; errors of parentOf for the target.
 */
export function renameTarget(
  { memdb, numbers, orphans }: CheckedTree,
  source: Entry | undefined,
  { from, to }: { readonly from: string; readonly to: string },
): Entry | Errno {
  if (source === undefined) return Errno.ENOENT;
  if (source === memdb.root) return Errno.EACCES;
  if (source.kind === "file" && numbers.elsewhere(to) !== undefined) {
    if (guestPath(from)?.vmid !== guestPath(to)?.vmid) return Errno.EEXIST;
  }
  if (source.kind === "directory" && isBelowLocks(from)) return Errno.EACCES;
  const target = memdb.find(to);
  if (target === memdb.root) return Errno.EACCES;
  if (target !== undefined && orphans.isFull(target)) return Errno.ENOTEMPTY;
  const isFull = orphans.isFull(source);
  if (isFull && (target === undefined || isWithin(target, source))) return Errno.ENOTEMPTY;
  const parent = parentOf(memdb, to);
  if (typeof parent === "number") return parent;
  return isWithin(parent, source) ? Errno.EINVAL : parent;
}
