/**
 * pmxcfs's config.db, written as pmxcfs writes it: schema, settings of the connection, one
 * transaction for each change of the tree, row 0 in every one. Owns the connection.
 * C counterpart: database.c.
 */
import { Database, type Statement } from "bun:sqlite";
import { chmodSync, closeSync, openSync } from "node:fs";
import { Errno } from "../../base/errno.ts";
import type { Log } from "../../base/log.ts";
import { readRows } from "./config-db.ts";
import { SCHEMA } from "./config-writer.ts";
import { errorText } from "../../base/error-text.ts";
import type { RowChange, RowWriter } from "./row-writer.ts";
import { selectAll } from "./sqlite-file.ts";
import { VERSION_NAME, type Row } from "./tree-rows.ts";

/** How long a change waits for another process's write lock: the event loop stands still then. */
const BUSY_TIMEOUT_MS = 20;

/** Names are bound as blobs: a string would be taken for UTF-16 and stored as UTF-8 of that. */
const REPLACE =
  "REPLACE INTO tree (inode, parent, version, writer, mtime, type, name, data) " +
  "VALUES (?1, ?2, ?3, ?4, ?5, ?6, CAST(?7 AS TEXT), ?8)";

export interface ConfigDbWriterOptions {
  readonly file: string;
  readonly log: Log;
}

interface Statements {
  readonly begin: Statement;
  readonly commit: Statement;
  readonly rollback: Statement;
  readonly replace: Statement;
  readonly remove: Statement;
}

function prepare(database: Database): Statements {
  return {
    begin: database.prepare("BEGIN TRANSACTION"),
    commit: database.prepare("COMMIT TRANSACTION"),
    rollback: database.prepare("ROLLBACK TRANSACTION"),
    replace: database.prepare(REPLACE),
    remove: database.prepare("DELETE FROM tree WHERE inode = ?1"),
  };
}

/** Opens as C does; throws what SQLite throws, in C's words where it has some. */
function connect(file: string): Database {
  // Before SQLite makes it with the umask's mode; nothing of it is for others.
  closeSync(openSync(file, "a", 0o600));
  chmodSync(file, 0o600);
  const database = new Database(file, { readwrite: true, create: true });
  try {
    database.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    try {
      database.run("PRAGMA journal_mode = WAL");
    } catch (error) {
      throw new Error(`unable to set WAL mode: ${errorText(error)}`, { cause: error });
    }
    database.run("PRAGMA synchronous = NORMAL");
    const tables = selectAll(database, "SELECT count(*) FROM sqlite_schema WHERE name = 'tree'");
    if (tables[0]?.[0] === 0) database.run(SCHEMA);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

export class ConfigDbWriter implements RowWriter {
  readonly file: string;
  readonly #log: Log;
  readonly #database: Database;
  readonly #statements: Statements;
  /** The last commit failed, and that was said. */
  #failing = false;

  private constructor(options: ConfigDbWriterOptions, database: Database) {
    this.file = options.file;
    this.#log = options.log;
    this.#database = database;
    this.#statements = prepare(database);
  }

  /** Opens the database, or makes it (mode 0600); one line that says why not. */
  static open(options: ConfigDbWriterOptions): ConfigDbWriter | string {
    try {
      return new ConfigDbWriter(options, connect(options.file));
    } catch (error) {
      return errorText(error);
    }
  }

  /** All rows, in the order of inodes. Throws what SQLite throws. */
  read(): Row[] {
    return readRows(this.#database);
  }

  /** EIO: nothing was written; said once, until a commit works again. */
  commit({ deleted, replaced, root }: RowChange): 0 | Errno {
    const { begin, commit, replace, remove } = this.#statements;
    try {
      begin.run();
      for (const inode of deleted) remove.run(inode);
      for (const row of replaced) {
        const name = Buffer.from(row.name, "latin1");
        const { inode, parent, version, writer, mtime, type, data } = row;
        replace.run(inode, parent, version, writer, mtime, type, name, data);
      }
      replace.run(0, 0, root.version, root.writer, root.mtime, root.type, VERSION, null);
      commit.run();
    } catch (error) {
      this.#failed(error);
      return Errno.EIO;
    }
    if (this.#failing) this.#log.info(`${this.file}: changes are written again`);
    this.#failing = false;
    return 0;
  }

  /** Checkpoints the WAL and removes it, as SQLite does when the last connection closes. */
  [Symbol.dispose](): void {
    for (const statement of Object.values(this.#statements)) statement.finalize();
    this.#database.close();
  }

  #failed(error: unknown): void {
    try {
      if (this.#database.inTransaction) this.#statements.rollback.run();
    } catch (rollback) {
      this.#log.error(`${this.file}: rollback failed: ${errorText(rollback)}`);
    }
    if (this.#failing) return;
    this.#failing = true;
    this.#log.error(
      `${this.file}: a change was not written (${errorText(error)}); it was answered with EIO, ` +
        "the next ones are tried again",
    );
  }
}

const VERSION = Buffer.from(VERSION_NAME);
