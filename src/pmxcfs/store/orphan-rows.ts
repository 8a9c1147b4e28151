/**
 * Rows whose entry is no longer in memory. When a rename onto an existing target fails because the
 * source is a directory that is not empty, every C node of a cluster has removed the target from
 * memory, but not from the database (memdb.c, memdb_rename). Our server must do the same, or its
 * checksum differs. A row that collides with a later one would keep the database from being loaded,
 * so an orphan is deleted together with the change that needs its place.
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

  /** Inodes of orphans to delete with a change: their place is reused, or their parent deleted. */
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
