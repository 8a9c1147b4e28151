/**
 * Maintenance of a config.db: compaction, and copies. A database that this process serves is read
 * through its own connection, since closing another descriptor of the file would drop SQLite's
 * locks (fcntl(2)).
 */
import { Database } from "bun:sqlite";
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
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
import { demandOwnLog } from "./served-names.ts";
import { selectAll } from "./sqlite-rows.ts";

/** Smaller databases are not compacted by themselves. */
const COMPACT_FROM_BYTES = 8 * 1024 * 1024;
/** Copies of one kind that are kept; older ones are removed. */
const KEPT_COPIES = 5;
/** Suffix of a copy that is not complete. */
const DRAFT = ".new";
/** Limit of the wait of `config compact` for a server's commit. */
const LOCK_WAIT_MS = 10_000;

function pragma(database: Database, name: string): number {
  return Number(selectAll(database, `PRAGMA ${name}`)[0]?.[0] ?? 0);
}

/** Bytes of the database, and bytes of its free pages. */
function sizes(database: Database): { readonly bytes: number; readonly free: number } {
  const pageBytes = pragma(database, "page_size");
  return {
    bytes: pragma(database, "page_count") * pageBytes,
    free: pragma(database, "freelist_count") * pageBytes,
  };
}

/** True when more than half of more than 8 MiB is free: SQLite never shrinks the file by itself. */
export function isWorthCompacting(database: Database): boolean {
  const { bytes, free } = sizes(database);
  return bytes > COMPACT_FROM_BYTES && free * 2 > bytes;
}

/** Sizes before and after a compaction, in bytes. */
export interface Compacted {
  readonly before: number;
  readonly after: number;
}

/** Rewrites the database without free pages and empties the WAL. Throws what SQLite throws. */
export function compact(database: Database): Compacted {
  const before = sizes(database).bytes;
  database.run("VACUUM");
  checkpointTruncated(database);
  return { before, after: sizes(database).bytes };
}

/**
 * Moves all of the WAL into the database, and truncates it. False while another process checkpoints
 * or reads an older state: SQLite does not wait for that lock. Throws what SQLite throws.
 */
export function checkpointTruncated(database: Database): boolean {
  return selectAll(database, "PRAGMA wal_checkpoint(TRUNCATE)")[0]?.[0] === 0;
}

/**
 * Compacts the database `file`, whether it is served or not: a server that changes the tree
 * meanwhile waits for the lock. A text says why it failed.
 */
export function compactFile(file: string): Compacted | string {
  if (!existsSync(file)) return "no such file";
  try {
    demandRegularDatabase(file);
    demandOwnLog(file);
    const before = statSync(file).size;
    // SQLite would delete the -wal beside it, which may have the whole tree (lone-wal.ts).
    if (before <= 1) return "it is empty";
    using database = new Database(file, { readwrite: true, create: false });
    database.run(`PRAGMA busy_timeout = ${LOCK_WAIT_MS}`);
    database.run("PRAGMA synchronous = NORMAL");
    const { after } = compact(database);
    // What is compacted is in the WAL until a checkpoint: the file may still be small or large.
    for (let waitedMs = 0; waitedMs < LOCK_WAIT_MS; waitedMs += 10) {
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
 * Keeps a verified copy of the database as `backup/config.db.REASON-TIME` beside it, mode 0600, on
 * the disk (fsync); the newest five of each reason stay. Blocks its thread for about 10 ms per
 * megabyte. `isGivenUp` is called between the parts of the work: when true, no copy is kept.
 */
export function keepCopy(
  database: Database,
  file: string,
  reason: string,
  isGivenUp: () => boolean = () => false,
): KeptCopy {
  const directory = join(dirname(file), "backup");
  const path = join(directory, `${basename(file)}.${reason}-${compactTimeWithMs()}`);
  const draft = `${path}${DRAFT}`;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    removeDrafts(directory, basename(file));
    database.run("VACUUM INTO ?1", [draft]);
    if (isGivenUp()) throw new Error("given up");
    chmodSync(draft, 0o600);
    const problem = verifyCopy(database, draft);
    if (problem !== undefined) throw new Error(problem);
    syncToDisk(draft);
    if (isGivenUp()) throw new Error("given up");
    renameSync(draft, path);
    syncToDisk(directory);
    // Without this one, which is not the last in this order after the clock went back.
    const others = readdirSync(directory).filter(
      (name) => name.startsWith(`${basename(file)}.${reason}-`) && name !== basename(path),
    );
    for (const name of others.toSorted().slice(0, 1 - KEPT_COPIES)) rmSync(join(directory, name));
    return { path };
  } catch (error) {
    removeQuietly(draft);
    return { problem: errorText(error) };
  }
}

/** Drafts of a server that was killed: a process makes one copy at a time. */
function removeDrafts(directory: string, name: string): void {
  for (const each of readdirSync(directory)) {
    if (each.startsWith(`${name}.`) && each.endsWith(DRAFT)) rmSync(join(directory, each));
  }
}

/** fsync(2) of a file or directory: VACUUM INTO leaves that to its caller. Throws its error. */
export function syncToDisk(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Waits until the name of a new or renamed file is on the disk, too. Not every file system can do
 * that, so errors are ignored: the file itself is on the disk.
 */
export function syncName(path: string): void {
  try {
    syncToDisk(dirname(path));
  } catch {
    // After a power cut, the directory may be as it was before.
  }
}

/** Ignores errors: the error that matters is why the copy failed. */
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
  return countRows(opened) === countRows(database) ? undefined : "the copy lacks rows";
}
