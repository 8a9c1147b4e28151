/**
 * Digests by which the nodes of a cluster compare their trees: of each entry (the index of a STATE
 * message), of the whole tree (VERIFY), and of a lock. The digest of an entry is cached until it
 * changes, so an index hashes only entries that changed since the previous one. C counterpart:
 * memdb.c, memdb_encode_index, memdb_compute_checksum, memdb_tree_entry_csum.
 */
import { drained } from "../../base/steps.ts";
import type { Entry, Memdb } from "./memdb.ts";

/** DT_DIR and DT_REG of dirent.h, used in the type column and in digests. */
const EntryType = { DIRECTORY: 4, FILE: 8 } as const;

/** The fields of an entry that its digest covers. */
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

/** Bytes of an index's header: version, last inode, writer, mtime, count, bytes. */
const INDEX_HEAD = 32;
/** Bytes of an entry of an index: inode, digest. */
const INDEX_ENTRY = 40;
/**
 * The hashed fields: u64 inode, version; u32 writer, mtime, size; u8 type; u64 parent; then the
 * name.
 */
const HEAD_BYTES = 37;
const INODE_BYTES = 8;
const DIGEST_BYTES = 32;
/** Entries that are compared or copied per step. */
const ENTRIES_A_STEP = 128;
/** Position of the first entry after the root in an index. */
const FIRST_ENTRY = INDEX_HEAD + INDEX_ENTRY;

/** The metadata of the root, which is that of the tree's last change. */
interface Version {
  readonly version: number;
  readonly writer: number;
  readonly mtime: number;
}

function getU64(source: Buffer, at: number): number {
  return source.readUInt32LE(at) + source.readUInt32LE(at + 4) * 0x1_0000_0000;
}

/** A negative number, of a foreign database, as its two's complement, as in C. */
function putU64(target: Buffer, value: number, at: number): void {
  const high = Math.floor(value / 0x1_0000_0000);
  target.writeUInt32LE(value - high * 0x1_0000_0000, at);
  target.writeInt32LE(high, at + 4);
}

/** An entry's fields in hashed form; digestOf omits the inode at the start. */
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

/** The fields for the digest of an entry in the tree. */
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

/** Digest of a directory, 32 bytes, which identifies a lock in UNLOCK messages. */
export function lockDigestOf(entry: Entry): Buffer {
  return digestWithInode(hashedOf(entry));
}

/** Writes the header of an index of `bytes` bytes. */
function putHead(index: Buffer, root: Version, lastInode: number, bytes: number): void {
  putU64(index, root.version, 0);
  putU64(index, lastInode, 8);
  index.writeUInt32LE(root.writer, 16);
  index.writeUInt32LE(root.mtime, 20);
  index.writeUInt32LE((bytes - INDEX_HEAD) / INDEX_ENTRY, 24);
  index.writeUInt32LE(bytes, 28);
}

/**
 * Whether `index` is the index of these entries, which are in the order of inodes and include the
 * root. Compares in steps.
 */
export function* isIndexOf(
  index: Uint8Array,
  root: Version,
  digests: Iterable<readonly [inode: number, digest: Uint8Array]>,
): Generator<undefined, boolean> {
  const entry = Buffer.alloc(INDEX_ENTRY);
  let at = INDEX_HEAD;
  let last = 0;
  for (const [inode, digest] of digests) {
    putU64(entry, inode, 0);
    entry.set(digest, INODE_BYTES);
    if (at + INDEX_ENTRY > index.length) return false;
    if (entry.compare(index, at, at + INDEX_ENTRY) !== 0) return false;
    last = inode;
    at += INDEX_ENTRY;
    if (at % (INDEX_ENTRY * ENTRIES_A_STEP) === INDEX_HEAD) yield undefined;
  }
  const head = Buffer.alloc(INDEX_HEAD);
  putHead(head, root, last, at);
  return at === index.length && head.compare(index, 0, INDEX_HEAD) === 0;
}

/**
 * The digests of one tree, stored in the form of an index: a change marks its entry, and the next
 * index hashes only marked entries.
 */
export class TreeIndex {
  readonly #root: Entry;
  readonly #entries: () => ReadonlyMap<number, Entry>;
  /** Header and root (written last), then inode and digest of each entry, in order of inodes. */
  #encoded: Buffer = Buffer.alloc(FIRST_ENTRY);
  #bytes = FIRST_ENTRY;
  /** Entries that were added, removed or changed since the last index: bytes by inode. */
  readonly #changed = new Map<number, number>();
  #changedBytes = 0;

  /** `entries`: all but the root, in the order of inodes. */
  constructor(memdb: Memdb, entries: () => ReadonlyMap<number, Entry>) {
    this.#root = memdb.root;
    this.#entries = entries;
    this.restart();
    memdb.subscribe(({ kind, entry }) => {
      if (kind !== "reloaded") this.changed(entry.inode, entry.bytes.length);
    });
  }

  /** Number of entries that the next index must hash. */
  get pending(): number {
    return this.#changed.size;
  }

