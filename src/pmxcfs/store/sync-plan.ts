/**
 * The end of a cluster's sync, computed before anything is written: which tree comes out, whether
 * it is one, whether it is the leader's, and which rows change. C counterpart: dcdb.c,
 * dcdb_sync_corosync_conf and dcdb_commit.
 */
import type { Entry, LoadedEntry, Stamp } from "../state/memdb.ts";
import {
  digestOf,
  encodeIndex,
  hashedOf,
  type Hashed,
  type TreeIndex,
} from "../state/tree-index.ts";
import type { RowChange, RowImage } from "./row-writer.ts";
import { loadedEntries, RowType, VERSION_NAME, type Row } from "./tree-rows.ts";
import { treeProblem } from "./tree-rules.ts";

/** One UPDATE message: an entry of the leader's tree; inode 0 is the root, with an empty name. */
export interface SyncEntry {
  readonly inode: number;
  /** Inode of its directory. */
  readonly parent: number;
  readonly version: number;
  readonly writer: number;
  readonly mtime: number;
  /** 4 directory, 8 file. */
  readonly type: number;
  /** latin1. */
  readonly name: string;
  /** Empty for a directory. */
  readonly data: Uint8Array;
  /** Of the index (32 bytes), when it was computed before. */
  readonly digest?: Uint8Array;
}

export interface SyncRequest {
  /** Inodes of the own tree that the leader has not. */
  readonly deleted: readonly number[];
  readonly updates: readonly SyncEntry[];
  /** Keeps the digests of entries that stay. */
  readonly index: TreeIndex;
  readonly leaderIndex: Uint8Array | undefined;
}

export interface SyncPlan {
  readonly change: RowChange;
  readonly root: Stamp;
  /** The tree to come, in the order of inodes. */
  readonly entries: readonly LoadedEntry[];
}

const NO_DATA = new Uint8Array(0);

function rowOf(update: SyncEntry): Row {
  const { inode, parent, version, writer, mtime, type } = update;
  const name = inode === 0 ? VERSION_NAME : update.name;
  const data = type === RowType.FILE ? update.data : NO_DATA;
  return { inode, parent, version, writer, mtime, type, name, data };
}

/** The digest of an entry in the index of its tree; not of the root. */
export function syncDigest(update: SyncEntry): Uint8Array {
  return digestOf(hashedRow(rowOf(update)));
}

/** As a C node stores what it got: no bytes are NULL, of a file and of a directory. */
function imageOf(row: Row): RowImage {
  return { ...row, data: row.data.length === 0 ? null : row.data };
}

function hashedRow(row: Row): Hashed {
  const { parent, data, ...rest } = row;
  return { ...rest, parentInode: parent, size: data.length, bytes: data };
}

function rowOfEntry(entry: Entry): Row {
  const { parentInode, bytes, ...rest } = hashedOf(entry);
  return { ...rest, parent: parentInode, data: bytes };
}

function withSize(entry: LoadedEntry, size: number | undefined): LoadedEntry {
  return size === undefined ? entry : { ...entry, size };
}

/** The plan, or one line that says why not. `entries`: the own tree without its root. */
export function planSync(
  ownRoot: Entry,
  entries: Iterable<Entry>,
  request: SyncRequest,
): SyncPlan | string {
  const { deleted, updates, index, leaderIndex } = request;
  const rows = new Map<number, Row>();
  const digests = new Map<number, Uint8Array>();
  // Files with a size and no bytes (memdb.ts): the leader has them like this too, or sends them.
  const sizes = new Map<number, number>();
  for (const entry of entries) {
    if (entry.size !== entry.bytes.length) sizes.set(entry.inode, entry.size);
    rows.set(entry.inode, rowOfEntry(entry));
    digests.set(entry.inode, index.digest(entry));
  }
  for (const inode of deleted) rows.delete(inode);
  let root: Row = { ...rowOfEntry(ownRoot), type: RowType.FILE, name: VERSION_NAME };
  for (const update of updates) {
    const row = rowOf(update);
    if (row.inode === 0) root = row;
    else {
      rows.set(row.inode, row);
      sizes.delete(row.inode);
      digests.set(row.inode, update.digest ?? syncDigest(update));
    }
  }
  const sorted = [...rows.values()].toSorted((a, b) => a.inode - b.inode);
  const problem = treeProblem([root, ...sorted]);
  if (problem !== undefined) return problem;
  if (leaderIndex !== undefined) {
    const rootDigest = digestOf({ ...hashedRow(root), type: RowType.DIRECTORY, name: "" });
    const all = sorted.map(({ inode }) => [inode, digests.get(inode) ?? NO_DATA] as const);
    const made = encodeIndex(root, [[0, rootDigest], ...all]);
    if (!made.equals(leaderIndex)) return "the tree would not be the leader's: its index differs";
  }
  const { version, writer, mtime, type } = root;
  const replaced = updates
    .filter(({ inode }) => inode !== 0)
    .map((update) => imageOf(rowOf(update)));
  return {
    change: { deleted, replaced, root: { version, writer, mtime, type } },
    root: { version, writer, mtime },
    entries: [...loadedEntries(sorted)].map((entry) => withSize(entry, sizes.get(entry.inode))),
  };
}
