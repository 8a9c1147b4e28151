/**
 * Rows of the database whose entries are not in memory. A row whose directory is missing, or that
 * has the name of another one there, keeps the database from being loaded, so these rows are
 * deleted together with the change that would make them so. They come from
 * - a failed rename: when the source is a directory that is not empty, every C node of a cluster
 *   has removed the existing target from memory, but not from the database (memdb.c,
 *   memdb_rename). Our server must do the same, or its checksum differs;
 * - the load: rows that no path leads to (tree-rules.ts). They are kept, and as in C a directory
 *   with such a row is not empty.
 */
import type { Entry } from "../state/memdb.ts";
import type { RowImage } from "./row-writer.ts";
import type { Row } from "./tree-rows.ts";

interface Place {
  readonly parent: number;
  readonly name: string;
}

export class OrphanRows {
  /** By the inode of their directory, then by their own. */
  readonly #below = new Map<number, Map<number, Place>>();
  readonly #places = new Map<number, Place>();
  /** Directories of rows that were left out at the load. */
  readonly #full = new Set<number>();

  /** `leftOut`: the rows that no path leads to. */
  constructor(leftOut: Iterable<Row> = []) {
    for (const { inode, parent, name } of leftOut) {
      this.add(inode, { parent, name });
      this.#full.add(parent);
    }
  }

  add(inode: number, place: Place): void {
    this.#places.set(inode, place);
    const siblings = this.#below.get(place.parent);
    if (siblings === undefined) this.#below.set(place.parent, new Map([[inode, place]]));
    else siblings.set(inode, place);
  }

  /** True for a directory with entries, or with a row that was left out at the load. */
  isFull({ inode, kind, children }: Entry): boolean {
    return children.size > 0 || (kind === "directory" && this.#full.has(inode));
  }

  /**
   * Inodes of orphans to delete with a change: their place is reused, or their parent deleted; or
   * their parent is written, since a directory with them could not be renamed in a replay.
   */
  goingWith(deleted: readonly number[], replaced: readonly RowImage[]): readonly number[] {
    if (this.#places.size === 0) return [];
    const going = new Set<number>();
    for (const { inode: own, parent, name } of replaced) {
      if (!this.#full.has(own))
        for (const inode of this.#below.get(own)?.keys() ?? []) going.add(inode);
      for (const [inode, place] of this.#below.get(parent) ?? []) {
        if (place.name === name) going.add(inode);
      }
    }
    const gone = [...deleted, ...going];
    // The list grows during the loop: what lies below an orphan goes with it.
    for (const parent of gone) {
      for (const inode of this.#below.get(parent)?.keys() ?? []) {
        if (going.has(inode)) continue;
        going.add(inode);
        gone.push(inode);
      }
    }
    return [...going];
  }

  /** All of them: a sync writes the whole tree. */
  all(): readonly number[] {
    return [...this.#places.keys()];
  }

  /** The rows of these inodes are gone. */
  forget(inodes: readonly number[]): void {
    for (const inode of inodes) {
      const parent = this.#places.get(inode)?.parent;
      this.#places.delete(inode);
      if (parent === undefined) continue;
      const siblings = this.#below.get(parent);
      siblings?.delete(inode);
      if (siblings?.size !== 0) continue;
      this.#below.delete(parent);
      this.#full.delete(parent);
    }
  }
}
