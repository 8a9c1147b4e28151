/**
 * Keeps the history within its size and its age, a slice at a time. The newest change of each path
 * stays whatever its age, unless it is a removal, so that the tree at any kept moment can be
 * rebuilt.
 */
import type { Database } from "bun:sqlite";
import type { ChangeKind } from "./change.ts";
import { completeFrom, setCompleteFrom } from "./schema.ts";

export interface PruneLimits {
  /** Bytes of the database file. */
  readonly bytes: number;
  /** How long a change is kept after it was superseded, ms. */
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
 * Those of the `window` oldest changes that can be deleted, and when each was superseded: by the
 * next change of its place, or, for a removal, when it was made. That moment counts, and not when
 * the change was made: until then it was what the path had. A removal or a rename must outlive
 * every older change of the path it emptied, or that entry would seem to exist again.
 */
const SUPERFLUOUS = `
  SELECT id, digest, kind, superseded_ms FROM (
    SELECT *, CASE kind WHEN 'remove' THEN time_ms ELSE min(
      coalesce((SELECT time_ms FROM change WHERE path = old.place AND id > old.id
        ORDER BY id LIMIT 1), ${Number.MAX_SAFE_INTEGER}),
      coalesce((SELECT time_ms FROM change WHERE to_path = old.place AND id > old.id
        ORDER BY id LIMIT 1), ${Number.MAX_SAFE_INTEGER})) END AS superseded_ms
    FROM (SELECT *, coalesce(to_path, path) AS place FROM change ORDER BY id LIMIT ?1) AS old
    WHERE time_ms < ?2) AS old
  WHERE superseded_ms < ?2
    AND (kind NOT IN ('remove', 'rename') OR NOT EXISTS (SELECT 1 FROM change AS before
      WHERE before.id < old.id AND ((before.to_path IS NULL AND before.path = old.path)
        OR before.to_path = old.path)))
  LIMIT ?3`;

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
    id: number,
    digest: Uint8Array | null,
    kind: ChangeKind,
    supersededMs: number,
  ][];
  let completeFromMs = completeFrom(database) ?? -Infinity;
  for (const [id, , kind, supersededMs] of rows) {
    database.query("DELETE FROM change WHERE id = ?").run(id);
    // A path without changes has no entry, with or without its removal.
    if (kind !== "remove") completeFromMs = Math.max(completeFromMs, supersededMs);
  }
  if (completeFromMs > -Infinity) setCompleteFrom(database, completeFromMs);
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
