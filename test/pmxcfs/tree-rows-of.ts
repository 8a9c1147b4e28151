/** A tree in memory, and the rows on disk, in the format of TreeModel.rows. */
import { Database } from "bun:sqlite";
import { pathOf } from "../../src/pmxcfs/state/memdb.ts";
import type { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";

/** All rows of a config.db; throws unless every name is stored as text. */
export function rowsIn(file: string): unknown[][] {
  using database = new Database(file, { readonly: true });
  const sql =
    "SELECT inode, parent, version, writer, mtime, type, CAST(name AS BLOB), " +
    "lower(hex(data)), typeof(data), typeof(name) FROM tree ORDER BY inode";
  return database
    .query(sql)
    .values()
    .map((row) => {
      if (row.pop() !== "text") throw new Error("a name is not stored as text");
      row[6] = Buffer.from(row[6] as Uint8Array).toString("latin1");
      return row;
    });
}

/** The entries in memory, without the root, and without the type of their data. */
export function rowsOf(store: TreeStore): unknown[][] {
  return [...store.entries()].map((entry) => {
    if (store.memdb.find(pathOf(entry)) !== entry) throw new Error(`${pathOf(entry)} is lost`);
    const { inode, version, writer, mtime, kind, name, bytes, parent } = entry;
    const hex = Buffer.from(bytes).toString("hex");
    return [inode, parent?.inode, version, writer, mtime, kind === "file" ? 8 : 4, name, hex];
  });
}
