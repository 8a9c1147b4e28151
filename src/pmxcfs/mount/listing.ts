/**
 * A directory's listing: `.`, `..`, in the root the special entries, then the tree's entries by
 * node id. Offsets are derived from ids, so a server that takes over the mount continues a listing
 * at the right entry.
 */
import type { AddEntry } from "../../fuse/file-system.ts";
import type { Entry } from "../state/memdb.ts";
import { NodeTable } from "./node-table.ts";
import type { Special } from "./special.ts";

/** DT_* of readdir(3). */
const FileType = { UNKNOWN: 0, DIRECTORY: 4, FILE: 8, LINK: 10 } as const;

/** Offsets of tree entries begin here; `.`, `..` and the special entries come before. */
const FIRST_OFFSET = 64;
const FIRST_SPECIAL_OFFSET = 3;

const NO_SPECIAL: ReadonlyMap<string, Special> = new Map();
const NO_CHILDREN: ReadonlyMap<string, Entry> = new Map();

/** Longest name that the kernel takes (FUSE_NAME_LOW_MAX); with a longer one, READDIR is an EIO. */
const MOST_NAME_BYTES = 1024;

/** False for names that no path can contain; a foreign database may hold such names. */
export function isReachable(name: string): boolean {
  if (name.length > MOST_NAME_BYTES) return false;
  return name !== "" && name !== "." && name !== ".." && !name.includes("/");
}

/** An entry of a listing that is not in the tree's directory: `.`, `..`, special entries. */
interface Fixed {
  readonly name: string;
  readonly node: number;
  /** DT_*. */
  readonly type: number;
  /** d_off: a listing continues after this entry when given it. Ascending within a listing. */
  readonly offset: number;
}

/**
 * The names of a directory when its listing began. It is made in one turn of the event loop, so
 * there is no object for each entry: 26,000 of those took 12 ms in a server that had just started.
 */
export class Listing {
  readonly #nodes: NodeTable;
  readonly #fixed: readonly Fixed[];
  readonly #special: ReadonlyMap<string, Special>;
  #names: readonly string[];
  /** By name: the id that the entry has on every server. Ascending. */
  readonly #ids: Float64Array;
  /** By name: 1 for directories. */
  readonly #areDirectories: Uint8Array;

  /**
   * `entry`: undefined for a directory that is gone, which lists nothing, as in C. `special`: the
   * special entries, for the root. They hide entries of the same names.
   */
  constructor(
    nodes: NodeTable,
    entry: Entry | undefined,
    special: ReadonlyMap<string, Special> = NO_SPECIAL,
  ) {
    this.#nodes = nodes;
    this.#special = special;
    this.#fixed = entry === undefined ? [] : fixedOf(nodes, entry, special);
    const children: ReadonlyMap<string, Entry> = entry?.children ?? NO_CHILDREN;
    this.#names = Array.from(children.keys());
    this.#ids = new Float64Array(children.size);
    this.#areDirectories = new Uint8Array(children.size);
    let at = 0;
    let last = 0;
    let isSorted = true;
    for (const child of children.values()) {
      const id = nodes.lastingIdOf(child);
      if (id < last) isSorted = false;
      last = id;
      this.#ids[at] = id;
      if (child.kind === "directory") this.#areDirectories[at] = 1;
      at++;
    }
    if (!isSorted) this.#sort();
  }

  /** Rare: a directory's entries are in the order in which they were made. */
  #sort(): void {
    const ids = this.#ids;
    const order = Array.from(ids.keys()).toSorted((a, b) => (ids[a] ?? 0) - (ids[b] ?? 0));
    this.#names = order.map((at) => this.#names[at] ?? "");
    this.#areDirectories.set(order.map((at) => this.#areDirectories[at] ?? 0));
    ids.sort();
  }

  get length(): number {
    return this.#fixed.length + this.#names.length;
  }

  /** Index of the first entry whose offset is above `offset`. */
  indexAfter(offset: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#offsetAt(middle) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #offsetAt(index: number): number {
    const fixed = this.#fixed[index];
    return fixed?.offset ?? FIRST_OFFSET + (this.#ids[index - this.#fixed.length] ?? 0);
  }

  /**
   * Adds the entry at `index`, unless no path can contain its name or a special entry hides it;
   * false when there is no room. `directory`: the directory's present entry.
   */
  add(index: number, directory: Entry | undefined, add: AddEntry): boolean {
    const fixed = this.#fixed[index];
    if (fixed !== undefined) return add(fixed.name, fixed.node, fixed.type, fixed.offset);
    const at = index - this.#fixed.length;
    const name = this.#names[at] ?? "";
    if (!isReachable(name) || this.#special.has(name)) return true;
    const present = directory?.children.get(name);
    const node = present === undefined ? (this.#ids[at] ?? 0) : this.#nodes.idOf(present);
    const type = this.#areDirectories[at] === 1 ? FileType.DIRECTORY : FileType.FILE;
    return add(name, node, type, this.#offsetAt(index));
  }
}

function fixedOf(
  nodes: NodeTable,
  entry: Entry,
  special: ReadonlyMap<string, Special>,
): readonly Fixed[] {
  const fixed: Fixed[] = [
    { name: ".", node: nodes.idOf(entry), type: FileType.DIRECTORY, offset: 1 },
    { name: "..", node: nodes.idOf(entry.parent ?? entry), type: FileType.DIRECTORY, offset: 2 },
  ];
  for (const { name, kind } of special.values()) {
    const index = fixed.length - 2;
    const type = kind === "link" ? FileType.LINK : FileType.UNKNOWN;
    const offset = FIRST_SPECIAL_OFFSET + index;
    fixed.push({ name, node: NodeTable.specialId(index), type, offset });
  }
  return fixed;
}
