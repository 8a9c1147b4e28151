/**
 * Node ids: the kernel's names for the entries it knows. An id is the entry's inode, so that it
 * stays valid when another server takes over the mount. A node is kept until the kernel forgets it;
 * it also holds the content of a file that was removed while open.
 */
import { type AttributeChange, ROOT_NODE } from "../../fuse/file-system.ts";
import { TOOK_INODE } from "../state/entry.ts";
import { type Entry, type Memdb, pathOf } from "../state/memdb.ts";

/** First id of the special entries. */
const FIRST_SPECIAL = 2 ** 52;
/** From here on are the ids of entries whose inode cannot be one. */
const FIRST_ALIAS = 2 ** 51;
/** Of inode 1, which is the root's id. */
const ALIAS_OF_ONE = FIRST_ALIAS;
/**
 * Below are the aliases of entries with `tookInode`, made of both numbers; from here on those of
 * inodes that are negative or huge.
 */
const FIRST_RANDOM_ALIAS = FIRST_ALIAS + (TOOK_INODE.most + 1) * TOOK_INODE.inodes;
/**
 * The latter begin after a random number below this: a server that takes over the mount does not
 * know those of the previous one, and must not take them for other entries.
 */
const ALIAS_STARTS = 2 ** 49;

/** A node the kernel knows. */
export interface Node {
  readonly id: number;
  readonly entry: Entry;
  /** The directory and the name under which the kernel last found it; no directory: removed. */
  parent: Entry | undefined;
  name: string;
  /** When that was, by performance.now(). */
  foundMs: number;
  /** The last known path, latin1; for a removed entry, the one that it had. */
  path: string;
  /** The kernel's lookup count: lookups answered less those forgotten. */
  lookups: number;
  /** Content of a file that was changed after its removal; seen only through open descriptors. */
  detached: { bytes: Uint8Array; mtime: number } | undefined;
}

/** True when the entry is no longer in the tree. */
export function isRemoved({ entry, id }: Node): boolean {
  return entry.parent === undefined && id !== ROOT_NODE;
}

/**
 * A request that comes this soon after its lookup does not go by the kernel's cache: the name led
 * elsewhere only after the lookup, so that the request may count as made before that. The kernel
 * looks up once more after ESTALE, and a second ESTALE would be the caller's.
 */
const FOUND_NOW_MS = 100;

/**
 * True for an OPEN, or a change, of what the kernel's cache has under a name that leads elsewhere
 * now: another node has removed or moved the entry. Of a file only a new size matters, which would
 * be lost; of a directory the times, as they are those of a lock. The kernel does not say whether
 * other changes come by a name or by a descriptor (futimens), for which it looks nothing up again.
 */
export function isStale(
  { entry, parent, name, foundMs }: Node,
  change?: Pick<AttributeChange, "isOpen" | "size">,
): boolean {
  if (change?.isOpen === true) return false;
  if (change !== undefined && change.size === undefined && entry.kind === "file") return false;
  const isMoved = entry.parent !== parent || entry.name !== name;
  return isMoved && performance.now() - foundMs > FOUND_NOW_MS;
}

/** True for a directory that is no longer in the tree: nothing of it is left, unlike of a file. */
export function isGone(node: Node): boolean {
  return node.entry.kind === "directory" && isRemoved(node);
}

/** st_nlink as in C: 2 for every directory, whatever it contains; 0 for what is not in the tree. */
export function linksOf(entry: Entry | undefined): number {
  if (entry === undefined) return 0;
  return entry.kind === "directory" ? 2 : 1;
}

/** The nodes of one connection. */
export class NodeTable {
  readonly #memdb: Memdb;
  readonly #taken: ReadonlyMap<number, number>;
  readonly #nodes = new Map<number, Node>();
  readonly #aliases = new WeakMap<Entry, number>();
  /** The latest sync before this connection, of which the kernel knows nothing. */
  #syncBefore = -1;
  #nextAlias = FIRST_RANDOM_ALIAS + Math.floor(Math.random() * ALIAS_STARTS);

  /** `taken`: `tookInode` of entries of the tree as it was loaded, by inode. */
  constructor(memdb: Memdb, taken: ReadonlyMap<number, number> = new Map()) {
    this.#memdb = memdb;
    this.#taken = taken;
  }

  /** For a connection that begins now: the ids of syncs before it are those of the entries. */
  static ofNewConnection(memdb: Memdb): NodeTable {
    const nodes = new NodeTable(memdb);
    for (const { tookInode = -1 } of memdb.entries()) {
      nodes.#syncBefore = Math.max(nodes.#syncBefore, tookInode);
    }
    return nodes;
  }

  /** Number of nodes the kernel knows. */
  get size(): number {
    return this.#nodes.size;
  }

  /** The id of the special entry at `index` of their list. */
  static specialId(index: number): number {
    return FIRST_SPECIAL + index;
  }

