/**
 * The connection that writes a config.db: opened with the settings of the C server. Remembers which
 * files SQLite has opened, since others may be at their paths later.
 * C counterpart: database.c, bdb_create.
 */
import { constants, Database, type Statement } from "bun:sqlite";
import { closeSync, lstatSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { errorText } from "../../base/error-text.ts";
import { demandRegularDatabase, makePrivate } from "../../platform/regular-file.ts";
import { CheckpointLimits } from "./checkpointer.ts";
import { demandTable } from "./config-writer.ts";
import { RowStatements } from "./row-statements.ts";
import { keptSides, type OpenFile, sidesOf } from "./side-files.ts";
import { syncToDisk } from "./upkeep.ts";

/**
 * How long a change blocks the serving thread for another process's write lock. (C waits 10 s, and
 * all readers wait with it.) The caller then retries (replication/local.ts).
 */
export const BUSY_TIMEOUT_MS = 2;

/** Durability: `normal` as C (a SIGKILL loses nothing, a power cut the last changes), or `full`. */
export type SyncMode = "normal" | "full";

/** An open config.db, with its statements. */
export interface Connection {
  readonly database: Database;
  readonly begin: Statement;
  readonly commit: Statement;
  readonly rollback: Statement;
  readonly rows: RowStatements;
  /** Of the database. */
  readonly device: number;
  readonly inode: number;
  /** Its -wal and -shm. */
  readonly sides: readonly OpenFile[];
}

/**
 * Opens as C does, and makes the file if it is missing; throws what SQLite throws, in C's words
 * where it has some. Not for a database that this process has open (`reconnect`).
 */
export function connect(file: string, sync: SyncMode): Connection {
  // Created here, since SQLite would use the umask's mode, and the content is private.
  demandRegularDatabase(file);
  closeSync(openSync(file, "a", 0o600));
  makePrivate(file);
  return reconnect(file, sync);
}

/** The same for a file that `make` makes. Throws if there is one; another error leaves none. */
export function connectNew(file: string, sync: SyncMode, make: () => void): Connection {
  // It may be a database that was kept by this name in the same second.
  if (lstatSync(file, { throwIfNoEntry: false }) !== undefined) throw new Error("file exists");
  try {
    make();
    syncToDisk(file);
    return connect(file, sync);
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  }
}

/** As `connect`, for a file that exists. Nothing but SQLite opens it. */
export function reconnect(file: string, sync: SyncMode): Connection {
  const { dev: device, ino: inode } = statSync(file);
  const database = new Database(file, { readwrite: true, create: true });
  try {
    database.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    try {
      database.run("PRAGMA journal_mode = WAL");
    } catch (error) {
      throw new Error(`unable to set WAL mode: ${errorText(error)}`, { cause: error });
    }
    database.run(`PRAGMA synchronous = ${sync.toUpperCase()}`);
    database.run("PRAGMA wal_autocheckpoint = 0");
    database.run(`PRAGMA journal_size_limit = ${CheckpointLimits.keptWalBytes}`);
    demandTable(database);
    return {
      database,
      begin: database.prepare("BEGIN TRANSACTION"),
      commit: database.prepare("COMMIT TRANSACTION"),
      rollback: database.prepare("ROLLBACK TRANSACTION"),
      rows: new RowStatements(database),
      device,
      inode,
      // Made by the read above.
      sides: sidesOf(file),
    };
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Closes it. */
export function disconnect(connection: Connection): void {
  const { database, begin, commit, rollback, rows } = connection;
  for (const statement of [begin, commit, rollback]) statement.finalize();
  rows[Symbol.dispose]();
  database.close();
}

/**
 * Closes the connection of a file that has lost its path, and removes its -wal and -shm, which
 * SQLite would apply to the file that is there now. Those of that file stay. `aside`: a suffix with
 * which the -wal is renamed instead.
 */
export function leave(connection: Connection, aside?: string): void {
  const own = keptSides(connection.sides);
  connection.database.fileControl(constants.SQLITE_FCNTL_PERSIST_WAL, 1);
  disconnect(connection);
  for (const path of own) {
    if (aside !== undefined && path.endsWith("-wal")) renameSync(path, path + aside);
    else rmSync(path, { force: true });
  }
}
