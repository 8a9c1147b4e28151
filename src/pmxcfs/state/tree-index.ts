/**
 * Digests of the tree as the cluster compares it: per entry (the index of a STATE message), over
 * everything (VERIFY), and of a lock. Digests of entries are cached until the entry changes, so an
 * index costs hashing only what changed since the last one. C counterpart: memdb.c,
 * memdb_encode_index, memdb_compute_checksum, memdb_tree_entry_csum.
 */
import type { Entry } from "./memdb.ts";

/** dirent.h's DT_DIR and DT_REG, as the type column and the digests have them. */
const EntryType = { DIRECTORY: 4, FILE: 8 } as const;

/** What of an entry goes into its digest. */
export interface Hashed {
  readonly inode: number;
  readonly parentInode: number;
  readonly version: number;
  readonly writer: number;
  readonly mtime: number;
  readonly size: number;
  /** EntryType. */
  readonly type: number;
  /** Empty for the root. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Header of an index: version, last inode, writer, mtime, count, bytes. */
const INDEX_HEAD = 32;
/** One entry of an index: inode, digest. */
const INDEX_ENTRY = 40;
/** inode u64, version u64, writer, mtime, size u32, type u8, parent u64; then the name. */
const HEAD_BYTES = 37;
const INODE_BYTES = 8;

function putU64(target: Buffer, value: number, at: number): void {
  target.writeUInt32LE(value % 0x1_0000_0000, at);
  target.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
}

/** An entry's fields as they are hashed; a plain digest leaves out the inode in front. */
function headOf(hashed: Hashed): Buffer {
  const name = Buffer.from(hashed.name, "latin1");
  const head = Buffer.allocUnsafe(HEAD_BYTES + name.length);
  putU64(head, hashed.inode, 0);
  putU64(head, hashed.version, 8);
  head.writeUInt32LE(hashed.writer, 16);
  head.writeUInt32LE(hashed.mtime, 20);
  head.writeUInt32LE(hashed.size, 24);
  head.writeUInt8(hashed.type, 28);
  putU64(head, hashed.parentInode, 29);
  head.set(name, HEAD_BYTES);
  return head;
}

/** What a digest is made from, of an entry in the tree. */
export function hashedOf(entry: Entry): Hashed {
  const { inode, parent, version, writer, mtime, size, kind, name, bytes } = entry;
  const type = kind === "directory" ? EntryType.DIRECTORY : EntryType.FILE;
  return {
    inode,
    parentInode: parent?.inode ?? 0,
    version,
    writer,
    mtime,
    size,
    type,
    name,
    bytes,
  };
}

/** SHA-256 of one entry without its inode: the 32 bytes of the index. */
export function digestOf(hashed: Hashed): Buffer {
  const hasher = new Bun.CryptoHasher("sha256");
  hasher.update(headOf(hashed).subarray(INODE_BYTES));
  if (hashed.bytes.length > 0) hasher.update(hashed.bytes);
  return hasher.digest();
}

/** SHA-256 of one entry with its inode, 32 bytes. */
export function digestWithInode(hashed: Hashed): Buffer {
  const hasher = new Bun.CryptoHasher("sha256");
  hasher.update(headOf(hashed));
  if (hashed.bytes.length > 0) hasher.update(hashed.bytes);
  return hasher.digest();
}

/** SHA-256 over entries in the order of inodes, root first: the 32 bytes of a VERIFY message. */
export function treeChecksum(all: Iterable<Hashed>): Buffer {
  const hasher = new Bun.CryptoHasher("sha256");
  for (const hashed of all) {
    hasher.update(headOf(hashed));
    if (hashed.bytes.length > 0) hasher.update(hashed.bytes);
  }
  return hasher.digest();
}

/** Digest of a directory, 32 bytes: what UNLOCK messages name a lock by. */
export function lockDigestOf(entry: Entry): Buffer {
  return digestWithInode(hashedOf(entry));
}

/** Encodes an index from entries in the order of inodes, root included, and their digests. */
export function encodeIndex(
  root: { readonly version: number; readonly writer: number; readonly mtime: number },
  digests: readonly (readonly [inode: number, digest: Uint8Array])[],
): Buffer {
  const bytes = INDEX_HEAD + INDEX_ENTRY * digests.length;
  const index = Buffer.allocUnsafe(bytes);
  putU64(index, root.version, 0);
  putU64(index, digests.at(-1)?.[0] ?? 0, 8);
  index.writeUInt32LE(root.writer, 16);
  index.writeUInt32LE(root.mtime, 20);
  index.writeUInt32LE(digests.length, 24);
  index.writeUInt32LE(bytes, 28);
  let at = INDEX_HEAD;
  for (const [inode, digest] of digests) {
    putU64(index, inode, at);
    index.set(digest, at + INODE_BYTES);
    at += INDEX_ENTRY;
  }
  return index;
}

/** A kept digest and the state of the entry that it is of. */
interface CachedDigest {
  readonly of: Hashed;
  readonly digest: Buffer;
}

function isSame(a: Hashed, entry: Entry): boolean {
  return (
    a.version === entry.version &&
    a.mtime === entry.mtime &&
    a.writer === entry.writer &&
    a.size === entry.size &&
    a.bytes === entry.bytes &&
    a.parentInode === (entry.parent?.inode ?? 0) &&
    a.name === entry.name
  );
}

/** The digests of one tree. `entries`: all but the root, in the order of inodes. */
export class TreeIndex {
  readonly #root: Entry;
  readonly #entries: () => Iterable<Entry>;
  readonly #cache = new WeakMap<Entry, CachedDigest>();

