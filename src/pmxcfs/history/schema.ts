/**
 * The history database: its tables, how it is made, and whether an existing one is ours. It is kept
 * beside config.db, readable by root only; the tree does not depend on it.
 */
import { constants, Database } from "bun:sqlite";
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { errorText } from "../../base/error-text.ts";
import { demandRegularDatabase } from "../../platform/regular-file.ts";

/** Version of the layout below; a higher one was written by a newer program. */
const HISTORY_FORMAT = 1;

/** PRAGMA application_id of a history: "pvhi". */
const APPLICATION_ID = 0x70766869;

const TABLES = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE change (
  id INTEGER PRIMARY KEY,
  version INTEGER NOT NULL,
  first_version INTEGER NOT NULL,
  time_ms INTEGER NOT NULL,
  writer INTEGER NOT NULL,
  pid INTEGER,
  uid INTEGER,
  command TEXT,
  kind TEXT NOT NULL,
  cause TEXT NOT NULL,
  path TEXT NOT NULL,
  to_path TEXT,
  type TEXT NOT NULL,
  size INTEGER NOT NULL,
  mtime INTEGER NOT NULL,
  digest BLOB,
  private INTEGER NOT NULL
);
CREATE INDEX change_path ON change (path, id);
CREATE INDEX change_to ON change (to_path, id) WHERE to_path IS NOT NULL;
CREATE INDEX change_time ON change (time_ms);
CREATE INDEX change_digest ON change (digest) WHERE digest IS NOT NULL;
CREATE TABLE content (digest BLOB PRIMARY KEY, size INTEGER NOT NULL, packed BLOB NOT NULL);
`;

/** Makes the tables in an empty database. */
export function createHistory(database: Database, node: string): void {
  database.run("PRAGMA auto_vacuum = INCREMENTAL");
  database.run("PRAGMA journal_mode = WAL");
  database.transaction(() => {
    for (const statement of TABLES.split(";")) {
      if (statement.trim() !== "") database.run(statement);
    }
    database.run(`PRAGMA application_id = ${APPLICATION_ID}`);
    database.run(`PRAGMA user_version = ${HISTORY_FORMAT}`);
    database.run("INSERT INTO meta VALUES ('node', ?)", [node]);
  })();
}

function pragma(database: Database, name: string): number {
  const [row] = database.query(`PRAGMA ${name}`).values();
  return Number(row?.[0] ?? 0);
}

/** The name of the node whose history it is; "" when it is not recorded. */
export function nodeOf(database: Database): string {
  const [row] = database.query("SELECT value FROM meta WHERE key = 'node'").values();
  return String(row?.[0] ?? "");
}

/** Key of completeFrom. */
const COMPLETE_FROM = "complete_from_ms";

/**
 * From when on the tree of every moment can be rebuilt, ms since 1970; undefined while nothing was
 * pruned: then from the first change on.
 */
export function completeFrom(database: Database): number | undefined {
  const [row] = database.query("SELECT value FROM meta WHERE key = ?").values(COMPLETE_FROM);
  return row === undefined ? undefined : Number(row[0]);
}

/** Records that changes were pruned which the tree of an earlier moment needs. */
export function setCompleteFrom(database: Database, ms: number): void {
  database.query("REPLACE INTO meta VALUES (?, ?)").run(COMPLETE_FROM, String(ms));
}

/** True for an error of SQLite that says something about the file, and not about this moment. */
function isDamage(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return typeof code === "string" && /^SQLITE_(CORRUPT|NOTADB|FORMAT|ERROR)/.test(code);
}

/**
 * Why an open database is not a history that this program can use; undefined when it is. Throws
 * what SQLite throws when that cannot be found out now: it is locked, the disk is full.
 */
export function unusable(database: Database): string | undefined {
  try {
    const id = pragma(database, "application_id");
    if (id !== APPLICATION_ID) return "it is not a history database";
    const format = pragma(database, "user_version");
    if (format > HISTORY_FORMAT) {
      return `its format is ${format}, and this program knows up to ${HISTORY_FORMAT}`;
    }
    const [row] = database.query("PRAGMA quick_check(1)").values();
    return row?.[0] === "ok" ? undefined : `it is damaged: ${String(row?.[0])}`;
  } catch (error) {
    if (isDamage(error)) return `it is damaged: ${errorText(error)}`;
    throw error;
  }
}

/**
 * SQLite makes -wal and -shm beside a database that it reads in WAL mode, and a reader cannot
 * remove them. Without a -wal no server has the history open: then it is read as a file that does
 * not change, also in a directory that cannot be written.
 */
function readOnly(file: string): Database {
  if (existsSync(`${file}-wal`)) return new Database(file, { readonly: true });
  const flags = constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI;
  return new Database(`${pathToFileURL(file).href}?immutable=1`, flags);
}

/** Opens a history for reading; a text says why not. */
export function openForReading(file: string): Database | string {
  if (!existsSync(file)) {
    return `${file}: there is no history (a server with --mount keeps one unless --history off)`;
  }
  let database: Database | undefined;
  let reason: string | undefined;
  try {
    demandRegularDatabase(file);
    database = readOnly(file);
    reason = unusable(database);
    if (reason === undefined) return database;
  } catch (error) {
    reason = errorText(error);
  }
  database?.close();
  return `${file}: ${reason}`;
}
