/**
 * The rows of a config.db as everything here knows them, whichever way they were read.
 * C counterpart: memdb.h, memdb_tree_entry_t.
 */
import type { LoadedEntry, Memdb } from "../state/memdb.ts";

/** dirent.h's DT_DIR and DT_REG, as the type column has them. */
export const RowType = { DIRECTORY: 4, FILE: 8 } as const;

/** The name of row 0, which is no file: it carries the version of the whole tree. */
export const VERSION_NAME = "__version__";

export interface Row {
  /** Unique; beyond 2^53 a number of our own, and `wideInode` has what stands in the file. */
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
  /** Bytes of content that were too many to be read; `data` is empty then. */
  readonly omitted?: number;
}

/** As the C server prints an inode: 16 hexadecimal digits of its 64 bits. */
export function showInode(inode: number | bigint): string {
  const bits = typeof inode === "bigint" || inode < 0 ? BigInt.asUintN(64, BigInt(inode)) : inode;
  return bits.toString(16).toUpperCase().padStart(16, "0");
}

/** The inode of a row, as it stands in the file. */
export const inodeText = (row: Row): string => showInode(row.wideInode ?? row.inode);
/** The same of the directory it names. */
export const parentText = (row: Row): string => showInode(row.wideParent ?? row.parent);

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
