/**
 * A number for the state of all rows but row 0: XOR over the SHA-256 of each. It binds a journal to
 * the database it continues. Only what changed since it was asked for last is hashed. No protection
 * against forgery, which the journal does not need.
 */
import { digestWithInode } from "../state/tree-index.ts";
import { FINGERPRINT_BYTES } from "./journal-format.ts";
import type { RowChange, RowImage } from "./row-writer.ts";

const NO_BYTES = new Uint8Array(0);

function digestOf({ data, parent, ...row }: RowImage): Buffer {
  const bytes = data ?? NO_BYTES;
  return digestWithInode({ ...row, parentInode: parent, size: bytes.length, bytes });
}

export class RowFingerprint {
  readonly #value = Buffer.alloc(FINGERPRINT_BYTES);
  readonly #digests = new Map<number, Buffer>();
  /** Not hashed yet; undefined: gone. */
  readonly #changed = new Map<number, RowImage | undefined>();

  /** Of rows as they are in the database; row 0 does not count. Hashed when asked for. */
  constructor(rows: Iterable<RowImage>) {
    for (const row of rows) if (row.inode !== 0) this.#changed.set(row.inode, row);
  }

  /** The database has this change. */
  apply({ deleted, replaced }: Pick<RowChange, "deleted" | "replaced">): void {
    for (const inode of deleted) {
      if (this.#digests.has(inode)) this.#changed.set(inode, undefined);
      else this.#changed.delete(inode);
    }
    for (const row of replaced) this.#changed.set(row.inode, row);
  }

  /** 32 bytes. */
  value(): Buffer {
    for (const [inode, row] of this.#changed) {
      const old = this.#digests.get(inode);
      if (old !== undefined) this.#mix(old);
      this.#digests.delete(inode);
      if (row === undefined) continue;
      const digest = digestOf(row);
      this.#digests.set(inode, digest);
      this.#mix(digest);
    }
    this.#changed.clear();
    return Buffer.from(this.#value);
  }

  #mix(digest: Buffer): void {
    for (let at = 0; at < FINGERPRINT_BYTES; at++) {
      this.#value[at] = (this.#value[at] ?? 0) ^ (digest[at] ?? 0);
    }
  }
}
