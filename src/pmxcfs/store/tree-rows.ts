/**
 * The rows of a config.db, and the rules that make a tree of them: the ones the C server checks
 * when it loads, with its words for what breaks them. C counterpart: database.c,
 * bdb_backend_load_index; memdb.c, memdb_recreate_vmlist.
 */
import { guestPath } from "../state/guests.ts";
import { pathOf, type Entry, type LoadedEntry, type Memdb } from "../state/memdb.ts";

/** dirent.h's DT_DIR and DT_REG, as the type column has them. */
export const RowType = { DIRECTORY: 4, FILE: 8 } as const;

/** The name of row 0, which is no file: it carries the version of the whole tree. */
export const VERSION_NAME = "__version__";

export interface Row {
  readonly inode: number;
  readonly parent: number;
  readonly version: number;
  readonly writer: number;
  readonly mtime: number;
  readonly type: number;
  /** One character per byte, up to a NUL. */
  readonly name: string;
  readonly data: Uint8Array;
}

/** Why rows are no tree: `inode` is the row it was seen at. */
export interface RowProblem {
  readonly inode: number;
  readonly reason: string;
}

/** As the C server prints an inode. */
export function showInode(inode: number): string {
  return inode.toString(16).toUpperCase().padStart(16, "0");
}

function soundness(row: Row): string | undefined {
  const { inode, parent, type, name, data } = row;
  const at = `(inode = ${showInode(inode)}`;
  if (!Number.isSafeInteger(inode) || inode < 0) return `inode ${inode} is out of range`;
  if (!Number.isSafeInteger(parent) || parent < 0) return `parent out of range ${at})`;
  if (!Number.isSafeInteger(row.version)) return `version out of range ${at})`;
  if (name === "") return `inode has no name ${at})`;
  if (type === RowType.DIRECTORY && data.length > 0) return `directory inode contains data ${at})`;
  if (type !== RowType.DIRECTORY && type !== RowType.FILE) {
    return `inode has unknown type ${at}, type = ${type})`;
  }
  return inode === 0 && name !== VERSION_NAME
    ? `root inode has unexpected name '${name}'`
    : undefined;
}

function placement(row: Row, byInode: ReadonlyMap<number, Row>): string | undefined {
  const { inode, parent, name } = row;
  if (inode === 0 || parent === 0) return undefined;
  const above = byInode.get(parent);
  if (above === undefined) return `missing directory inode (inode = ${showInode(parent)})`;
  if (above.type === RowType.DIRECTORY) return undefined;
  const where = `inode = ${showInode(inode)}, parent = ${showInode(parent)}`;
  return `parent is not a directory (${where}, name = '${name}')`;
}

function duplicate(row: Row, other: Row): string {
  const [a, b] = [other, row].map((each) => `inode = 0x${showInode(each.inode)}`);
  return `found entry with duplicate name '${row.name}' - A:(${a}) vs. B:(${b})`;
}

/** One row of each circle of directories that are, in the end, in themselves. */
function* circles(rows: readonly Row[], byInode: ReadonlyMap<number, Row>): Generator<Row> {
  const settled = new Set<number>([0]);
  for (const row of rows) {
    const walked = new Set<number>();
    let at: Row | undefined = row;
    while (at !== undefined && !settled.has(at.inode) && !walked.has(at.inode)) {
      walked.add(at.inode);
      at = byInode.get(at.parent);
    }
    if (at !== undefined && walked.has(at.inode)) yield at;
    for (const inode of walked) settled.add(inode);
  }
}

/** Everything that keeps the rows from being a tree; none when they are one. */
export function problemsOf(rows: readonly Row[]): RowProblem[] {
  const problems: RowProblem[] = [];
  const byInode = new Map(rows.map((row) => [row.inode, row]));
  const names = new Map<string, Row>();
  for (const row of rows) {
    const reason = soundness(row) ?? placement(row, byInode);
    if (reason !== undefined) problems.push({ inode: row.inode, reason });
    if (row.inode === 0) continue;
    const key = `${row.parent}/${row.name}`;
    const other = names.get(key);
    if (other === undefined) names.set(key, row);
    else problems.push({ inode: row.inode, reason: duplicate(row, other) });
  }
  for (const { inode } of circles(rows, byInode)) {
    const reason = `directory is within itself (inode = ${showInode(inode)})`;
    problems.push({ inode, reason });
  }
  return problems;
}

/** Guest numbers that more than one configuration has, from the paths of files. */
export function duplicateGuestsIn(paths: Iterable<string>): readonly string[] {
  const first = new Map<number, string>();
  const found: string[] = [];
  for (const path of paths) {
    const vmid = guestPath(path)?.vmid;
    if (vmid === undefined) continue;
    const other = first.get(vmid);
    if (other === undefined) first.set(vmid, path);
    else found.push(`detected duplicate VMID ${vmid} (${other} and ${path})`);
  }
  return found;
}

/** The same of a tree. */
export function duplicateGuests(memdb: Memdb): readonly string[] {
  return duplicateGuestsIn([...memdb.entries()].filter(({ kind }) => kind === "file").map(pathOf));
}

/** Fills an empty tree with rows that have no problem, children after their directories. */
export function plant(memdb: Memdb, rows: readonly Row[]): Map<number, Entry> {
  const entries = new Map<number, Entry>([[0, memdb.root]]);
  const waiting = new Map<number, Row[]>();
  const add = (row: Row, parent: Entry): void => {
    const entry = memdb.add(parent, newEntry(row));
    entries.set(row.inode, entry);
    const below = waiting.get(row.inode);
    waiting.delete(row.inode);
    for (const child of below ?? []) add(child, entry);
  };
  for (const row of rows) {
    if (row.inode === 0) continue;
    const parent = entries.get(row.parent);
    if (parent !== undefined) add(row, parent);
    else waiting.set(row.parent, [...(waiting.get(row.parent) ?? []), row]);
  }
  return entries;
}

/** A row as the tree takes it. */
export function newEntry(row: Row): Parameters<Memdb["add"]>[1] {
  const { inode, version, writer, mtime, name, data } = row;
  const kind = row.type === RowType.DIRECTORY ? "directory" : "file";
  return { inode, version, writer, mtime, name, kind, bytes: data };
}

/** Rows without row 0 as a tree takes them that is loaded as a whole. */
export function* loadedEntries(rows: Iterable<Row>): Generator<LoadedEntry> {
  for (const row of rows) if (row.inode !== 0) yield { ...newEntry(row), parentInode: row.parent };
}
