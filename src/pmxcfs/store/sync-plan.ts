/**
 * The end of a cluster's sync, computed before anything is written: the resulting tree, whether it
 * is a valid one, whether it is the leader's, and which rows change. C counterpart: dcdb.c,
 * dcdb_commit.
 */
import type { Entry, LoadedEntry, Stamp } from "../state/memdb.ts";
import { inParts, sortedBy, type Steps } from "../../base/steps.ts";
import { digestOf, hashedOf, isIndexOf, type Hashed, type TreeIndex } from "../state/tree-index.ts";
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
  /** Its digest in the index (32 bytes), if already computed. */
  readonly digest?: Uint8Array;
}

export interface SyncRequest {
  /** Inodes of our tree that the leader does not have. */
  readonly deleted: readonly number[];
  readonly updates: readonly SyncEntry[];
  /** Has the digests of entries that stay. */
  readonly index: TreeIndex;
  readonly leaderIndex: Uint8Array | undefined;
}

export interface SyncPlan {
  readonly change: RowChange;
  readonly root: Stamp;
  /** The resulting tree, in the order of inodes. */
  readonly entries: readonly LoadedEntry[];
}

const NO_DATA = new Uint8Array(0);
/** Rows handled in one step. */
const ROWS_PER_STEP = 32;

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

/** The row as a C node stores it: empty data is NULL, for a file and for a directory. */
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

/**
 * The plan, or why it is refused, in C's words where it has a line for that. In steps, between
 * which the tree must not change. `entries`: our tree without its root.
 */
export function* planSync(
  ownRoot: Entry,
  entries: Iterable<Entry>,
  request: SyncRequest,
): Steps<SyncPlan | string> {
  const { leaderIndex } = request;
  const { root, rows, digests, sizes, replaced } = yield* rowsToCome(ownRoot, entries, request);
  const sorted = yield* sortedBy([...rows.values()], ({ inode }) => inode);
  const problem = yield* treeProblem([root, ...sorted]);
  if (problem !== undefined) return problem;
  if (leaderIndex !== undefined) {
    const rootDigest = digestOf({ ...hashedRow(root), type: RowType.DIRECTORY, name: "" });
    const all = digestsOf(sorted, rootDigest, digests);
    if (!(yield* isIndexOf(leaderIndex, root, all))) {
      return "new index does not match master index - internal error";
    }
  }
  const loaded: LoadedEntry[] = [];
  for (const part of inParts(sorted)) {
    for (const entry of loadedEntries(part)) loaded.push(withSize(entry, sizes.get(entry.inode)));
    yield undefined;
  }
  const { version, writer, mtime, type } = root;
  return {
    change: {
      deleted: yield* sortedBy(request.deleted, (inode) => inode),
      replaced: yield* sortedBy(replaced, ({ inode }) => inode),
      root: { version, writer, mtime, type },
    },
    root: { version, writer, mtime },
    entries: loaded,
  };
}

function* digestsOf(
  sorted: readonly Row[],
  rootDigest: Uint8Array,
  digests: ReadonlyMap<number, Uint8Array>,
): Generator<readonly [inode: number, digest: Uint8Array]> {
  yield [0, rootDigest];
  for (const { inode } of sorted) yield [inode, digests.get(inode) ?? NO_DATA];
}

/** The parts of the resulting tree, by inode; `replaced`: the rows that are written. */
interface RowsToCome {
  readonly root: Row;
  readonly rows: ReadonlyMap<number, Row>;
  readonly digests: ReadonlyMap<number, Uint8Array>;
  /** Sizes of files with a size but no bytes (memdb.ts): the leader has them too, or sends them. */
  readonly sizes: ReadonlyMap<number, number>;
  readonly replaced: readonly RowImage[];
}

function* rowsToCome(
  ownRoot: Entry,
  entries: Iterable<Entry>,
  { deleted, updates, index }: SyncRequest,
): Steps<RowsToCome> {
  const rows = new Map<number, Row>();
  const digests = new Map<number, Uint8Array>();
  const sizes = new Map<number, number>();
  let count = 0;
  for (const entry of entries) {
    if (entry.size !== entry.bytes.length) sizes.set(entry.inode, entry.size);
    rows.set(entry.inode, rowOfEntry(entry));
    digests.set(entry.inode, index.digest(entry));
    if (++count % ROWS_PER_STEP === 0) yield undefined;
  }
  for (const part of inParts(deleted)) {
    for (const inode of part) rows.delete(inode);
    yield undefined;
  }
  let root: Row = { ...rowOfEntry(ownRoot), type: RowType.FILE, name: VERSION_NAME };
  const replaced: RowImage[] = [];
  for (const update of updates) {
    const row = rowOf(update);
    if (row.inode === 0) root = row;
    else {
      rows.set(row.inode, row);
      sizes.delete(row.inode);
      digests.set(row.inode, update.digest ?? syncDigest(update));
      replaced.push(imageOf(row));
    }
    if (++count % ROWS_PER_STEP === 0) yield undefined;
  }
  return { root, rows, digests, sizes, replaced };
}
