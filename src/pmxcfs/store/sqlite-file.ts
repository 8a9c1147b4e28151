/**
 * A SQLite file that is read and never written, not even the files beside it while nobody else
 * has it open: a WAL database without a -wal is opened immutable and looked at again as soon as
 * the file or its -wal moves; with a -wal (a writer is there, or died) it is opened as any reader
 * would, and PRAGMA data_version tells of commits. Owns the connection.
 */
import { constants, Database, type Statement } from "bun:sqlite";
import {
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { FileStir } from "./watch.ts";
import { errorText } from "../../base/error-text.ts";

/** What happened to the file since it was last asked. */
export type Poll = "unchanged" | "committed" | "reopened" | "replaced" | "missing";

/** In the database header (sqlite.org/fileformat2.html 1.3): 2 in both bytes means WAL. */
const READ_VERSION_AT = 19;
const HEADER_BYTES = 100;
const WAL_VERSION = 2;

/** How long a reader waits for a writer's lock before it tries again at the next request. */
const BUSY_TIMEOUT_MS = 20;
/** How often a file that is held open is compared with what its path leads to. */
const IDENTITY_CHECK_MS = 200;
/** A time stamp this fresh may hide a later change in the same tick of the kernel's clock. */
const RACY_MS = 20;
/** Attempts at a read during which nobody writes. */
const READ_ATTEMPTS = 5;

interface FileState {
  readonly dev: number;
  readonly ino: number;
  readonly size: number;
  readonly mtimeMs: number;
  readonly walBytes: number;
}

type Mode = "shared" | "immutable" | "copy";

function stateOf(path: string): FileState | undefined {
  const file = statSync(path, { throwIfNoEntry: false });
  if (file === undefined) return undefined;
  const { dev, ino, size, mtimeMs } = file;
  const wal = statSync(`${path}-wal`, { throwIfNoEntry: false });
  return { dev, ino, size, mtimeMs, walBytes: wal?.size ?? 0 };
}

function isSame(a: FileState, b: FileState): boolean {
  const same = a.dev === b.dev && a.ino === b.ino && a.size === b.size;
  return same && a.mtimeMs === b.mtimeMs && a.walBytes === b.walBytes;
}

function isWal(path: string): boolean {
  const header = Buffer.alloc(HEADER_BYTES);
  const fd = openSync(path, "r");
  try {
    readSync(fd, header, 0, HEADER_BYTES, 0);
  } finally {
    closeSync(fd);
  }
  return header[READ_VERSION_AT] === WAL_VERSION;
}

/** Rows of one statement, which is closed again: one that is left open keeps its file open. */
export function selectAll(database: Database, sql: string): unknown[][] {
  const statement = database.prepare(sql);
  try {
    return statement.values();
  } finally {
    statement.finalize();
  }
}

/** Opens and reads one page, so that what is wrong shows here. */
function connect(path: string, mode: Mode): Database {
  const database =
    mode === "immutable"
      ? new Database(
          `${pathToFileURL(path).href}?immutable=1`,
          constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI,
        )
      : new Database(path, { readonly: true });
  try {
    database.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    selectAll(database, "SELECT count(*) FROM sqlite_schema");
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

export class SqliteFile implements Disposable {
  readonly path: string;
  readonly #stir: FileStir;
  #database: Database;
  #mode: Mode;
  #state: FileState;
  #openedAt = 0;
  #copyDirectory: string | undefined;
  #dataVersion: Statement | undefined;
  #lastDataVersion: unknown;
  #checkedAt = 0;
  #missing = false;

  private constructor(path: string, state: FileState, stir: FileStir) {
    this.path = path;
    this.#stir = stir;
    this.#state = state;
    this.#mode = "shared";
    this.#database = this.#connect(state);
  }

  /** Opens the file; a text that says why when it cannot be read as a database. */
  static open(path: string): SqliteFile | string {
    let stir: FileStir | undefined;
    try {
      const state = stateOf(path);
      if (state === undefined) return "no such file";
      if (!statSync(path).isFile()) return "it is no regular file";
      stir = new FileStir(path);
      return new SqliteFile(path, state, stir);
    } catch (error) {
      stir?.[Symbol.dispose]();
      return errorText(error);
    }
  }

  /**
   * Runs `read` on a state of the database that no writer changed meanwhile. Throws what SQLite
   * throws: a damaged page, or a lock that is held too long.
   */
  read<T>(read: (database: Database) => T): T {
    for (let attempt = 1; ; attempt++) {
      const result = this.#transaction(read);
      // An immutable connection takes no locks: look whether a writer came while it read.
      const now = this.#mode === "shared" ? undefined : stateOf(this.path);
      if (now === undefined || isSame(now, this.#state)) return result;
      this.#reopen(now);
      if (attempt === READ_ATTEMPTS) throw new Error("the file changes faster than it is read");
    }
  }

  /** Cheap: half a microsecond when nothing happened. */
  poll(): Poll {
    if (!this.#stir.happened()) return "unchanged";
    if (this.#mode !== "shared") return this.#pollFile();
    const version = this.#readDataVersion();
    const committed = version !== this.#lastDataVersion;
    this.#lastDataVersion = version;
    const now = performance.now();
    if (!committed && now - this.#checkedAt < IDENTITY_CHECK_MS) return "unchanged";
    this.#checkedAt = now;
    const state = stateOf(this.path);
    if (state === undefined) return this.#noteMissing();
    if (state.ino !== this.#state.ino || state.dev !== this.#state.dev) {
      this.#reopen(state);
      return "replaced";
    }
    this.#missing = false;
    return committed ? "committed" : "unchanged";
  }

  [Symbol.dispose](): void {
    this.#stir[Symbol.dispose]();
    this.#close();
  }

  #pollFile(): Poll {
    const state = stateOf(this.path);
    if (state === undefined) return this.#noteMissing();
    this.#missing = false;
    const fresh = this.#openedAt - this.#state.mtimeMs < RACY_MS;
    if (isSame(state, this.#state) && !fresh) return "unchanged";
    const replaced = state.ino !== this.#state.ino || state.dev !== this.#state.dev;
    this.#reopen(state);
    return replaced ? "replaced" : "reopened";
  }

  #noteMissing(): Poll {
    if (this.#missing) return "unchanged";
    this.#missing = true;
    return "missing";
  }

  #transaction<T>(read: (database: Database) => T): T {
    this.#database.run("BEGIN");
    try {
      return read(this.#database);
    } finally {
      if (this.#database.inTransaction) this.#database.run("ROLLBACK");
    }
  }

  #close(): void {
    this.#dataVersion?.finalize();
    this.#dataVersion = undefined;
    this.#database.close();
    this.#removeCopy();
  }

  #reopen(state: FileState): void {
    this.#close();
    this.#database = this.#connect(state);
  }

  #connect(state: FileState): Database {
    this.#missing = false;
    this.#state = state;
    this.#openedAt = Date.now();
    this.#checkedAt = performance.now();
    this.#mode = state.walBytes === 0 && isWal(this.path) ? "immutable" : "shared";
    const database = this.#mode === "immutable" ? connect(this.path, this.#mode) : this.#share();
    if (this.#mode === "shared") {
      this.#dataVersion = database.prepare("PRAGMA data_version");
      this.#lastDataVersion = this.#readDataVersion();
    }
    return database;
  }

  /** A WAL whose -shm can neither be read nor made (a read-only medium) is read from a copy. */
  #share(): Database {
    try {
      return connect(this.path, "shared");
    } catch (error) {
      if (this.#state.walBytes === 0) throw error;
      return this.#connectCopy();
    }
  }

  #connectCopy(): Database {
    this.#mode = "copy";
    this.#copyDirectory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-db-"));
    try {
      const copy = join(this.#copyDirectory, "config.db");
      copyFileSync(this.path, copy);
      copyFileSync(`${this.path}-wal`, `${copy}-wal`);
      return connect(copy, "copy");
    } catch (error) {
      this.#removeCopy();
      throw error;
    }
  }

  #removeCopy(): void {
    if (this.#copyDirectory === undefined) return;
    rmSync(this.#copyDirectory, { recursive: true, force: true });
    this.#copyDirectory = undefined;
  }

  #readDataVersion(): unknown {
    return this.#dataVersion?.values()[0]?.[0];
  }
}
