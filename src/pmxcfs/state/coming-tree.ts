/**
 * A tree that will replace the current one: built in steps while the current one still answers,
 * then swapped in at once. An entry whose inode, kind and path stay the same keeps its object, so
 * that holders of the object (the mount's open handles) see the new state after the swap. At
 * another path the inode may be that of another file: inodes are versions, and nodes that were
 * apart may both have given one out.
 */
import type { Steps } from "../../base/steps.ts";
import { newMutable, type Entry, type LoadedEntry, type Mutable, type Stamp } from "./entry.ts";

/** Entries per step. */
const ENTRIES_A_STEP = 64;

const NO_CHILDREN: ReadonlyMap<string, Entry> = new Map();

/** Made by `comingTree`. */
export class ComingTree {
  /** By inode, in ascending order, without the root. */
  readonly entries: Map<number, Entry>;
  /** The sum of the sizes of all files. */
  readonly fileBytes: number;
  /** Work for after the swap, in steps; the tree must not change before it is done. */
  readonly after: (() => Steps)[] = [];
  /** The new entries that get `tookInode`. */
  readonly took: readonly Entry[];
  /** Their `tookInode`. */
  sync = 0;
  readonly #root: Entry;
  /** Entries that keep their objects and differ, with their fields in the new tree. */
  readonly #changed: ReadonlyMap<Mutable, Omit<Mutable, "children">>;
  readonly #dropped: readonly Mutable[];
  /** The new children of directories that keep their objects. */
  readonly #children: ReadonlyMap<Mutable, Map<string, Mutable>>;

  constructor(parts: {
    readonly root: Entry;
    readonly entries: Map<number, Entry>;
    readonly fileBytes: number;
    readonly took: readonly Entry[];
    readonly changed: ReadonlyMap<Mutable, Omit<Mutable, "children">>;
    readonly dropped: readonly Mutable[];
    readonly children: ReadonlyMap<Mutable, Map<string, Mutable>>;
  }) {
    this.#root = parts.root;
    this.entries = parts.entries;
    this.fileBytes = parts.fileBytes;
    this.took = parts.took;
    this.#changed = parts.changed;
    this.#dropped = parts.dropped;
    this.#children = parts.children;
  }

  /** The children of a directory in the new tree, by name; empty for a file. */
  childrenOf(entry: Entry): ReadonlyMap<string, Entry> {
    if (entry.kind === "file") return NO_CHILDREN;
    return this.#children.get(entry as Mutable) ?? entry.children;
  }

  /** The stamp of an entry in the new tree. */
  stampOf(entry: Entry): Stamp {
    return this.#changed.get(entry as Mutable) ?? entry;
  }

  /** Every entry of the new tree with its path there; directories before their content. */
  *paths(): Generator<readonly [path: string, entry: Entry]> {
    const open = [{ prefix: "", children: this.childrenOf(this.#root).entries() }];
    for (let at = open.at(-1); at !== undefined; at = open.at(-1)) {
      const next = at.children.next();
      if (next.done === true) {
        open.pop();
        continue;
      }
      const [name, entry] = next.value;
      const path = at.prefix + name;
      yield [path, entry];
      const children = this.childrenOf(entry);
      if (children.size > 0) open.push({ prefix: `${path}/`, children: children.entries() });
    }
  }

  /** The swap, in one go: 50 ns for each entry that changed and for each directory. */
  place(): void {
    for (const entry of this.took) (entry as Mutable).tookInode = this.sync;
    for (const [entry, next] of this.#changed) {
      entry.version = next.version;
      entry.writer = next.writer;
      entry.mtime = next.mtime;
      entry.bytes = next.bytes;
      entry.size = next.size;
    }
    for (const entry of this.#dropped) entry.parent = undefined;
    for (const [directory, children] of this.#children) directory.children = children;
  }
}

/**
 * Builds the tree of `loaded`, which is in the order of inodes; a parent may come after its
 * children. `root` and `old` (by inode) are the current tree, which is not changed.
 */
export function* comingTree(
  root: Entry,
  loaded: Iterable<LoadedEntry>,
  old: ReadonlyMap<number, Entry>,
): Steps<ComingTree> {
  const entries = new Map<number, Mutable>();
  /** Entries of the new tree by the inode of their directory. */
  const content = new Map<number, Mutable[]>();
  let count = 0;
  for (const { parentInode, ...each } of loaded) {
    const fresh = newMutable(each);
    // The map is in the order of inodes: an entry that keeps its object takes this place below.
    entries.set(fresh.inode, fresh);
    const siblings = content.get(parentInode);
    if (siblings === undefined) content.set(parentInode, [fresh]);
    else siblings.push(fresh);
    if (++count % ENTRIES_A_STEP === 0) yield undefined;
  }
  const children = new Map([[root as Mutable, new Map<string, Mutable>()]]);
  const changed = new Map<Mutable, Mutable>();
  const directories = [root as Mutable];
  const took: Entry[] = [];
  let placed = 0;
  let fileBytes = 0;
  for (const directory of directories) {
    const names = children.get(directory) ?? directory.children;
    for (const fresh of content.get(directory.inode) ?? []) {
      const known = old.get(fresh.inode) as Mutable | undefined;
      fresh.parent = directory;
      const entry = known !== undefined && isInPlace(known, fresh) ? known : fresh;
      if (entry !== fresh) {
        entries.set(entry.inode, entry);
        if (entry.kind === "directory") children.set(entry, fresh.children);
        if (!isSame(entry, fresh)) changed.set(entry, fresh);
      } else if (known !== undefined || fresh.inode <= root.version) {
        took.push(fresh);
      }
      names.set(entry.name, entry);
      if (entry.kind === "directory") directories.push(entry);
      placed++;
      fileBytes += fresh.size;
      if (++count % ENTRIES_A_STEP === 0) yield undefined;
    }
    if (++count % ENTRIES_A_STEP === 0) yield undefined;
  }
  if (placed < entries.size) throw new Error(`${entries.size - placed} entries have no directory`);
  const dropped: Mutable[] = [];
  for (const entry of old.values()) {
    if (entries.get(entry.inode) !== entry) dropped.push(entry as Mutable);
    if (++count % ENTRIES_A_STEP === 0) yield undefined;
  }
  return new ComingTree({ root, entries, fileBytes, took, changed, dropped, children });
}

/** Whether an entry is at the same path in the new tree; `next.parent` has been decided before. */
function isInPlace(entry: Entry, next: Entry): boolean {
  return entry.kind === next.kind && entry.parent === next.parent && entry.name === next.name;
}

function isSame(entry: Entry, next: Entry): boolean {
  const stamps = entry.version === next.version && entry.mtime === next.mtime;
  const content = entry.bytes === next.bytes && entry.size === next.size;
  return stamps && content && entry.writer === next.writer;
}
