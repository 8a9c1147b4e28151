/**
 * Finds what differs between rows and the tree in memory, and applies it: parents before their
 * content, one notification for a replaced file, in time proportional to the number of changes.
 */
import { inParts } from "../../base/steps.ts";
import { isWithin, type Entry, type Memdb } from "../state/memdb.ts";
import type { TableUpdate } from "./sqlite/database-reader.ts";
import { newEntry, RowType, type Row } from "./tree-rows.ts";
import { isPathName, rowRefusal, type JudgedRows } from "./tree-rules.ts";

/** Rows and entries that differ between a database and the tree. */
export interface Difference {
  readonly changed: readonly Row[];
  readonly gone: readonly Entry[];
}

/** An unchanged file whose new mtime is further than this from now had a utime, not a write. */
const WRITE_WITHIN_S = 5;
/** Rows handled in one step. */
const STEP = 64;

const kindOf = (row: Row): Entry["kind"] => (row.type === RowType.DIRECTORY ? "directory" : "file");

function isInPlace(entry: Entry, row: Row): boolean {
  const isThere = entry.parent?.inode === row.parent && entry.name === row.name;
  return isThere && kindOf(row) === entry.kind;
}

function isEqual(entry: Entry, row: Row): boolean {
  const stamps = entry.version === row.version && entry.mtime === row.mtime;
  return stamps && isInPlace(entry, row) && Buffer.compare(entry.bytes, row.data) === 0;
}

/** For unchanged bytes: a rewrite sets the present time, a utime any other. */
function isUtime(entry: Entry, row: Row): boolean {
  const now = Date.now() / 1000;
  return row.mtime !== entry.mtime && Math.abs(now - row.mtime) > WRITE_WITHIN_S;
}

export class TreeChanges {
  readonly #memdb: Memdb;
  /** By inode, with the root. */
  readonly #entries: Map<number, Entry>;

  constructor(memdb: Memdb, entries: Map<number, Entry>) {
    this.#memdb = memdb;
    this.#entries = entries;
  }

  /** Without the root. */
  get entryCount(): number {
    return this.#entries.size - 1;
  }

  /** False when applying a change removed more entries than it should have. */
  get isComplete(): boolean {
    return this.#memdb.entryCount === this.entryCount;
  }

  get(inode: number): Entry | undefined {
    return this.#entries.get(inode);
  }

  entries(): Iterable<Entry> {
    return this.#entries.values();
  }

  /** The difference that an update makes; removed rows without an entry are skipped. */
  *known({ changed, gone }: TableUpdate): Generator<undefined, Difference> {
    const entries: Entry[] = [];
    for (const [index, { inode }] of gone.entries()) {
      const entry = inode === 0 ? undefined : this.get(inode);
      if (entry !== undefined) entries.push(entry);
      if (index % STEP === 0) yield undefined;
    }
    return { changed, gone: entries };
  }

  /** Applies a difference. Yields between parts; those that are applied are visible. */
  *apply({ changed, gone }: Difference): Generator<undefined> {
    const targets = new Set<string>();
    for (const [index, row] of changed.entries()) {
      targets.add(`${row.parent}/${row.name}`);
      if (index % STEP === 0) yield undefined;
    }
    // Later entries are deeper in most trees, so few entries are removed with a directory.
    const last: Entry[] = [];
    for (let at = gone.length - 1; at >= 0; at--) {
      const entry = gone[at];
      if (entry === undefined) continue;
      this.#entries.delete(entry.inode);
      // An entry is removed when another one takes its place, so that there is one notification. A
      // directory stays until its content, which may move elsewhere, is handled.
      const isReplaced = targets.has(`${entry.parent?.inode ?? 0}/${entry.name}`);
      if (isReplaced || entry.children.size > 0) last.push(entry);
      else this.#memdb.remove(entry);
      yield undefined;
    }
    let waiting = yield* parentsFirst(changed);
    while (waiting.length > 0) {
      const later: Row[] = [];
      for (const row of waiting) {
        if (!(yield* this.#applyRow(row))) later.push(row);
        yield undefined;
      }
      if (later.length === waiting.length) break;
      waiting = later;
    }
    for (const entry of last) {
      if (entry.parent !== undefined) yield* this.#remove(entry);
      yield undefined;
    }
  }

  /** Removes an entry, deepest first. */
  *#remove(entry: Entry): Generator<undefined> {
    yield* this.#empty(entry);
    this.#memdb.remove(entry);
  }

  *#empty(directory: Entry): Generator<undefined> {
    if (directory.children.size === 0) return;
    const below: Entry[] = [];
    for (const entry of this.#memdb.entries(directory)) {
      below.push(entry);
      if (below.length % STEP === 0) yield undefined;
    }
    for (const entry of below.toReversed()) {
      this.#memdb.remove(entry);
      yield undefined;
    }
  }

  /** False while the row's directory is missing, or is still below the entry that moves into it. */
  *#applyRow(row: Row): Generator<undefined, boolean> {
    if (row.inode === 0) return true;
    const parent = this.#entries.get(row.parent);
    const entry = this.#entries.get(row.inode);
    if (parent === undefined || (entry !== undefined && isWithin(parent, entry))) return false;
    // Its directory was removed with a parent: added again, with its content, when all rows are
    // compared.
    if (parent !== this.#memdb.root && parent.parent === undefined) return false;
    const kind = kindOf(row);
    const occupant = parent.children.get(row.name);
    // An entry that takes the place of a directory above itself would be removed with the rest.
    const isAbove = occupant !== undefined && entry !== undefined && isWithin(entry, occupant);
    if (occupant !== undefined && !isAbove) yield* this.#empty(occupant);
    if (entry === undefined || entry.kind !== kind || entry.parent === undefined) {
      if (entry?.parent !== undefined) yield* this.#remove(entry);
      this.#entries.set(row.inode, this.#memdb.add(parent, newEntry(row)));
      return true;
    }
    const sameBytes = Buffer.compare(entry.bytes, row.data) === 0;
    const isMoved = !isInPlace(entry, row);
    if (isMoved) this.#memdb.move(entry, parent, row.name, row);
    if (!sameBytes) this.#memdb.write(entry, row.data, row);
    else if (isMoved) return true;
    else if (kind === "file" && !isUtime(entry, row)) this.#memdb.write(entry, row.data, row);
    else this.#memdb.touch(entry, row);
    return true;
  }
}

