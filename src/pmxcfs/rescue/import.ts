/**
 * Makes a config.db from a directory that is a copy of /etc/pve. A database that is replaced is
 * kept under a name with the time, with the files that belong to it, and never over an older copy;
 * the new database is read back and checked before success is reported.
 */
import { existsSync, linkSync, renameSync, rmSync } from "node:fs";
import { compactTime } from "../../base/compact-time.ts";
import { errorCode, errorText } from "../../base/error-text.ts";
import { silentLog } from "../../base/log.ts";
import { Memdb, pathOf } from "../state/memdb.ts";
import { writeConfigDb, type TreeItem } from "../store/config-writer.ts";
import { DirectorySource } from "../store/directory.ts";
import type { LeftOut } from "../store/directory-folder.ts";
import { freeName } from "../store/free-name.ts";
import { COMPANIONS, KEPT_AS } from "../store/interrupted-replacement.ts";
import { removeServedNames } from "../store/served-names.ts";
import { syncName } from "../store/upkeep.ts";
import { guestPath } from "../state/guests.ts";
import { verifyDatabase } from "./verify.ts";

export interface Imported {
  readonly files: number;
  readonly directories: number;
  readonly leftOut: readonly LeftOut[];
  /** The new name of the previous database. */
  readonly kept: string | undefined;
}

export interface LoadedDirectory {
  readonly memdb: Memdb;
  readonly leftOut: readonly LeftOut[];
}

/** A directory as `serve --dir` loads it; a text when it cannot be read. */
export function loadDirectory(directory: string): LoadedDirectory | string {
  const memdb = new Memdb();
  const source = DirectorySource.open({ directory, memdb, log: silentLog, watch: false });
  if (typeof source === "string") return source;
  using opened = source;
  return { memdb, leftOut: opened.leftOut() };
}

/** Guest numbers that several configurations share, a line each. */
export function duplicateGuests(memdb: Memdb): readonly string[] {
  const first = new Map<number, string>();
  const found: string[] = [];
  for (const entry of memdb.entries()) {
    const path = entry.kind === "file" ? pathOf(entry) : "";
    const vmid = guestPath(path)?.vmid;
    if (vmid === undefined) continue;
    const other = first.get(vmid);
    if (other === undefined) first.set(vmid, path);
    else found.push(`detected duplicate VMID ${vmid} (${other} and ${path})`);
  }
  return found;
}

/** A free name beside `file` to keep it under, with its companions. */
export function keptName(file: string): string {
  return freeName(`${file}${KEPT_AS}${compactTime()}`, ["", ...COMPANIONS]);
}

/**
 * Puts a complete database in the place of another one, which is kept under the name that is
 * returned; undefined when there was none. The old file gets a second link and stays in its place
 * until it is replaced; its -wal, journal and changes are moved before, since SQLite would apply
 * them to the new one (store/interrupted-replacement.ts undoes that after a kill). Throws the
 * kernel's error; then everything is where it was.
 */
export function replaceDatabase(draft: string, file: string): string | undefined {
  const kept = ["", ...COMPANIONS].some((suffix) => existsSync(file + suffix))
    ? keptName(file)
    : undefined;
  const undo: (() => void)[] = [];
  try {
    if (kept !== undefined) {
      if (existsSync(file)) {
        linkSync(file, kept);
        undo.push(() => rmSync(kept));
      }
      for (const suffix of COMPANIONS) {
        if (!existsSync(file + suffix)) continue;
        renameSync(file + suffix, kept + suffix);
        undo.push(() => renameSync(kept + suffix, file + suffix));
      }
    }
    renameSync(draft, file);
  } catch (error) {
    for (const step of undo.toReversed()) step();
    throw error;
  }
  // Of a server that was killed: what it served is kept already.
  removeServedNames(file);
  syncName(file);
  return kept;
}

/** Errors of link(2) on a file system without hard links. */
const NO_LINKS: ReadonlySet<string | undefined> = new Set(["EPERM", "EOPNOTSUPP", "ENOSYS"]);

/**
 * Gives a complete database its name, never that of another file, also of one that a server has
 * made since the last look: so there is none to keep. Throws the kernel's error.
 */
function placeDatabase(draft: string, file: string): undefined {
  try {
    linkSync(draft, file);
    rmSync(draft);
  } catch (error) {
    if (!NO_LINKS.has(errorCode(error)) || existsSync(file)) throw error;
    renameSync(draft, file);
  }
  syncName(file);
}

/**
 * Rows for a new database: equal directories give equal rows, in whatever order they are listed.
 */
function itemsOf(memdb: Memdb): TreeItem[] {
  const items: TreeItem[] = [];
  for (const entry of memdb.entries()) {
    const bytes = entry.kind === "file" ? entry.bytes : undefined;
    items.push({ path: pathOf(entry).split("/"), bytes, mtime: entry.mtime });
  }
  return items.toSorted((a, b) => (a.path.join("\0") < b.path.join("\0") ? -1 : 1));
}

/** Makes the database `file` from the content of `directory`; a text says why it did not. */
export function importDirectory(
  directory: string,
  file: string,
  options: { readonly replace: boolean },
): Imported | string {
  const there = ["", ...COMPANIONS].find((suffix) => existsSync(file + suffix));
  if (!options.replace && there !== undefined) return `${file}${there} already exists`;
  const loaded = loadDirectory(directory);
  if (typeof loaded === "string") return loaded;
  const { memdb, leftOut } = loaded;
  // The C server would refuse to start on such a database.
  const [duplicate] = duplicateGuests(memdb);
  if (duplicate !== undefined) return duplicate;
  const draft = `${file}.import-${process.pid}`;
  const items = itemsOf(memdb);
  const problem = writeConfigDb(draft, items) ?? verifyDraft(draft, items.length);
  if (problem !== undefined) {
    rmSync(draft, { force: true });
    return problem;
  }
  try {
    const kept = options.replace ? replaceDatabase(draft, file) : placeDatabase(draft, file);
    const files = items.filter(({ bytes }) => bytes !== undefined).length;
    return { files, directories: items.length - files, leftOut, kept };
  } catch (error) {
    rmSync(draft, { force: true });
    const isMadeNow = !options.replace && errorCode(error) === "EEXIST";
    return isMadeNow ? `${file} already exists` : errorText(error);
  }
}

function verifyDraft(draft: string, entries: number): string | undefined {
  const { problems, files, directories } = verifyDatabase(draft);
  if (problems[0] !== undefined) return `the new database cannot be read: ${problems[0].text}`;
  const found = files + directories;
  return found === entries ? undefined : `${found} of ${entries} entries were written`;
}