  constructor(root: Entry, entries: () => Iterable<Entry>) {
    this.#root = root;
    this.#entries = entries;
  }

  /** 32 bytes, hashed again only after the entry changed. */
  digest(entry: Entry): Buffer {
    const cached = this.#cache.get(entry);
    if (cached !== undefined && isSame(cached.of, entry)) return cached.digest;
    const of = hashedOf(entry);
    const digest = digestOf(of);
    this.#cache.set(entry, { of, digest });
    return digest;
  }

  /** The body of a STATE message of the database group. */
  encode(): Buffer {
    return encodeIndex(
      this.#root,
      this.#all((entry) => [entry.inode, this.digest(entry)] as const),
    );
  }

  /**
   * Hashes entries whose digest is missing for at most `maxMs`, so that `encode` is quick later.
   * True when all are there. A single file (1 MiB) takes about a millisecond.
   */
  prepare(maxMs: number): boolean {
    const end = performance.now() + maxMs;
    for (const entry of this.#entries()) {
      const cached = this.#cache.get(entry);
      if (cached !== undefined && isSame(cached.of, entry)) continue;
      if (performance.now() >= end) return false;
      this.digest(entry);
    }
    return true;
  }

  /** SHA-256 over all entries: the 32 bytes of a VERIFY message. Hashes every byte of the tree. */
  checksum(): Buffer {
    const slices = this.startChecksum();
    for (;;) {
      const checksum = slices(Infinity);
      if (checksum !== undefined) return checksum;
    }
  }

  /**
   * The same in slices: the tree's state is noted now; each call of the returned function hashes
   * for about `maxMs` (at least one entry), and the last one returns the checksum.
   */
  startChecksum(): (maxMs: number) => Buffer | undefined {
    const noted = this.#all(hashedOf);
    const hasher = new Bun.CryptoHasher("sha256");
    let next = 0;
    return (maxMs) => {
      const end = performance.now() + maxMs;
      do {
        const hashed = noted[next];
        if (hashed === undefined) return hasher.digest();
        hasher.update(headOf(hashed));
        if (hashed.bytes.length > 0) hasher.update(hashed.bytes);
        next++;
      } while (performance.now() < end);
      return undefined;
    };
  }

  #all<T>(take: (entry: Entry) => T): T[] {
    const taken = [take(this.#root)];
    for (const entry of this.#entries()) taken.push(take(entry));
    return taken;
  }
}
