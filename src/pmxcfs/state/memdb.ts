/**
 * The configuration tree in memory: GET_CONFIG reads it and everything else is derived from it. One
 * source fills and changes it (directory.ts, config-db.ts or tree-store.ts); subscribers are called
 * after every change, in order. It owns the entries. File bytes are immutable: a change replaces
 * them, so a reader may keep the bytes it got. C counterpart: memdb.c.
 */

/** A file or a directory. Only Memdb changes one. */
export interface Entry {
  /** Unique in the tree; 0 is the root. */
  readonly inode: number;
  readonly kind: "file" | "directory";
  /** One character per byte (latin1); no slashes, if a path is to find it. */
  readonly name: string;
  /** Undefined for the root, and for an entry that is no longer in the tree. */
  readonly parent: Entry | undefined;
  readonly version: number;
  /** Id of the node that wrote it last; 0 outside a cluster. */
  readonly writer: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** A file's content; empty for a directory. */
  readonly bytes: Uint8Array;
  /**
   * Bytes of a file as stat shows it; 0 for a directory. It differs from `bytes.length` in one
   * case: a C node grew an empty file by truncate, which gives it a size and no bytes.
   */
  readonly size: number;
  /** A directory's entries by name; empty for a file. */
  readonly children: ReadonlyMap<string, Entry>;
}

type Mutable = { -readonly [K in keyof Omit<Entry, "parent" | "children">]: Entry[K] } & {
  parent: Mutable | undefined;
  children: Map<string, Mutable>;
};

/** The metadata of a change: any of it may differ with any change. */
export interface Stamp {
  readonly version: number;
  readonly writer: number;
  readonly mtime: number;
}

export interface NewEntry extends Stamp {
  readonly inode: number;
  readonly kind: Entry["kind"];
  readonly name: string;
  readonly bytes?: Uint8Array;
  /** When it differs from the length of `bytes` (see Entry.size). */
  readonly size?: number;
}

/** An entry of a tree that is loaded as a whole. */
export interface LoadedEntry extends NewEntry {
  /** Inode of its directory; 0 for the root. */
  readonly parentInode: number;
}

/**
 * `placed`: there is an entry at the path now (new, moved there, or in place of another one);
 * `written`: its content changed; `touched`: only its mtime; `removed`: nothing is at the path any
 * more. A rename is `removed` then `placed`; over an existing target the target is only `placed`.
 * `reloaded`: the whole tree was replaced; `path` is "" and `entry` the root.
 */
export interface Change {
  readonly kind: "placed" | "written" | "touched" | "removed" | "reloaded";
  readonly path: string;
  readonly entry: Entry;
  /** With `placed`: the entry was not in the tree before (no rename). */
  readonly created?: true;
}

