/** Row 0 of config.db, which is no file: it carries the version of the whole tree. */
import { VERSION_NAME, type Row } from "./tree-rows.ts";

/**
 * Its name while changes wait in the journal beside the database (batching-writer.ts). The C server
 * refuses such a database, and prints it: "root inode has unexpected name '...'".
 */
export const PENDING_NAME =
  "changes wait in config.db.changes: start pmxcfs-ipc, or run pmxcfs-ipc config flush";

/** True for row 0 of a database whose last changes are in the journal beside it. */
export function isPending(row: Row | undefined): boolean {
  return row?.inode === 0 && row.name === PENDING_NAME;
}

/** The row as it is when nothing waits: readers of a database need not know of the journal. */
export function settled(row: Row): Row {
  return isPending(row) ? { ...row, name: VERSION_NAME } : row;
}
