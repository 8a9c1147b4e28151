/**
 * A fingerprint of all rows but row 0: the XOR of their SHA-256 digests. It binds a journal to the
 * database that it continues. Only rows that changed since the last value are hashed. It does not
 * protect against forgery, which the journal does not need.
 */
import { drained, type Steps } from "../../base/steps.ts";
import { digestWithInode } from "../state/tree-index.ts";
import { FINGERPRINT_BYTES } from "./journal-format.ts";
import type { RowChange, RowImage } from "./row-writer.ts";

const NO_BYTES = new Uint8Array(0);
/** The cost of a row without content, and the bytes hashed in one step (base/steps.ts). */
const ROW_STEPS = 0.1;
const BYTES_PER_STEP = 32 * 1024;

function digestOf({ data, parent, ...row }: RowImage): Buffer {
  const bytes = data ?? NO_BYTES;
  return digestWithInode({ ...row, parentInode: parent, size: bytes.length, bytes });
}

type Changed = Pick<RowChange, "deleted" | "replaced">;

export class RowFingerprint {
  readonly #value = Buffer.alloc(FINGERPRINT_BYTES);
  readonly #digests = new Map<number, Buffer>();
  /** Rows not hashed yet; undefined: deleted. */
  readonly #changed = new Map<number, RowImage | undefined>();
  #later: Changed | undefined;

  /** `rows`: all rows of the database; row 0 is skipped. `value` and `prepare` hash them. */
  constructor(rows: Iterable<RowImage>) {
    for (const row of rows) if (row.inode !== 0) this.#changed.set(row.inode, row);
  }

  /** The database has committed this change. */
  apply(change: Changed): void {
    drained(this.settle());
    drained(this.#apply(change));
  }

  /** The same for a long change: its rows are handled in `settle`. */
  applyLater(change: Changed): void {
    drained(this.settle());
    this.#later = change;
  }

  /** Handles the rows of a long change. If it is ended early, the next call begins again. */
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

  /** Hashes the changed rows in steps, so that `value` is quick. */
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
      yield ROW_STEPS + (row?.data?.length ?? 0) / BYTES_PER_STEP;
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
