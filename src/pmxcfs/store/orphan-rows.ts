/**
 * Rows whose entry is not in memory any more: a rename onto an existing target that fails because
 * the source is a directory with something in it has removed the target from memory, and not from
 * the database, on every C node of a cluster (memdb.c, memdb_rename). Ours must do the same, or its
 * checksum differs; but a row that is in the way of a later one would keep the database from being
 * loaded, so it goes together with the change that needs its place.
 */
import type { RowImage } from "./row-writer.ts";

interface Place {
  readonly parent: number;
  readonly name: string;
}

export class OrphanRows {
  readonly #places = new Map<number, Place>();

  add(inode: number, place: Place): void {
    this.#places.set(inode, place);
  }

  /** Inodes of orphans that must go with a change: in the way of a new row, or of a gone parent. */
  goingWith(deleted: readonly number[], replaced: readonly RowImage[]): readonly number[] {
    if (this.#places.size === 0) return [];
    const going: number[] = [];
    for (const [inode, { parent, name }] of this.#places) {
      const inTheWay = replaced.some((row) => row.parent === parent && row.name === name);
      if (inTheWay || deleted.includes(parent)) going.push(inode);
    }
    return going;
  }

  /** All of them: a sync writes the whole tree. */
  all(): readonly number[] {
    return [...this.#places.keys()];
  }

  /** The rows of these inodes are gone. */
  forget(inodes: readonly number[]): void {
    for (const inode of inodes) this.#places.delete(inode);
  }
}
