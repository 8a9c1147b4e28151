/**
 * Makes a config.db that the C server loads as its own: schema, stored settings, row 0, one row
 * for each entry. The file appears complete under its name or not at all.
 * C counterpart: database.c, bdb_create and backend_write_inode.
 */
import { Database } from "bun:sqlite";
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, openSync, renameSync, rmSync } from "node:fs";
import { errorText } from "../../base/error-text.ts";
import { unixSeconds } from "../../platform/clock.ts";
import { syncName } from "./upkeep.ts";
import { selectAll } from "./sqlite-rows.ts";
import { RowType, VERSION_NAME, type Row } from "./tree-rows.ts";

/** Byte for byte what `.schema` shows of the C server's database. */
export const SCHEMA =
  "CREATE TABLE tree (" +
  "  inode INTEGER PRIMARY KEY NOT NULL," +
  "  parent INTEGER NOT NULL CHECK(typeof(parent)=='integer')," +
  "  version INTEGER NOT NULL CHECK(typeof(version)=='integer')," +
  "  writer INTEGER NOT NULL CHECK(typeof(writer)=='integer')," +
  "  mtime INTEGER NOT NULL CHECK(typeof(mtime)=='integer')," +
  "  type INTEGER NOT NULL CHECK(typeof(type)=='integer')," +
  "  name TEXT NOT NULL," +
  "  data BLOB);";

/**
 * Makes the table if there is none. Throws when rows cannot be written as pmxcfs writes them: in a
 * UTF-16 database a name would get other bytes, and without the key a changed row be a second one.
 */
export function demandTable(database: Database): void {
  const named = "SELECT count(*) FROM sqlite_schema WHERE name = 'tree' COLLATE NOCASE";
  if (selectAll(database, named)[0]?.[0] === 0) database.run(SCHEMA);
  const encoding = String(selectAll(database, "PRAGMA encoding")[0]?.[0]);
  const keys = selectAll(
    database,
    "SELECT lower(name) FROM pragma_table_info('tree') WHERE pk > 0",
  );
  const isKey = keys.length === 1 && keys[0]?.[0] === "inode";
  const odd = encoding === "UTF-8" ? "inode is no key of its table" : `its text is ${encoding}`;
  if (encoding === "UTF-8" && isKey) return;
  throw new Error(`${odd}: it cannot be written; \`config backup\` makes a copy that can be`);
}

const INSERT =
  "INSERT INTO tree (inode, parent, version, writer, mtime, type, name, data) " +
  "VALUES (?1, ?2, ?3, 0, ?4, ?5, CAST(?6 AS TEXT), ?7)";

/** An entry to be made a row; a directory comes before its content. */
export interface TreeItem {
  /** Directories above it and its name, latin1. */
  readonly path: readonly string[];
  /** Undefined for a directory. */
  readonly bytes: Uint8Array | undefined;
  /** Seconds since 1970. */
  readonly mtime: number;
}

/** Writes the rows into a fresh database; an entry's inode is its version. */
function fill(database: Database, items: Iterable<TreeItem>, now: number): void {
  const insert = database.prepare(INSERT);
  const inodes = new Map<string, number>([["", 0]]);
  let version = 1;
  let lastMtime = now;
  try {
    for (const { path, bytes, mtime } of items) {
      version++;
      const parent = inodes.get(path.slice(0, -1).join("/")) ?? 0;
      inodes.set(path.join("/"), version);
      const type = bytes === undefined ? RowType.DIRECTORY : RowType.FILE;
      const name = Buffer.from(path.at(-1) ?? "", "latin1");
      // An empty file's data is NULL, as the C server has it.
      const data = bytes === undefined || bytes.length === 0 ? null : bytes;
      insert.run(version, parent, version, mtime, type, name, data);
      lastMtime = mtime;
    }
    insert.run(0, 0, version, lastMtime, RowType.FILE, Buffer.from(VERSION_NAME), null);
  } finally {
    insert.finalize();
  }
}

const INSERT_ROW =
  "INSERT INTO tree (inode, parent, version, writer, mtime, type, name, data) " +
  "VALUES (?1, ?2, ?3, ?4, ?5, ?6, CAST(?7 AS TEXT), ?8)";

/** Writes rows unchanged, the version row among them. */
function fillRows(database: Database, rows: Iterable<Row>): void {
  using insert = database.prepare(INSERT_ROW);
  for (const { inode, parent, version, writer, mtime, type, name, data } of rows) {
    const bytes = data.length === 0 ? null : data;
    const nameBytes = Buffer.from(name, "latin1");
    insert.run(inode, parent, version, writer, mtime, type, nameBytes, bytes);
  }
}

/**
 * Makes the database at `file`, mode 0600, from rows of another one: same inodes, versions and
 * times. Returns why when that failed; then no file is left.
 */
export function writeConfigDbRows(file: string, rows: Iterable<Row>): string | undefined {
  return makeDatabase(file, (database) => fillRows(database, rows));
}

/**
 * Makes the database at `file`, mode 0600, from entries in the order of their inodes to be.
 * Returns why when that failed; then no file is left.
 */
export function writeConfigDb(file: string, items: Iterable<TreeItem>): string | undefined {
  return makeDatabase(file, (database) => fill(database, items, unixSeconds()));
}

/** Moves all of the WAL into the file. Closing does that too, but does not report its failure. */
function checkpointAll(database: Database): void {
  using statement = database.prepare("PRAGMA wal_checkpoint(TRUNCATE)");
  if (statement.values()[0]?.[0] !== 0) throw new Error("another process has it open");
}

function makeDatabase(file: string, fillIn: (database: Database) => void): string | undefined {
  // No process id: that of a server in a container is the same again after a kill.
  const draft = `${file}.new-${randomBytes(4).toString("hex")}`;
  try {
    closeSync(openSync(draft, "wx", 0o600));
    const database = new Database(draft);
    try {
      database.run("PRAGMA journal_mode = WAL");
      database.run("PRAGMA synchronous = NORMAL");
      database.run(SCHEMA);
      database.run("BEGIN");
      fillIn(database);
      database.run("COMMIT");
      checkpointAll(database);
    } finally {
      database.close();
    }
    if (existsSync(`${file}-wal`)) throw new Error(`${file}-wal belongs to another database`);
    renameSync(draft, file);
    syncName(file);
    return undefined;
  } catch (error) {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(draft + suffix, { force: true });
    return errorText(error);
  }
}
