/**
 * A number for the state of all rows but row 0: XOR over the SHA-256 of each. It binds a journal to
 * the database it continues. Only what changed since it was asked for last is hashed. No protection
 * against forgery, which the journal does not need.
 */
import { drained, type Steps } from "../../base/steps.ts";
import { digestWithInode } from "../state/tree-index.ts";
import { FINGERPRINT_BYTES } from "./journal-format.ts";
import type { RowChange, RowImage } from "./row-writer.ts";

const NO_BYTES = new Uint8Array(0);
/** A row without content, and the content that is hashed in the time of a step (base/steps.ts). */
const ROW_STEPS = 0.1;
const BYTES_A_STEP = 32 * 1024;

function digestOf({ data, parent, ...row }: RowImage): Buffer {
  const bytes = data ?? NO_BYTES;
  return digestWithInode({ ...row, parentInode: parent, size: bytes.length, bytes });
}

type Changed = Pick<RowChange, "deleted" | "replaced">;

export class RowFingerprint {
  readonly #value = Buffer.alloc(FINGERPRINT_BYTES);
  readonly #digests = new Map<number, Buffer>();
  /** Not hashed yet; undefined: gone. */
  readonly #changed = new Map<number, RowImage | undefined>();
  #later: Changed | undefined;

  /** Of rows as they are in the database; row 0 does not count. Hashed when asked for. */
  constructor(rows: Iterable<RowImage>) {
    for (const row of rows) if (row.inode !== 0) this.#changed.set(row.inode, row);
  }

  /** The database has this change. */
  apply(change: Changed): void {
    drained(this.settle());
    drained(this.#apply(change));
  }

  /** The same of a long one: noted, and looked at in `settle`. */
  applyLater(change: Changed): void {
    drained(this.settle());
    this.#later = change;
  }

  /** Looks at the rows of a long change. Ended early, the next call begins anew. */
  *settle(): Steps {
    if (this.#later !== undefined) yield* this.#apply(this.#later);
    this.#later = undefined;
  }

  *#apply({ deleted, replaced }: Changed): Steps {
    for (const inode of deleted) {
      if (this.#digests.has(inode)) this.#changed.set(inode, undefined);
      else this.#changed.delete(inode);
      yield ROW_STEPS;
    }
    for (const row of replaced) {
      this.#changed.set(row.inode, row);
      yield ROW_STEPS;
    }
  }

  /** Hashes what changed, row by row, so that `value` is quick. */
  *prepare(): Steps {
    yield* this.settle();
    for (const [inode, row] of this.#changed) {
      this.#changed.delete(inode);
      const old = this.#digests.get(inode);
      if (old !== undefined) this.#mix(old);
      this.#digests.delete(inode);
      if (row !== undefined) {
        const digest = digestOf(row);
        this.#digests.set(inode, digest);
        this.#mix(digest);
      }
      yield ROW_STEPS + (row?.data?.length ?? 0) / BYTES_A_STEP;
    }
  }

  /** 32 bytes. */
  value(): Buffer {
    drained(this.prepare());
    return Buffer.from(this.#value);
  }

  #mix(digest: Buffer): void {
    for (let at = 0; at < FINGERPRINT_BYTES; at++) {
      this.#value[at] = (this.#value[at] ?? 0) ^ (digest[at] ?? 0);
    }
  }
}
