/** The -wal and -shm of an open database: others may be at their paths later. */
import { fstatSync, ftruncateSync, readdirSync, readlinkSync, renameSync, statSync } from "node:fs";
import { behindLinks } from "./sqlite/input-file.ts";

/** A file as it was when SQLite had opened it. */
export interface OpenFile {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
}

/** Those of a database that was read: beside the file that symlinks lead to. */
export function sidesOf(file: string): readonly OpenFile[] {
  return ["-wal", "-shm"].flatMap((suffix) => openFile(behindLinks(file) + suffix));
}

function openFile(path: string): readonly OpenFile[] {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? [] : [{ path, device: found.dev, inode: found.ino }];
}

/** Whether it still is at its path; undefined when that cannot be found out now. */
function isInPlace({ path, device, inode }: OpenFile): boolean | undefined {
  try {
    const there = statSync(path, { throwIfNoEntry: false });
    return there?.dev === device && there.ino === inode;
  } catch {
    return undefined;
  }
}

/** Paths at which they are no longer. */
export function lostSides(sides: readonly OpenFile[]): string[] {
  return sides.filter((side) => isInPlace(side) === false).map(({ path }) => path);
}

/** Paths at which they still are. */
export function keptSides(sides: readonly OpenFile[]): string[] {
  return sides.filter((side) => isInPlace(side) === true).map(({ path }) => path);
}

/** Renames what is at the path of a lost one: SQLite would take it for ours. */
export function setForeignAside(path: string, suffix: string): void {
  const isForeign = (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0;
  if (isForeign) renameSync(path, path + suffix);
}

/**
 * Empties the -wal of a file that was overwritten: SQLite would move its pages there when the
 * connection is closed. By SQLite's own descriptor, since the -wal may have lost its path.
 */
export function emptyLog(sides: readonly OpenFile[]): void {
  const wal = sides.find(({ path }) => path.endsWith("-wal"));
  const own = "/proc/self/fd";
  for (const name of readdirSync(own)) {
    try {
      if (!/-wal( \(deleted\))?$/.test(readlinkSync(`${own}/${name}`))) continue;
      const { dev, ino } = fstatSync(Number(name));
      if (wal?.device === dev && wal.inode === ino) ftruncateSync(Number(name));
    } catch {
      // It is closed: that of readdir.
    }
  }
}
