/**
 * A copy of config.db, examined by the rules pmxcfs loads it with (database.c, status.c;
 * CONFIG-DB.md): sound pages, its table, no two entries of one name, no guest twice, no entry in a
 * directory that is not there. Data only; nothing here judges.
 */
import { errorText } from "../../base/error-text.ts";
import type { Database } from "bun:sqlite";
import { clean } from "./finding.ts";

/** DT_DIR and DT_REG, as in the `type` column. */
const DIRECTORY = 4;

/** Files named in a report, the largest first. */
const FILES_LISTED = 5;
/** Faults of one kind named in a report. */
const FAULTS_LISTED = 5;

export interface Contents {
  /** What quick_check says when the pages are damaged. */
  readonly damage?: string;
  /** Why this is not pmxcfs's file. */
  readonly foreign?: string;
  readonly duplicateNames: readonly { name: string; first: number; second: number }[];
  readonly duplicateGuests: readonly { vmid: number; paths: string; inode: number }[];
  readonly orphans: readonly { name: string; inode: number }[];
  /** The largest files. */
  readonly files: readonly { name: string; bytes: number }[];
  readonly totalBytes: number;
  readonly count: number;
  /** Directories below nodes/. */
  readonly nodes: readonly string[];
  /** Seconds since 1970 of the last change. */
  readonly modifiedS: number;
}

interface Row {
  readonly inode: number;
  readonly parent: number;
  readonly type: number;
  readonly mtime: number;
  readonly name: string;
  readonly bytes: number;
}

const NOTHING: Contents = {
  duplicateNames: [],
  duplicateGuests: [],
  orphans: [],
  files: [],
  totalBytes: 0,
  count: 0,
  nodes: [],
  modifiedS: 0,
};

const ROWS =
  "SELECT inode, parent, type, mtime, CAST(name AS TEXT) AS name, " +
  "coalesce(length(data), 0) AS bytes FROM tree ORDER BY inode";

/** Opens the copy with `open`, looks, and closes it. */
export function examine(open: () => Database): Contents {
  let database: Database | undefined;
  try {
    database = open();
    const [first] = database.query("PRAGMA quick_check(5)").values();
    const verdict = String(first?.[0] ?? "no answer");
    if (verdict !== "ok") return { ...NOTHING, damage: clean(verdict) };
    const rows = table(database);
    return typeof rows === "string" ? { ...NOTHING, foreign: rows } : describe(rows);
  } catch (error) {
    // SQLITE_NOTADB, SQLITE_CORRUPT: damaged beyond asking.
    return { ...NOTHING, damage: errorText(error) };
  } finally {
    database?.close();
  }
}

function table(database: Database): Row[] | string {
  const known =
    "SELECT count(*) AS found FROM sqlite_master WHERE type = 'table' AND name = 'tree'";
  const [count] = database.query<{ found: number }, []>(known).all();
  if (count?.found !== 1) return 'it has no table "tree"';
  const rows = database.query<Row, []>(ROWS).all();
  const root = rows.find(({ inode }) => inode === 0);
  if (root !== undefined && root.name !== "__version__") {
    return `its row 0 is called ${clean(root.name)}, not __version__`;
  }
  return rows;
}

/** The path of a row; undefined when a directory on the way is missing or goes in circles. */
function pathOf(row: Row, byInode: ReadonlyMap<number, Row>): string | undefined {
  const names = [row.name];
  for (let parent = row.parent; parent !== 0;) {
    const above = byInode.get(parent);
    if (above === undefined || names.length > byInode.size) return undefined;
    names.unshift(above.name);
    parent = above.parent;
  }
  return names.join("/");
}

const GUEST = /^nodes\/[^/]+\/(?:qemu-server|lxc|openvz)\/([1-9]\d*)\.conf$/;

function duplicateNames(rows: readonly Row[], byInode: ReadonlyMap<number, Row>) {
  const seen = new Map<string, Row>();
  return rows.flatMap((row) => {
    const key = `${row.parent}/${row.name}`;
    const other = seen.get(key);
    seen.set(key, row);
    const name = pathOf(row, byInode) ?? row.name;
    return other === undefined ? [] : { name, first: other.inode, second: row.inode };
  });
}

function duplicateGuests(paths: ReadonlyMap<Row, string>) {
  const guests = new Map<number, { row: Row; path: string }[]>();
  for (const [row, path] of paths) {
    const vmid = GUEST.exec(path)?.[1];
    if (vmid === undefined || row.type === DIRECTORY) continue;
    guests.set(Number(vmid), [...(guests.get(Number(vmid)) ?? []), { row, path }]);
  }
  return [...guests].flatMap(([vmid, list]) => {
    const [oldest] = list;
    if (oldest === undefined || list.length < 2) return [];
    return { vmid, paths: list.map(({ path }) => path).join(" "), inode: oldest.row.inode };
  });
}

function describe(all: readonly Row[]): Contents {
  const rows = all.filter(({ inode }) => inode !== 0);
  const byInode = new Map(rows.map((row) => [row.inode, row]));
  const paths = new Map<Row, string>();
  const orphans: { name: string; inode: number }[] = [];
  for (const row of rows) {
    const path = pathOf(row, byInode);
    if (path === undefined) orphans.push({ name: row.name, inode: row.inode });
    else paths.set(row, path);
  }
  const largest = [...paths].toSorted(([a], [b]) => b.bytes - a.bytes).slice(0, FILES_LISTED);
  return {
    duplicateNames: duplicateNames(rows, byInode).slice(0, FAULTS_LISTED),
    duplicateGuests: duplicateGuests(paths).slice(0, FAULTS_LISTED),
    orphans: orphans.slice(0, FAULTS_LISTED),
    files: largest.map(([{ bytes }, name]) => ({ name, bytes })),
    totalBytes: rows.reduce((sum, { bytes }) => sum + bytes, 0),
    count: rows.length,
    nodes: [...paths].flatMap(([row, path]) => {
      const node = /^nodes\/([^/]+)$/.exec(path)?.[1];
      return node === undefined || row.type !== DIRECTORY ? [] : node;
    }),
    modifiedS: all.find(({ inode }) => inode === 0)?.mtime ?? 0,
  };
}
