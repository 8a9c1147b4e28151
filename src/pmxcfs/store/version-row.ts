/** Row 0 of config.db while changes wait beside it. */
import type { Row } from "./tree-rows.ts";

/**
 * Its name instead of VERSION_NAME (batching-writer.ts). The C server refuses such a database and
 * prints the name: "root inode has unexpected name '...'".
 */
export const PENDING_NAME =
  "changes wait in config.db.changes: start pmxcfs-ipc, or run pmxcfs-ipc config flush";

/** True for row 0 of a database whose last changes are in the journal beside it. */
export function isPending(row: Row | undefined): boolean {
  return row?.inode === 0 && row.name === PENDING_NAME;
}