  /** The index of a special entry in their list; negative for a node of the tree. */
  static specialIndex(id: number): number {
    return id - FIRST_SPECIAL;
  }

  /**
   * The id of an entry of the tree: never one by which the kernel knows another entry, as writes
   * through a descriptor of that one would go to this one. Of a removed file that is open, the
   * inode may come back with a sync of nodes that were apart (coming-tree.ts).
   */
  idOf(entry: Entry): number {
    const { inode, parent } = entry;
    if (inode === 0 && parent === undefined) return ROOT_NODE;
    const known = this.#aliases.get(entry);
    if (known !== undefined) return known;
    const id = this.#lastingId(entry);
    if (id !== undefined && (this.#nodes.get(id)?.entry ?? entry) === entry) return id;
    const alias = this.#nextAlias++;
    this.#aliases.set(entry, alias);
    return alias;
  }

  /**
   * The id that the entry has on every server of this mount, if there is one; else `idOf`. Not for
   * the kernel, which may know another entry by it.
   */
  lastingIdOf(entry: Entry): number {
    return this.#lastingId(entry) ?? this.idOf(entry);
  }

  /** The id that every server of this mount gives the entry; undefined when there is none. */
  #lastingId({ inode, tookInode = this.#taken.get(inode) }: Entry): number | undefined {
    if (inode < ROOT_NODE || tookInode === 0) return undefined;
    if (tookInode === undefined || tookInode <= this.#syncBefore) {
      if (inode === ROOT_NODE) return ALIAS_OF_ONE;
      return inode < FIRST_ALIAS ? inode : undefined;
    }
    if (inode >= TOOK_INODE.inodes) return undefined;
    return FIRST_ALIAS + tookInode * TOOK_INODE.inodes + inode;
  }

  /** The node of `id`; undefined when the kernel cannot know it. */
  get(id: number): Node | undefined {
    const known = this.#nodes.get(id);
    if (known !== undefined) return known;
    // The root needs no lookup. Other unknown ids were given out by the previous server.
    const entry = id === ROOT_NODE ? this.#memdb.root : this.#search(id);
    return entry === undefined ? undefined : this.#add(id, entry);
  }

  /** The node of an entry of the tree; adds 1 to its lookup count. */
  lookUp(entry: Entry): Node {
    const id = this.idOf(entry);
    const node = this.#nodes.get(id) ?? this.#add(id, entry);
    node.lookups++;
    place(node);
    return node;
  }

  /**
   * The entry of the tree that the node stands for; undefined when there is none. When another node
   * has removed a directory, it is the one at its path, as in C: the kernel uses a name that it has
   * cached for up to 1 s, and a working directory or a bind mount for ever.
   */
  presentOf(node: Node): Entry | undefined {
    if (!isRemoved(node)) return node.entry;
    // A file's content stays with its descriptor. What this node has removed has no path.
    if (node.entry.kind === "file" || node.parent === undefined) return undefined;
    const present = this.#memdb.find(node.path);
    return present?.kind === "directory" ? present : undefined;
  }

  /** `get`, but not a directory that is gone: its path leads to no directory. */
  existing(id: number): Node | undefined {
    const node = this.get(id);
    return node && isGone(node) && this.presentOf(node) === undefined ? undefined : node;
  }

  /** The kernel itself has removed or renamed the entry: it knows where the entry is now. */
  renamed(entry: Entry | undefined): void {
    const node = entry === undefined ? undefined : this.#nodes.get(this.idOf(entry));
    if (entry === undefined || node === undefined) return;
    place(node);
    // Also for a file that is removed before its attributes are asked for again.
    if (!isRemoved(node)) node.path = pathOf(entry);
  }

  forget(id: number, lookups: number): void {
    const node = this.#nodes.get(id);
    if (node === undefined) return;
    node.lookups -= lookups;
    if (node.lookups <= 0) this.#nodes.delete(id);
  }

  #add(id: number, entry: Entry): Node {
    const { parent, name } = entry;
    const found = { parent, name, foundMs: performance.now() };
    const path = pathOf(entry);
    const node: Node = { id, entry, ...found, path, lookups: 0, detached: undefined };
    this.#nodes.set(id, node);
    return node;
  }

  #search(id: number): Entry | undefined {
    if (id >= FIRST_RANDOM_ALIAS) return undefined;
    const inode = id === ALIAS_OF_ONE ? ROOT_NODE : inodeIn(id);
    for (const entry of this.#memdb.entries()) {
      if (entry.inode === inode) return this.idOf(entry) === id ? entry : undefined;
    }
    return undefined;
  }
}

/** The inode of an entry with this lasting id. */
function inodeIn(id: number): number {
  return id < FIRST_ALIAS ? id : id % TOOK_INODE.inodes;
}

/** The kernel knows where the entry is. */
function place(node: Node): void {
  node.parent = node.entry.parent;
  node.name = node.entry.name;
  node.foundMs = performance.now();
}