/** Sorts rows so that a directory comes before its content; a cycle is left as it is. */
function* parentsFirst(rows: readonly Row[]): Generator<undefined, Row[]> {
  const byInode = new Map<number, Row>();
  for (const [index, row] of rows.entries()) {
    byInode.set(row.inode, row);
    if (index % STEP === 0) yield undefined;
  }
  const done = new Set<Row>();
  const sorted: Row[] = [];
  for (const [index, row] of rows.entries()) {
    if (index % STEP === 0) yield undefined;
    const above: Row[] = [];
    const walked = new Set<Row>();
    let at: Row | undefined = row;
    while (at !== undefined && !done.has(at) && !walked.has(at)) {
      walked.add(at);
      above.push(at);
      at = byInode.get(at.parent);
      if (above.length % STEP === 0) yield undefined;
    }
    for (let each = above.pop(); each !== undefined; each = above.pop()) {
      done.add(each);
      sorted.push(each);
      if (above.length % STEP === STEP - 1) yield undefined;
    }
  }
  return sorted;
}

/** Compares judged rows with the tree, one by one. */
export function* differenceOf(
  tree: TreeChanges,
  { entries }: JudgedRows,
): Generator<undefined, Difference> {
  const seen = new Set<number>([0]);
  const changed: Row[] = [];
  let count = 0;
  for (const { row, inode } of entries) {
    seen.add(inode);
    const entry = tree.get(inode);
    if (row !== undefined && (entry === undefined || !isEqual(entry, row))) changed.push(row);
    count++;
    if (count % STEP === 0) yield undefined;
  }
  const gone: Entry[] = [];
  for (const entry of tree.entries()) {
    if (!seen.has(entry.inode)) gone.push(entry);
    count++;
    if (count % STEP === 0) yield undefined;
  }
  return { changed, gone };
}

/**
 * True when the rows are certainly a valid tree after the difference, judged only by what it
 * touches: every row is valid, its directory exists, its name is free, and nothing is left below a
 * removed one. False is no verdict: all rows are then judged (tree-rules.ts).
 */
export function* isPlain(
  tree: TreeChanges,
  { changed, gone }: Difference,
): Generator<undefined, boolean> {
  const leaving = new Set<number>();
  for (const part of inParts(gone)) {
    for (const { inode } of part) leaving.add(inode);
    yield undefined;
  }
  const placed = new Map<number, Row>();
  for (const [index, row] of changed.entries()) {
    placed.set(row.inode, row);
    if (index % STEP === 0) yield undefined;
  }
  const places = { tree, leaving, placed };
  if (!(yield* allFit(places, changed))) return false;
  let count = 0;
  for (const entry of gone) {
    for (const child of entry.children.values()) {
      if (!isAway(places, child)) return false;
      count++;
      if (count % STEP === 0) yield undefined;
    }
  }
  return true;
}

/** The tree, and what a difference does to it. */
interface Places {
  readonly tree: TreeChanges;
  /** Inodes of the entries that are removed. */
  readonly leaving: ReadonlySet<number>;
  /** The rows that are written, by inode. */
  readonly placed: ReadonlyMap<number, Row>;
}

/** True for an entry that is removed, or moved elsewhere. */
function isAway({ leaving, placed }: Places, entry: Entry): boolean {
  const row = placed.get(entry.inode);
  return leaving.has(entry.inode) || (row !== undefined && !isInPlace(entry, row));
}

/** Whether every row is valid, below an existing directory, with a name that is free there. */
function* allFit(places: Places, changed: readonly Row[]): Generator<undefined, boolean> {
  const { tree, leaving, placed } = places;
  const rows = new Map<number, Row>();
  const names = new Set<string>();
  let count = 0;
  for (const row of changed) {
    count++;
    if (count % STEP === 0) yield undefined;
    const isOdd = row.nameCut === true || row.omitted !== undefined || !isPathName(row.name);
    if (rowRefusal(row) !== undefined) return false;
    if (row.inode === 0) continue;
    if (isOdd || leaving.has(row.parent)) return false;
    const entry = tree.get(row.inode);
    const isMoved = entry !== undefined && !isInPlace(entry, row);
    // A directory that moves might end up below itself.
    if (isMoved && (row.type === RowType.DIRECTORY || entry.kind === "directory")) return false;
    const above = tree.get(row.parent) ?? rows.get(row.parent);
    const isBelowDirectory =
      above !== undefined && ("kind" in above ? above.kind === "directory" : isDirectory(above));
    const parentType = placed.get(row.parent)?.type ?? RowType.DIRECTORY;
    if (!isBelowDirectory || parentType !== RowType.DIRECTORY) return false;
    const key = `${row.parent}/${row.name}`;
    const occupant = "kind" in above ? above.children.get(row.name) : undefined;
    const isTaken = occupant !== undefined && occupant !== entry && !isAway(places, occupant);
    if (isTaken || names.has(key)) return false;
    names.add(key);
    rows.set(row.inode, row);
  }
  return true;
}

const isDirectory = (row: Row): boolean => row.type === RowType.DIRECTORY;
