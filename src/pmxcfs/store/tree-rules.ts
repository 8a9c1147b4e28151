/**
 * The rules by which a config.db's rows form a tree: what makes the C server refuse to start, in
 * its words, and which odd rows it loads. Used by every reader of a database: serve, the mount,
 * `config verify`, `--check`. Tested against what the C server did with some 140 databases
 * (odd-databases.json of test/golden).
 * C counterpart: database.c, bdb_backend_load_index; memdb.c, memdb_recreate_vmlist.
 */
import { drained } from "../../base/steps.ts";
import { GUEST_DIRECTORIES, guestPath } from "../state/guests.ts";
import type { Entry, Memdb } from "../state/memdb.ts";
import {
  inodeText,
  newEntry,
  parentText,
  RowType,
  showInode,
  VERSION_NAME,
  type Row,
} from "./tree-rows.ts";
import { isPending } from "./version-row.ts";

/** What the C server refuses to start with. */
export type RefusalKind =
  | "root-name"
  | "no-name"
  | "unknown-type"
  | "directory-data"
  | "parent-is-file"
  | "duplicate-name"
  | "missing-directory"
  | "duplicate-vmid"
  | "guest-directory-is-file";

export interface Refusal {
  readonly kind: RefusalKind;
  /** As the C server logs it. */
  readonly text: string;
  /** The row that is refused. */
  readonly row: Row;
  /** The earlier one of two rows that collide. */
  readonly other?: Row;
  /** The guest number that two files have. */
  readonly vmid?: number;
}

/** Odd rows that the C server loads. */
export type RemarkKind = "unreachable" | "hidden-name" | "cut-name" | "same-inode" | "omitted";

export interface Remark {
  readonly kind: RemarkKind;
  readonly text: string;
  readonly row: Row;
}

/** An entry of the tree. `row` is undefined for the root and for missing directories. */
export interface TreeNode {
  readonly inode: number;
  readonly row: Row | undefined;
  readonly parent: TreeNode | undefined;
  readonly children: ReadonlyMap<string, TreeNode>;
}

export interface JudgedRows {
  /** Empty when the C server starts with the rows; the first is the one it would log. */
  readonly refusals: readonly Refusal[];
  readonly remarks: readonly Remark[];
  /** Entries that a path leads to, a directory before its content. */
  readonly entries: readonly TreeNode[];
  /** Row 0. */
  readonly rootRow: Row | undefined;
}

/** Why a row by itself is refused; undefined when it is valid. Row 0 has rules of its own. */
export function rowRefusal(row: Row): Refusal | undefined {
  const { inode, type, name, data } = row;
  const at = `(inode = ${inodeText(row)}`;
  if (inode === 0) {
    if (name === VERSION_NAME || isPending(row)) return undefined;
    return { kind: "root-name", text: `root inode has unexpected name '${name}'`, row };
  }
  if (name === "" && row.nameCut !== true) {
    return { kind: "no-name", text: `inode has no name ${at})`, row };
  }
  if (type === RowType.DIRECTORY && (data.length > 0 || row.omitted !== undefined)) {
    return { kind: "directory-data", text: `directory inode contains data ${at})`, row };
  }
  if (type === RowType.DIRECTORY || type === RowType.FILE) return undefined;
  return { kind: "unknown-type", text: `inode has unknown type ${at}, type = ${type})`, row };
}

/** False for a name that no path can contain: its row is kept, its entry is left out. */
export function isPathName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !name.includes("/");
}

function duplicateName(row: Row, other: Row): Refusal {
  const [a, b] = [other, row].map(
    (each) =>
      `(inode = 0x${inodeText(each)}, parent = 0x${parentText(each)}, ` +
      // The C server prints the time in decimal after its 0x.
      `v./mtime = 0x${each.version.toString(16).toUpperCase()}/0x${each.mtime})`,
  );
  const text = `found entry with duplicate name '${row.name}' - A:${a} vs. B:${b}`;
  return { kind: "duplicate-name", text, row, other };
}

interface Node extends TreeNode {
  row: Row | undefined;
  parent: Node | undefined;
  readonly children: Map<string, Node>;
}

/** Rows judged in one step. */
const STEP = 64;

/** Collects the findings row by row. */
class Judge {
  readonly refusals: Refusal[] = [];
  readonly remarks: Remark[] = [];
  readonly entries: Node[] = [];
  readonly #nodes = new Map<number, Node>();
  /** Directories whose row has not been read yet, with the first row that names each. */
  readonly #awaited = new Map<Node, Row>();
  readonly root = this.#node(0);
  rootRow: Row | undefined;

