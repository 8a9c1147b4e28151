/**
 * What `pmxcfs-ipc config` does: makes a config.db of a directory, and says what is wrong with a
 * database or a directory before somebody serves it. (Listing, printing and exporting work on
 * what salvage.ts gives.)
 */
import { existsSync } from "node:fs";
import { CfsLimits } from "../../base/limits.ts";
import { silentLog } from "../../base/log.ts";
import { selectAll, SqliteFile } from "../store/sqlite-file.ts";
import { SCHEMA, writeConfigDb, type TreeItem } from "../store/config-writer.ts";
import { DirectorySource } from "../store/directory.ts";
import type { LeftOut } from "../store/directory-tree.ts";
import { Memdb, pathOf } from "../state/memdb.ts";
import { errorText } from "../../base/error-text.ts";
import { salvage, type SalvagedItem } from "./salvage.ts";
import { duplicateGuests, duplicateGuestsIn } from "../store/tree-rows.ts";

export interface Imported {
  readonly files: number;
  readonly directories: number;
  readonly leftOut: readonly LeftOut[];
}

interface LoadedDirectory {
  readonly memdb: Memdb;
  readonly leftOut: readonly LeftOut[];
}

function loadDirectory(directory: string): LoadedDirectory | string {
  const memdb = new Memdb();
  const source = DirectorySource.open({ directory, memdb, log: silentLog, watch: false });
  if (typeof source === "string") return source;
  using opened = source;
  return { memdb, leftOut: opened.leftOut() };
}

/** Makes the database `file` of what `directory` holds; a text that says why it did not. */
export function importDirectory(
  directory: string,
  file: string,
  options: { readonly replace: boolean },
): Imported | string {
  if (!options.replace && existsSync(file)) return `${file} exists already`;
  const loaded = loadDirectory(directory);
  if (typeof loaded === "string") return loaded;
  const { memdb, leftOut } = loaded;
  // The C server would refuse to start on such a database.
  const [duplicate] = duplicateGuests(memdb);
  if (duplicate !== undefined) return duplicate;
  const items: TreeItem[] = [];
  let files = 0;
  for (const entry of memdb.entries()) {
    const bytes = entry.kind === "file" ? entry.bytes : undefined;
    if (bytes !== undefined) files++;
    items.push({ path: pathOf(entry).split("/"), bytes, mtime: entry.mtime });
  }
  // The same directory gives the same rows, whatever order its file system lists it in.
  items.sort((a, b) => (a.path.join("\0") < b.path.join("\0") ? -1 : 1));
  const problem = writeConfigDb(file, items);
  return problem ?? { files, directories: items.length - files, leftOut };
}

/** `problems` keep the C server from loading it; `notes` do not. */
export interface Verdict {
  readonly problems: readonly string[];
  readonly notes: readonly string[];
  readonly files: number;
  readonly directories: number;
  readonly bytes: number;
}

/** Looks at everything that a database must be. */
export function verifyDatabase(file: string): Verdict {
  const { items, problems, rows } = salvage(file);
  const notes: string[] = [];
  const found = [...problems, ...inspect(file, notes)];
  const paths = items.filter(({ kind }) => kind === "file").map(({ path }) => path.join("/"));
  found.push(...duplicateGuestsIn(paths));
  const root = rows.find(({ inode }) => inode === 0);
  const newest = rows.reduce((most, { version }) => Math.max(most, version), 0);
  if (root === undefined) notes.push("no row 0: the C server adds one, with version 1");
  else if (root.version < newest) {
    notes.push(`row 0 has version ${root.version}, but there are entries of version ${newest}`);
  }
  notes.push(...oversize(items));
  return { problems: found, notes, ...totals(items) };
}

/** SQLite's own check, and how the table was declared. */
function inspect(file: string, notes: string[]): string[] {
  const opened = SqliteFile.open(file);
  // Said already, by what tried to read it.
  if (typeof opened === "string") return [];
  using database = opened;
  try {
    return database.read((connection) => {
      const checks = selectAll(connection, "PRAGMA quick_check(5)").flatMap(([text]) =>
        String(text).split("\n"),
      );
      const [table] = selectAll(
        connection,
        "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'tree'",
      );
      if (`${String(table?.[0])};` !== SCHEMA)
        notes.push("the table is not declared as pmxcfs does");
      const [mode] = selectAll(connection, "PRAGMA user_version");
      if (mode?.[0] !== 0) notes.push(`user_version is ${String(mode?.[0])}, not 0`);
      return checks.filter((text) => text !== "ok" && !text.startsWith("***"));
    });
  } catch (error) {
    return [errorText(error)];
  }
}

function oversize(items: readonly SalvagedItem[]): string[] {
  return items
    .filter(({ row }) => row.data.length > CfsLimits.fileBytes)
    .map(
      ({ path, row }) =>
        `${path.join("/")}: ${row.data.length} bytes, more than ${CfsLimits.fileBytes}`,
    );
}

function totals(items: readonly SalvagedItem[]) {
  let files = 0;
  let bytes = 0;
  for (const { kind, row } of items) {
    if (kind === "file") files++;
    if (kind === "file") bytes += row.data.length;
  }
  return { files, bytes, directories: items.length - files };
}

/** What of a directory would be served, and what would be left out; a text when it is none. */
export function verifyDirectory(directory: string): Verdict | string {
  const loaded = loadDirectory(directory);
  if (typeof loaded === "string") return loaded;
  const { memdb, leftOut } = loaded;
  const files = [...memdb.entries()].filter(({ kind }) => kind === "file").length;
  return {
    problems: duplicateGuests(memdb),
    notes: leftOut.map(({ path, reason }) => `left out: ${path} (${reason})`),
    files,
    directories: memdb.entryCount - files,
    bytes: memdb.fileBytes,
  };
}