export type Subscriber = (change: Change) => void;

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
  #fileBytes = 0;
  #entryCount = 0;

  get root(): Entry {
    return this.#root;
  }

  /** Sizes of all files, added up. */
  get fileBytes(): number {
    return this.#fileBytes;
  }

  /** Files and directories, without the root. */
  get entryCount(): number {
    return this.#entryCount;
  }

  /** Calls `subscriber` after every change from now on; the returned function ends that. */
  subscribe(subscriber: Subscriber): () => void {
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  }

  /** The entry at `path`, with any slashes: leading, trailing and repeated ones do not count. */
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

  /** Content of the regular file at `path`; undefined when there is none. Never changed later. */
  read(path: string): Uint8Array | undefined {
    const entry = this.find(path);
    return entry?.kind === "file" ? entry.bytes : undefined;
  }

  /** Every entry, each directory before its content. */
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

  /** Replaces the content. `size` differs from the length of `bytes` only as Entry.size says. */
  write(entry: Entry, bytes: Uint8Array, stamp: Stamp, size: number = bytes.length): void {
    this.#fileBytes += size - entry.size;
    const written = entry as Mutable;
    written.bytes = bytes;
    written.size = size;
    this.#stamp(written, stamp);
    this.#tell("written", entry);
  }

  /**
   * Version, writer and mtime of the whole tree: those of its last change. Subscribers are not
   * called.
   */
  stampRoot(stamp: Stamp): void {
    this.#stamp(this.#root, stamp);
  }

  /**
   * Replaces the whole tree and reports it as one `reloaded`. `entries` are in the order of inodes;
   * each parent is among them, at any place. `old` are entries of this tree by inode: one whose
   * inode and kind stay keeps its object, so that its holders (the mount's open handles) see the
   * new state. Returns the new entries by inode, without the root.
   */
  reload(
    root: Stamp,
    entries: Iterable<LoadedEntry>,
    old: ReadonlyMap<number, Entry>,
  ): Map<number, Entry> {
    const next = new Map<number, Mutable>();
    const parents: [Mutable, number][] = [];
    for (const { parentInode, ...loaded } of entries) {
      const kept = old.get(loaded.inode) as Mutable | undefined;
      const fresh = newMutable(loaded);
      const entry = kept?.kind === fresh.kind ? Object.assign(kept, fresh) : fresh;
      next.set(entry.inode, entry);
      parents.push([entry, parentInode]);
    }
    for (const entry of old.values()) {
      if (next.get(entry.inode) !== entry) (entry as Mutable).parent = undefined;
    }
    this.#root.children = new Map();
    this.#fileBytes = 0;
    this.#entryCount = next.size;
    for (const [entry, parentInode] of parents) {
      const parent = parentInode === 0 ? this.#root : next.get(parentInode);
      if (parent === undefined) throw new Error(`inode ${entry.inode} has no parent`);
      parent.children.set(entry.name, entry);
      entry.parent = parent;
      this.#fileBytes += entry.size;
    }
    this.#stamp(this.#root, root);
    this.#notify({ kind: "reloaded", path: "", entry: this.#root });
    return next;
  }

  /** Sets the mtime; the content stays. */
  touch(entry: Entry, stamp: Stamp): void {
    this.#stamp(entry as Mutable, stamp);
    this.#tell("touched", entry);
  }

  /**
   * Renames; what is below moves along, and each entry of it is reported as removed and placed.
   * `parent` must not be in `entry`: a directory inside itself has no path, and looking for it
   * would never end.
   */
  move(entry: Entry, parent: Entry, name: string, stamp: Stamp): void {
    if (isWithin(parent, entry)) throw new Error(`${pathOf(entry)} cannot move into itself`);
    const moved = entry as Mutable;
    if (moved.parent !== undefined) this.#forget(moved);
    const below = [...this.entries(entry)];
    const paths = [entry, ...below].map((each) => [toldPath(each), each] as const);
    this.#detach(moved);
    this.#stamp(moved, stamp);
    moved.name = name;
    for (const [path, each] of paths.toReversed())
      this.#notify({ kind: "removed", path, entry: each });
    this.#place(moved, parent as Mutable, false);
    for (const each of below) this.#tell("placed", each);
  }

  /** Removes an entry, the content of a directory first. */
  remove(entry: Entry): void {
    const order = [entry];
    for (const above of order) {
      // The last child first: reversed, entries come in order and a directory after its own.
      for (const child of [...above.children.values()].toReversed()) order.push(child);
    }
    for (const each of order.toReversed()) {
      const path = this.#subscribers.size === 0 ? "" : toldPath(each);
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
    if (!created) this.#tell("placed", entry);
    else if (this.#subscribers.size > 0) {
      this.#notify({ kind: "placed", path: toldPath(entry), entry, created });
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

  #tell(kind: Change["kind"], entry: Entry): void {
    if (this.#subscribers.size > 0) this.#notify({ kind, path: toldPath(entry), entry });
  }

  #notify(change: Change): void {
    for (const subscriber of this.#subscribers) subscriber(change);
  }
}

function newMutable({ bytes = NOTHING, size = bytes.length, ...rest }: NewEntry): Mutable {
  return { ...rest, bytes, size, parent: undefined, children: new Map() };
}

/** Whether `entry` is `above` or anywhere below it. */
export function isWithin(entry: Entry, above: Entry): boolean {
  let at: Entry | undefined = entry;
  while (at !== undefined && at !== above) at = at.parent;
  return at === above;
}

/** Levels that the path of a change shows; no path that anybody watches is as deep. */
const TOLD_LEVELS = 256;

/** The path of a change; for a deeper entry its last names after three dots. */
function toldPath(entry: Entry): string {
  const names = [entry.name];
  for (let above = entry.parent; above?.parent !== undefined; above = above.parent) {
    names.push(above.name);
    if (names.length === TOLD_LEVELS) return `.../${names.toReversed().join("/")}`;
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