  #node(inode: number): Node {
    const node: Node = { inode, row: undefined, parent: undefined, children: new Map() };
    this.#nodes.set(inode, node);
    return node;
  }

  take(row: Row): void {
    const refusal = rowRefusal(row);
    if (refusal !== undefined) this.refusals.push(refusal);
    if (row.inode === 0) this.rootRow = row;
    if (row.inode === 0) return;
    if (refusal !== undefined) return this.#refuse(row);
    const parent = this.#nodes.get(row.parent) ?? this.#node(row.parent);
    if (parent.row?.type === RowType.FILE) {
      const where = `inode = ${inodeText(row)}, parent = ${parentText(row)}`;
      const text = `parent is not a directory (${where}, name = '${row.name}')`;
      this.refusals.push({ kind: "parent-is-file", text, row, other: parent.row });
    }
    if (parent !== this.root && parent.row === undefined && row.parent !== row.inode) {
      if (!this.#awaited.has(parent)) this.#awaited.set(parent, row);
    }
    this.#place(row, parent);
    if (row.nameCut === true) {
      this.remarks.push({ kind: "cut-name", text: "its name is cut at a NUL", row });
    }
    if (row.omitted !== undefined) {
      const text = `${row.omitted} bytes exceed the read limit`;
      this.remarks.push({ kind: "omitted", text, row });
    }
  }

  /** A refused row counts as a directory for rows below it, so that its fault is reported once. */
  #refuse(row: Row): void {
    const node = this.#nodes.get(row.inode) ?? this.#node(row.inode);
    node.row ??= { ...row, type: RowType.DIRECTORY };
    this.#awaited.delete(node);
  }

  #place(row: Row, parent: Node): void {
    const known = this.#nodes.get(row.inode);
    if (known?.row !== undefined) {
      this.remarks.push({ kind: "same-inode", text: "another row has its inode", row });
      return;
    }
    const node = known ?? this.#node(row.inode);
    node.row = row;
    this.#awaited.delete(node);
    if (node === parent) return;
    const other = parent.children.get(row.name);
    if (other?.row !== undefined) {
      this.refusals.push(duplicateName(row, other.row));
      return;
    }
    node.parent = parent;
    parent.children.set(row.name, node);
  }

  /** Rows whose directory is missing: the C server finds them after the last row. */
  *missing(): Generator<undefined> {
    let count = 0;
    for (const [node, row] of this.#awaited) {
      count++;
      if (count % STEP === 0) yield undefined;
      const wide = row.parent === node.inode ? (row.wideParent ?? row.parent) : node.inode;
      const text = `missing directory inode (inode = ${showInode(wide)})`;
      this.refusals.push({ kind: "missing-directory", text, row });
    }
  }

  /** Finds the entries that a path leads to, and those that none leads to. */
  *reach(): Generator<undefined> {
    const reached = new Set<Node>([this.root]);
    const ahead: Node[] = [this.root];
    const hidden: Node[] = [];
    for (let node = ahead.pop(); node !== undefined; node = ahead.pop()) {
      for (const [name, child] of node.children) {
        reached.add(child);
        if (reached.size % STEP === 0) yield undefined;
        if (!isPathName(name)) hidden.push(child);
        else if (child.row?.type === RowType.DIRECTORY) ahead.push(child);
        if (isPathName(name)) this.entries.push(child);
      }
    }
    yield* this.#hide(hidden, reached);
    let count = 0;
    for (const node of this.#nodes.values()) {
      count++;
      if (count % STEP === 0) yield undefined;
      if (node.row === undefined || reached.has(node) || this.#isBelowMissing(node)) continue;
      reached.add(node);
      this.remarks.push({ kind: "unreachable", text: unreachableText(node), row: node.row });
    }
  }

  *#hide(hidden: readonly Node[], reached: Set<Node>): Generator<undefined> {
    for (const node of hidden) {
      if (node.row === undefined) continue;
      const text = `no path leads to a name like '${node.row.name}'`;
      this.remarks.push({ kind: "hidden-name", text, row: node.row });
      const ahead = [node];
      for (let at = ahead.pop(); at !== undefined; at = ahead.pop()) {
        // Nothing is below a file, as in a directory that can be found.
        if (at.row?.type !== RowType.DIRECTORY) continue;
        for (const child of at.children.values()) {
          reached.add(child);
          ahead.push(child);
          if (reached.size % STEP === 0) yield undefined;
        }
      }
    }
  }

  readonly #lost = new Map<Node, boolean>();

  /** Already reported: the topmost directory above it is missing, or its row is refused. */
  #isBelowMissing(node: Node): boolean {
    const walked: Node[] = [];
    let at: Node | undefined = node;
    let lost: boolean | undefined;
    while (lost === undefined) {
      lost = at === undefined ? false : (this.#lost.get(at) ?? this.#isTop(at));
      if (lost !== undefined || at === undefined) break;
      walked.push(at);
      this.#lost.set(at, false);
      at = at.parent;
    }
    for (const each of walked) this.#lost.set(each, lost ?? false);
    return lost ?? false;
  }

  #isTop(node: Node): boolean | undefined {
    if (node === this.root) return false;
    if (node.row === undefined) return true;
    if (node.parent !== undefined) return undefined;
    // Without a place: it is its own parent, or the second one of its name.
    return node.row.parent !== node.inode;
  }

  *guests(): Generator<undefined> {
    const first = new Map<number, Node>();
    for (const node of this.root.children.get("nodes")?.children.values() ?? []) {
      yield undefined;
      for (const name of GUEST_DIRECTORIES) {
        const directory = node.children.get(name);
        if (directory?.row?.type === RowType.FILE) {
          const text = "vmlist_add_dir: assertion 'subdir->type == DT_DIR' failed";
          this.refusals.push({ kind: "guest-directory-is-file", text, row: directory.row });
        } else if (directory !== undefined) {
          yield* this.#guestsIn(`nodes/${node.row?.name ?? ""}/${name}`, directory, first);
        }
      }
    }
  }

  *#guestsIn(path: string, directory: Node, first: Map<number, Node>): Generator<undefined> {
    let count = 0;
    for (const child of directory.children.values()) {
      count++;
      if (count % STEP === 0) yield undefined;
      if (child.row?.type !== RowType.FILE) continue;
      const vmid = guestPath(`${path}/${child.row.name}`)?.vmid;
      if (vmid === undefined) continue;
      const other = first.get(vmid);
      if (other?.row === undefined) {
        first.set(vmid, child);
        continue;
      }
      const text = `detected duplicate VMID ${vmid}`;
      this.refusals.push({ kind: "duplicate-vmid", text, row: child.row, other: other.row, vmid });
    }
  }
}

