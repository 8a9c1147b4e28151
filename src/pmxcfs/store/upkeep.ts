/**
 * What is done to a config.db besides changing the tree: compaction, and copies that are kept.
 * Works on a connection that is given, so that no file is opened besides SQLite.
 */
import { Database } from "bun:sqlite";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { compactTimeWithMs } from "../../base/compact-time.ts";
import { errorText } from "../../base/error-text.ts";
import { demandRegularDatabase } from "../../platform/regular-file.ts";
import { selectAll } from "./sqlite-rows.ts";

/** A database below this is not worth it. */
const COMPACT_FROM_BYTES = 8 * 1024 * 1024;
/** Copies of one kind that are kept; older ones are removed. */
const KEPT_COPIES = 5;
/** `config compact` waits so long for a server's commit to end. */
const LOCK_WAIT_MS = 10_000;

function pragma(database: Database, name: string): number {
  return Number(selectAll(database, `PRAGMA ${name}`)[0]?.[0] ?? 0);
}

/** Bytes of the database, and those of its pages that hold nothing. */
function sizes(database: Database): { readonly bytes: number; readonly free: number } {
  const pageBytes = pragma(database, "page_size");
  return {
    bytes: pragma(database, "page_count") * pageBytes,
    free: pragma(database, "freelist_count") * pageBytes,
  };
}

/** True when more than half of more than 8 MiB is free: SQLite returns no page by itself. */
export function isWorthCompacting(database: Database): boolean {
  const { bytes, free } = sizes(database);
  return bytes > COMPACT_FROM_BYTES && free * 2 > bytes;
}

/** What a compaction did, in bytes. */
export interface Compacted {
  readonly before: number;
  readonly after: number;
}

/** Writes the database anew without free pages, the WAL emptied. Throws what SQLite throws. */
export function compact(database: Database): Compacted {
  const before = sizes(database).bytes;
  database.run("VACUUM");
  checkpointTruncated(database);
  return { before, after: sizes(database).bytes };
}

/** False while another process checkpoints: SQLite does not wait for that lock. */
function checkpointTruncated(database: Database): boolean {
  return selectAll(database, "PRAGMA wal_checkpoint(TRUNCATE)")[0]?.[0] === 0;
}

/**
 * Compacts the database `file`, served or not: a server that changes the tree meanwhile waits for
 * the lock. One line that says why not.
 */
export function compactFile(file: string): Compacted | string {
  if (!existsSync(file)) return "no such file";
  try {
    demandRegularDatabase(file);
    using database = new Database(file, { readwrite: true, create: false });
    database.run(`PRAGMA busy_timeout = ${LOCK_WAIT_MS}`);
    database.run("PRAGMA synchronous = NORMAL");
    const before = statSync(file).size;
    const { after } = compact(database);
    for (let waitedMs = 0; statSync(file).size > after && waitedMs < LOCK_WAIT_MS; waitedMs += 10) {
      if (checkpointTruncated(database)) break;
      Bun.sleepSync(10);
    }
    return { before, after };
  } catch (error) {
    return errorText(error);
  }
}

/** A copy that was kept, or why there is none. */
export type KeptCopy = { readonly path: string } | { readonly problem: string };

/**
 * Keeps a copy of the database as `backup/config.db.REASON-TIME` beside it, verified, mode 0600;
 * of one reason the newest five stay. The loop stands still meanwhile: about 10 ms a megabyte.
 */
export function keepCopy(database: Database, file: string, reason: string): KeptCopy {
  const directory = join(dirname(file), "backup");
  const path = join(directory, `${basename(file)}.${reason}-${compactTimeWithMs()}`);
  const draft = `${path}.new`;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    rmSync(draft, { force: true });
    database.run("VACUUM INTO ?1", [draft]);
    chmodSync(draft, 0o600);
    const problem = verifyCopy(database, draft);
    if (problem !== undefined) throw new Error(problem);
    renameSync(draft, path);
    const own = readdirSync(directory).filter((name) =>
      name.startsWith(`${basename(file)}.${reason}-`),
    );
    for (const name of own.toSorted().slice(0, -KEPT_COPIES)) rmSync(join(directory, name));
    return { path };
  } catch (error) {
    removeQuietly(draft);
    return { problem: errorText(error) };
  }
}

/** What is said of the failure is why the copy was not made. */
function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It was never made.
  }
}

const countRows = (database: Database): unknown =>
  selectAll(database, "SELECT count(*) FROM tree")[0]?.[0];

function verifyCopy(database: Database, copy: string): string | undefined {
  using opened = new Database(copy, { readonly: true });
  const check = String(selectAll(opened, "PRAGMA quick_check(1)")[0]?.[0]);
  if (check !== "ok") return `the copy is damaged: ${check}`;
  return countRows(opened) === countRows(database) ? undefined : "the copy has not all rows";
}
