/** Types: an entry of the tree in memory (memdb.ts), and the values that one is made from. */

/** A file or a directory. Only Memdb changes one. */
export interface Entry {
  /** Unique in the tree; 0 is the root. */
  readonly inode: number;
  readonly kind: "file" | "directory";
  /** One character per byte (latin1). A name with a slash cannot be found by path. */
  readonly name: string;
  /** Undefined for the root, and for an entry that is no longer in the tree. */
  readonly parent: Entry | undefined;
  readonly version: number;
  /** Id of the node that made the last change; 0 outside a cluster. */
  readonly writer: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** A file's content; empty for a directory. */
  readonly bytes: Uint8Array;
  /**
   * st_size of a file; 0 for a directory. It differs from `bytes.length` in one case: truncate on a
   * C node gives an empty file a size, but no bytes.
   */
  readonly size: number;
  /** A directory's entries by name; empty for a file. */
  readonly children: ReadonlyMap<string, Entry>;
  /**
   * A sync brought it with an inode that this node may have given to another entry: inodes are
   * versions, and this one is not above the version that the tree had. The value is the number of
   * that sync (ChangeLedger); 0: it has none.
   */
  readonly tookInode?: number;
}

/** Inodes below `inodes` and numbers of syncs up to `most` together fit into 50 bits. */
export const TOOK_INODE = { inodes: 2 ** 40, most: 2 ** 10 - 1 } as const;

/** An entry as Memdb, its owner, may change it. */
export type Mutable = { -readonly [K in keyof Omit<Entry, "parent" | "children">]: Entry[K] } & {
  parent: Mutable | undefined;
  children: Map<string, Mutable>;
};

/** The metadata that a change sets on its entry. */
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
  /** Only if it differs from the length of `bytes` (see Entry.size). */
  readonly size?: number;
}

/** An entry of a tree that is loaded whole. */
export interface LoadedEntry extends NewEntry {
  /** Inode of its directory; 0 for the root. */
  readonly parentInode: number;
}

const NOTHING = new Uint8Array(0);

/** Makes an entry that is not in a tree yet. */
export function newMutable({ bytes = NOTHING, size = bytes.length, ...rest }: NewEntry): Mutable {
  return { ...rest, bytes, size, parent: undefined, children: new Map() };
}
