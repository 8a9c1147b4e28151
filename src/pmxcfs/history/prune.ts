/**
 * Keeps the history within its size and its age, a slice at a time. The newest change of each path
 * stays whatever its age, unless it is a removal, so that the tree at any kept moment can be
 * rebuilt.
 */
import type { Database } from "bun:sqlite";

export interface PruneLimits {
  /** Bytes of the database file. */
  readonly bytes: number;
  /** Age of a change that was superseded, ms. */
  readonly ageMs: number;
}

export const HISTORY_LIMITS: PruneLimits = {
  bytes: 256 * 1024 * 1024,
  ageMs: 90 * 24 * 3_600_000,
};

/** Changes examined in one slice. */
const SLICE = 500;
/** Pages returned to the file system in one slice. */
const VACUUM_PAGES = 256;

/**
 * Those of the `window` oldest changes that can be deleted: a later change of the same place, or a
 * removal, supersedes them. A removal or a rename must outlive every older change of the path it
 * emptied, or that entry would seem to exist again.
 */
const SUPERFLUOUS = `
  SELECT id, digest FROM (SELECT * FROM change ORDER BY id LIMIT ?) AS old
  WHERE time_ms < ?
    AND (kind = 'remove' OR EXISTS (SELECT 1 FROM change AS later WHERE later.id > old.id
      AND (later.path = coalesce(old.to_path, old.path)
        OR later.to_path = coalesce(old.to_path, old.path))))
    AND (kind NOT IN ('remove', 'rename') OR NOT EXISTS (SELECT 1 FROM change AS before
      WHERE before.id < old.id AND ((before.to_path IS NULL AND before.path = old.path)
        OR before.to_path = old.path)))
  LIMIT ?`;

function number(database: Database, query: string): number {
  const [row] = database.query(query).values();
  return Number(row?.[0] ?? 0);
}

/** Bytes in use; free pages do not count. */
function usedBytes(database: Database): number {
  const pages = number(database, "PRAGMA page_count") - number(database, "PRAGMA freelist_count");
  return pages * number(database, "PRAGMA page_size");
}

/**
 * Deletes up to SLICE superfluous changes and the contents that only they had; the number of
 * changes.
 */
function deleteSlice(database: Database, window: number, olderThanMs: number): number {
  const rows = database.query(SUPERFLUOUS).values(window, olderThanMs, SLICE) as [
    number,
    Uint8Array | null,
  ][];
  for (const [id] of rows) database.query("DELETE FROM change WHERE id = ?").run(id);
  for (const [, digest] of rows) {
    if (digest === null) continue;
    database
      .query(
        `DELETE FROM content WHERE digest = ?1
         AND NOT EXISTS (SELECT 1 FROM change WHERE change.digest = ?1)`,
      )
      .run(digest);
  }
  return rows.length;
}

/** Prunes one slice; true while there is more to do. */
export function prune(database: Database, limits: PruneLimits, nowMs: number): boolean {
  const all = number(database, "SELECT count(*) FROM change");
  const isLarge = usedBytes(database) > limits.bytes;
  const olderThan = isLarge ? Number.MAX_SAFE_INTEGER : nowMs - limits.ageMs;
  let pruned = 0;
  // Changes that stay (the newest of their place) gather at the front: the window grows past them.
  for (let window = SLICE; pruned === 0; window *= 2) {
    pruned = database.transaction(() => deleteSlice(database, window, olderThan))();
    if (window >= all) break;
  }
  if (number(database, "PRAGMA freelist_count") > VACUUM_PAGES) {
    database.run(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`);
  }
  return pruned > 0;
}
