/**
 * The configuration tree in memory: GET_CONFIG reads it, and the other state is derived from it.
 * One source fills and changes it (directory.ts, config-db.ts or tree-store.ts); subscribers are
 * called after every change, in order. It owns the entries. File bytes are immutable: a change
 * replaces them, so a reader may keep them. C counterpart: memdb.c.
 */
import { drained, type Steps } from "../../base/steps.ts";
import { comingTree, type ComingTree } from "./coming-tree.ts";
import { type Entry, type LoadedEntry, newMutable, type Stamp } from "./entry.ts";
import type { Mutable, NewEntry } from "./entry.ts";

export type { Entry, LoadedEntry, Stamp } from "./entry.ts";

/**
 * `placed`: the path has an entry (new, moved there, or in place of another one); `written`: its
 * content changed; `touched`: only its mtime changed; `removed`: the path has no entry any more. A
 * rename is `removed`, then `placed`; an entry that it replaces is not reported as removed.
 * `reloaded`: the whole tree was replaced; `path` is "" and `entry` the root.
 */
export interface Change {
  readonly kind: "placed" | "written" | "touched" | "removed" | "reloaded";
  readonly path: string;
  readonly entry: Entry;
  /** With `placed`: the entry is new, not renamed. */
  readonly created?: true;
}

export type Subscriber = (change: Change) => void;

/** Prepares, in steps, what a subscriber needs when the new tree is taken. */
export type Preparer = (coming: ComingTree) => Steps;

const NOTHING = new Uint8Array(0);
const SLASH = 47;

