/**
 * The rows of a config.db, in the form that all code here uses, whichever way they were read.
 * C counterpart: memdb.h, memdb_tree_entry_t.
 */
import type { LoadedEntry, Memdb } from "../state/memdb.ts";

/** dirent.h's DT_DIR and DT_REG, as the type column has them. */
export const RowType = { DIRECTORY: 4, FILE: 8 } as const;

/** The name of row 0, which is not a file: it has the version of the whole tree. */
export const VERSION_NAME = "__version__";

export interface Row {
  /** Unique. Beyond 2^53 a number of our own; `wideInode` then has the inode in the file. */
  readonly inode: number;
  readonly parent: number;
  readonly version: number;
  readonly writer: number;
  readonly mtime: number;
  readonly type: number;
  /** One character per byte, up to a NUL. */
  readonly name: string;
  readonly data: Uint8Array;
  readonly wideInode?: bigint;
  readonly wideParent?: bigint;
  /** There was a NUL in the name. */
  readonly nameCut?: boolean;
  /** Size of a content too large to be read; `data` is then empty. */
  readonly omitted?: number;
}

/** An inode as the C server prints it: 16 hexadecimal digits. */
export function showInode(inode: number | bigint): string {
  const bits = typeof inode === "bigint" || inode < 0 ? BigInt.asUintN(64, BigInt(inode)) : inode;
  return bits.toString(16).toUpperCase().padStart(16, "0");
}

/** The inode of a row, as it is in the file. */
export const inodeText = (row: Row): string => showInode(row.wideInode ?? row.inode);
/** The inode of a row's directory, as it is in the file. */
export const parentText = (row: Row): string => showInode(row.wideParent ?? row.parent);

/** The version of the tree in these rows: the highest number in use, whatever row 0 says. */
export function highestVersion(rows: readonly Row[]): number {
  return rows.reduce((most, { inode, version }) => Math.max(most, inode, version), 1);
}

/** Why the rows cannot be written: a double cannot tell apart the numbers beyond 2^53. */
export function tooWide(rows: readonly Row[]): string | undefined {
  for (const { name, version, wideInode, wideParent } of rows) {
    const isWide = (wideInode ?? wideParent) !== undefined;
    if (isWide) return `the inode of '${name}' is beyond 2^53: it cannot be written`;
    // The next version must be exact, too.
    const isLast = version + 1 > Number.MAX_SAFE_INTEGER;
    if (isLast) return `the version of '${name}' is beyond 2^53: it cannot be written`;
  }
  return undefined;
}

/** The tree entry of a row. */
export function newEntry(row: Row): Parameters<Memdb["add"]>[1] {
  const { inode, version, writer, mtime, name, data } = row;
  const kind = row.type === RowType.DIRECTORY ? "directory" : "file";
  return { inode, version, writer, mtime, name, kind, bytes: data };
}

/** The tree entries of all rows but row 0, for a tree that is loaded as a whole. */
export function* loadedEntries(rows: Iterable<Row>): Generator<LoadedEntry> {
  for (const row of rows) if (row.inode !== 0) yield { ...newEntry(row), parentInode: row.parent };
}
