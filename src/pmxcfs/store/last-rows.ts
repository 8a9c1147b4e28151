/** The last state of each row of several changes, which one transaction then writes. */
import type { RootRow, RowChange, RowImage } from "./row-writer.ts";

export class LastRows {
  /** By inode; undefined: deleted. */
  readonly #rows = new Map<number, RowImage | undefined>();
  #bytes = 0;

  get size(): number {
    return this.#rows.size;
  }

  /** Bytes of their content. */
  get bytes(): number {
    return this.#bytes;
  }

  add({ deleted, replaced }: Pick<RowChange, "deleted" | "replaced">): void {
    for (const inode of deleted) this.#set(inode, undefined);
    for (const row of replaced) this.#set(row.inode, row);
  }

  /** There is no such row, neither here nor in the database. */
  forget(inode: number): void {
    this.#set(inode, undefined);
    this.#rows.delete(inode);
  }

  change(root: RootRow): RowChange {
    const replaced: RowImage[] = [];
    const deleted: number[] = [];
    for (const [inode, row] of this.#rows) {
      if (row === undefined) deleted.push(inode);
      else replaced.push(row);
    }
    return { deleted, replaced, root };
  }

  clear(): void {
    this.#rows.clear();
    this.#bytes = 0;
  }

  #set(inode: number, row: RowImage | undefined): void {
    this.#bytes -= this.#rows.get(inode)?.data?.length ?? 0;
    this.#bytes += row?.data?.length ?? 0;
    this.#rows.set(inode, row);
  }
}