export class Memdb {
  readonly #root: Mutable = {
    inode: 0,
    kind: "directory",
    name: "",
    parent: undefined,
    version: 0,
    writer: 0,
    mtime: 0,
    bytes: NOTHING,
    size: 0,
    children: new Map(),
  };
  readonly #subscribers = new Set<Subscriber>();
  readonly #preparers = new Set<Preparer>();
  #fileBytes = 0;
  #entryCount = 0;

  get root(): Entry {
    return this.#root;
  }

  /** The sum of the sizes of all files. */
  get fileBytes(): number {
    return this.#fileBytes;
  }

  /** Number of files and directories, without the root. */
  get entryCount(): number {
    return this.#entryCount;
  }

  /** Calls `subscriber` after every change; the returned function ends the subscription. */
  subscribe(subscriber: Subscriber): () => void {
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  }

  /** The entry at `path`; leading, trailing and repeated slashes are ignored. */
  find(path: string): Entry | undefined {
    let entry: Entry | undefined = this.#root;
    let from = 0;
    const end = path.length;
    while (from < end) {
      if (path.charCodeAt(from) === SLASH) {
        from++;
        continue;
      }
      const slash = path.indexOf("/", from);
      const to = slash < 0 ? end : slash;
      entry = entry.children.get(path.slice(from, to));
      if (entry === undefined) return undefined;
      from = to + 1;
    }
    return entry;
  }

  /** The content of the file at `path`; undefined when there is none. The bytes never change. */
  read(path: string): Uint8Array | undefined {
    const entry = this.find(path);
    return entry?.kind === "file" ? entry.bytes : undefined;
  }

  /** Every entry below `from`, each directory before its content. */
  *entries(from: Entry = this.#root): Generator<Entry> {
    // Without recursion: a database may nest directories tens of thousands deep.
    const open = [from.children.values()];
    for (let children = open.at(-1); children !== undefined; children = open.at(-1)) {
      const { value: child, done } = children.next();
      if (done === true) open.pop();
      else yield child;
      if (child !== undefined && child.children.size > 0) open.push(child.children.values());
    }
  }

  /** Adds a new entry to `parent`, replacing an entry of the same name. */
  add(parent: Entry, from: NewEntry): Entry {
    const entry = newMutable(from);
    this.#place(entry, parent as Mutable, true);
    return entry;
  }

  /** Replaces the content. For a `size` that is not the length of `bytes`, see Entry.size. */
  write(entry: Entry, bytes: Uint8Array, stamp: Stamp, size: number = bytes.length): void {
    this.#fileBytes += size - entry.size;
    const written = entry as Mutable;
    written.bytes = bytes;
    written.size = size;
    this.#stamp(written, stamp);
    this.#report("written", entry);
  }

  /**
   * Sets version, writer and mtime of the root, which are those of the tree's last change.
   * Subscribers are not called.
   */
  stampRoot(stamp: Stamp): void {
    this.#stamp(this.#root, stamp);
  }

  /**
   * Prepares a tree that `take` puts in place of this one, in steps, between which this one must
   * not change; until then this one answers. `entries` are in the order of inodes; a parent may
   * come after its children. `old`: the entries of this tree by inode.
   */
  *prepare(entries: Iterable<LoadedEntry>, old: ReadonlyMap<number, Entry>): Steps<ComingTree> {
    const coming = yield* comingTree(this.#root, entries, old);
    for (const preparer of this.#preparers) yield* preparer(coming);
    return coming;
  }

  /**
   * Calls `preparer` with each prepared tree, which may then not be taken. The returned function
   * removes the preparer.
   */
  prepareWith(preparer: Preparer): () => void {
    this.#preparers.add(preparer);
    return () => this.#preparers.delete(preparer);
  }

  /**
   * Swaps in the tree that was prepared last, and reports it as one `reloaded`. Returns its entries
   * by inode, without the root.
   */
  take(coming: ComingTree, root: Stamp): Map<number, Entry> {
    coming.place();
    this.#fileBytes = coming.fileBytes;
    this.#entryCount = coming.entries.size;
    this.#stamp(this.#root, root);
    this.#notify({ kind: "reloaded", path: "", entry: this.#root });
    return coming.entries;
  }

  /** The work after `take`, in steps, between which the tree must not change. */
  *settle(coming: ComingTree): Steps {
    for (const after of coming.after) yield* after();
  }

  /** Prepares, takes and settles without a pause. */
  reload(
    root: Stamp,
    entries: Iterable<LoadedEntry>,
    old: ReadonlyMap<number, Entry>,
  ): Map<number, Entry> {
    const coming = drained(this.prepare(entries, old));
    const taken = this.take(coming, root);
    drained(this.settle(coming));
    return taken;
  }

  /** Sets the mtime; the content stays. */
  touch(entry: Entry, stamp: Stamp): void {
    this.#stamp(entry as Mutable, stamp);
    this.#report("touched", entry);
  }

  /**
   * Renames an entry; each entry below it is reported as removed and placed, too. `parent` must not
   * be below `entry`: that would be a cycle, and the search for a path would not end.
   */
  move(entry: Entry, parent: Entry, name: string, stamp: Stamp): void {
    if (isWithin(parent, entry)) throw new Error(`${pathOf(entry)} cannot move into itself`);
    const moved = entry as Mutable;
    if (moved.parent !== undefined) this.#forget(moved);
    const below = [...this.entries(entry)];
    const paths = [entry, ...below].map((each) => [reportedPath(each), each] as const);
    this.#detach(moved);
    this.#stamp(moved, stamp);
    moved.name = name;
    for (const [path, each] of paths.toReversed())
      this.#notify({ kind: "removed", path, entry: each });
    this.#place(moved, parent as Mutable, false);
    for (const each of below) this.#report("placed", each);
  }

  /** Removes an entry, after the content of a directory. */
  remove(entry: Entry): void {
    const order = [entry];
    for (const above of order) {
      // Last child first: reversed, children come in order, and a directory after its content.
      for (const child of [...above.children.values()].toReversed()) order.push(child);
    }
    for (const each of order.toReversed()) {
      const path = this.#subscribers.size === 0 ? "" : reportedPath(each);
      this.#detach(each as Mutable);
      this.#forget(each);
      this.#notify({ kind: "removed", path, entry: each });
    }
  }

  #place(entry: Mutable, parent: Mutable, created: boolean): void {
    const occupant = parent.children.get(entry.name);
    if (occupant !== undefined) {
      for (const child of occupant.children.values()) this.remove(child);
      occupant.parent = undefined;
      this.#forget(occupant);
    }
    parent.children.set(entry.name, entry);
    entry.parent = parent;
    this.#fileBytes += entry.size;
    this.#entryCount++;
    if (!created) this.#report("placed", entry);
    else if (this.#subscribers.size > 0) {
      this.#notify({ kind: "placed", path: reportedPath(entry), entry, created });
    }
  }

  #forget(entry: Entry): void {
    this.#fileBytes -= entry.size;
    this.#entryCount--;
  }

  #stamp(entry: Mutable, stamp: Stamp): void {
    entry.version = stamp.version;
    entry.writer = stamp.writer;
    entry.mtime = stamp.mtime;
  }

  #detach(entry: Mutable): void {
    entry.parent?.children.delete(entry.name);
    entry.parent = undefined;
  }

  #report(kind: Change["kind"], entry: Entry): void {
    if (this.#subscribers.size > 0) this.#notify({ kind, path: reportedPath(entry), entry });
  }

  #notify(change: Change): void {
    for (const subscriber of this.#subscribers) subscriber(change);
  }
}

/** Whether `entry` is `above` or anywhere below it. */
export function isWithin(entry: Entry, above: Entry): boolean {
  let at: Entry | undefined = entry;
  while (at !== undefined && at !== above) at = at.parent;
  return at === above;
}

/** Most levels in the path of a change; no path that a subscriber looks for is as deep. */
const REPORTED_LEVELS = 256;

/** The path of a change; for a deeper entry `...` and its last names. */
function reportedPath(entry: Entry): string {
  const names = [entry.name];
  for (let above = entry.parent; above?.parent !== undefined; above = above.parent) {
    names.push(above.name);
    if (names.length === REPORTED_LEVELS) return `.../${names.toReversed().join("/")}`;
  }
  return names.toReversed().join("/");
}

/** The path of an entry, without outer slashes; "" for the root. */
export function pathOf(entry: Entry): string {
  let path = entry.name;
  for (let above = entry.parent; above?.parent !== undefined; above = above.parent) {
    path = `${above.name}/${path}`;
  }
  return path;
}