  /** The bytes of their files. */
  get pendingBytes(): number {
    return this.#changedBytes;
  }

  /**
   * Marks an entry with so many bytes. To be called for a replaced entry, whose removal Memdb does
   * not report.
   */
  changed(inode: number, bytes = 0): void {
    if (inode === 0) return;
    this.#unmark(inode);
    this.#changed.set(inode, bytes);
    this.#changedBytes += bytes;
  }

  /** False when the entry was not marked. */
  #unmark(inode: number): boolean {
    this.#changedBytes -= this.#changed.get(inode) ?? 0;
    return this.#changed.delete(inode);
  }

  #unmarkAll(): void {
    this.#changed.clear();
    this.#changedBytes = 0;
  }

  /** After a sync: takes the leader's index, which now describes this tree, too. */
  adopt(index: Uint8Array): void {
    this.#encoded = Buffer.from(index);
    this.#bytes = index.length;
    this.#unmarkAll();
  }

  /** The digest of an entry, 32 bytes, from the cache if it has not changed; not for the root. */
  digest(entry: Entry): Buffer {
    if (this.#unmark(entry.inode)) this.#refresh(entry.inode);
    const at = this.#find(entry.inode) + INODE_BYTES;
    return Buffer.from(this.#encoded.subarray(at, at + DIGEST_BYTES));
  }

  /** The body of a STATE message of the database group. */
  encode(): Buffer {
    for (const inode of this.#changed.keys()) this.#refresh(inode);
    this.#unmarkAll();
    const last = this.#bytes === FIRST_ENTRY ? 0 : getU64(this.#encoded, this.#bytes - INDEX_ENTRY);
    putHead(this.#encoded, this.#root, last, this.#bytes);
    putU64(this.#encoded, 0, INDEX_HEAD);
    this.#encoded.set(digestOf(hashedOf(this.#root)), INDEX_HEAD + INODE_BYTES);
    return Buffer.from(this.#encoded.subarray(0, this.#bytes));
  }

  /**
   * Hashes changed entries for at most `maxMs`, so that a later `encode` is fast. True when none is
   * left. One file of 1 MiB takes about 1 ms.
   */
  prepare(maxMs: number): boolean {
    const end = performance.now() + maxMs;
    for (const inode of this.#changed.keys()) {
      if (performance.now() >= end) return false;
      this.#unmark(inode);
      this.#refresh(inode);
    }
    return true;
  }

  /** To be called when the tree was replaced: every entry is hashed again. */
  restart(): void {
    this.#bytes = FIRST_ENTRY;
    this.#unmarkAll();
    for (const { inode, bytes } of this.#entries().values()) this.changed(inode, bytes.length);
  }

  /** Byte position of an inode, or where it would be inserted. */
  #find(inode: number): number {
    let low = 0;
    let high = (this.#bytes - FIRST_ENTRY) / INDEX_ENTRY;
    // A new entry, which has the highest inode, is the usual case.
    if (high > 0 && getU64(this.#encoded, this.#bytes - INDEX_ENTRY) < inode) return this.#bytes;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (getU64(this.#encoded, FIRST_ENTRY + middle * INDEX_ENTRY) < inode) low = middle + 1;
      else high = middle;
    }
    return FIRST_ENTRY + low * INDEX_ENTRY;
  }

  #refresh(inode: number): void {
    const entry = this.#entries().get(inode);
    const at = this.#find(inode);
    const there = at < this.#bytes && getU64(this.#encoded, at) === inode;
    if (entry === undefined) {
      if (there) this.#shift(at + INDEX_ENTRY, -INDEX_ENTRY);
      return;
    }
    if (!there) this.#shift(at, INDEX_ENTRY);
    putU64(this.#encoded, inode, at);
    this.#encoded.set(digestOf(hashedOf(entry)), at + INODE_BYTES);
  }

  /** Moves the bytes from `at` on by `by`. */
  #shift(at: number, by: number): void {
    if (this.#bytes + by > this.#encoded.length) {
      const larger = Buffer.alloc(Math.max(this.#bytes + by, this.#encoded.length * 2));
      larger.set(this.#encoded.subarray(0, this.#bytes));
      this.#encoded = larger;
    }
    this.#encoded.copyWithin(at + by, at, this.#bytes);
    this.#bytes += by;
  }

  /** SHA-256 of all entries: the 32 bytes of a VERIFY message. Hashes every byte of the tree. */
  checksum(): Buffer {
    const slices = drained(this.startChecksum());
    for (;;) {
      const checksum = slices(Infinity);
      if (checksum !== undefined) return checksum;
    }
  }

  /**
   * The same in slices. First the state of the tree is copied, in steps, between which the tree
   * must not change. Each call of the returned function then hashes for about `maxMs` (at least one
   * entry); the last call returns the checksum.
   */
  *startChecksum(): Generator<undefined, (maxMs: number) => Buffer | undefined> {
    const noted = [hashedOf(this.#root)];
    for (const entry of this.#entries().values()) {
      noted.push(hashedOf(entry));
      if (noted.length % ENTRIES_A_STEP === 0) yield undefined;
    }
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
}