function unreachableText({ row, inode, parent }: TreeNode): string {
  if (row?.parent === inode) return "it is its own directory: no path leads to it";
  if (parent?.row?.type === RowType.FILE) {
    return `it lies below '${parent.row.name}', which is a file: no path leads to it`;
  }
  return "it lies below a directory that is within itself: no path leads to it";
}

/** Judges rows in the order in which the C server reads them, in steps. */
export function* judging(rows: Iterable<Row>): Generator<undefined, JudgedRows> {
  const judge = new Judge();
  let count = 0;
  for (const row of rows) {
    judge.take(row);
    count++;
    if (count % STEP === 0) yield undefined;
  }
  yield* judge.missing();
  yield* judge.reach();
  yield* judge.guests();
  const { refusals, remarks, entries, rootRow } = judge;
  return { refusals, remarks, entries, rootRow };
}

/** The same at once. */
export function judgeRows(rows: Iterable<Row>): JudgedRows {
  return drained(judging(rows));
}

/** Why we do not serve the rows: every refusal of the C server, with one exception. */
export function servedRefusal({ refusals }: JudgedRows): Refusal | undefined {
  // A file in the place of a guest directory hides no guest.
  return refusals.find(({ kind }) => kind !== "guest-directory-is-file");
}

/** The rows that a path leads to, in the order of inodes, and the others; without row 0. */
export function divided(
  rows: Iterable<Row>,
  { entries }: JudgedRows,
): { readonly reached: readonly Row[]; readonly leftOut: readonly Row[] } {
  const reached = new Set(entries.flatMap(({ row }) => row ?? []));
  const leftOut = [...rows].filter((row) => row.inode !== 0 && !reached.has(row));
  return { reached: [...reached].toSorted((a, b) => a.inode - b.inode), leftOut };
}

/** The path of an entry, latin1. Beyond `most` characters, its end and the number of levels cut. */
export function nodePath(node: TreeNode, most = Infinity): string {
  const names: string[] = [];
  let length = 0;
  let levels = 0;
  for (let at: TreeNode | undefined = node; at?.row !== undefined; at = at.parent) {
    if (length + at.row.name.length < most) names.push(at.row.name);
    else levels++;
    length += at.row.name.length + 1;
  }
  if (levels > 0) names.push(`(${levels} more levels)`);
  return names.toReversed().join("/");
}

/** Fills an empty tree; returns the entries by inode, with the root. */
export function plant(memdb: Memdb, judged: JudgedRows): Map<number, Entry> {
  const entries = new Map<number, Entry>([[0, memdb.root]]);
  for (const { row } of judged.entries) {
    const parent = row === undefined ? undefined : entries.get(row.parent);
    if (row === undefined || parent === undefined) continue;
    entries.set(row.inode, memdb.add(parent, newEntry(row)));
  }
  return entries;
}

/** Why the rows are no tree in which a path leads to each of them; undefined when they are. */
export function* treeProblem(rows: Iterable<Row>): Generator<undefined, string | undefined> {
  const { refusals, remarks } = yield* judging(rows);
  // Guest numbers do not matter here: duplicates are found when the guests are listed.
  const refusal = refusals.find(({ kind }) => !GUEST_REFUSALS.has(kind));
  const unreachable = remarks.find(({ kind }) => kind === "unreachable");
  if (refusal !== undefined) return refusal.text;
  return unreachable && `${unreachable.text} (inode = ${inodeText(unreachable.row)})`;
}

const GUEST_REFUSALS: ReadonlySet<RefusalKind> = new Set([
  "duplicate-vmid",
  "guest-directory-is-file",
]);
