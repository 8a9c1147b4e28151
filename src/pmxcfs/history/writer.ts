/**
 * Writes changes into the history database, and prunes it. Synchronous; runs in the history's own
 * thread (history-worker.ts). A database that cannot be used is renamed, and a new one is begun;
 * changes are deleted only to keep within the limits.
 */
import { Database } from "bun:sqlite";
import { closeSync, existsSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { compactTime } from "../../base/compact-time.ts";
import { errorText } from "../../base/error-text.ts";
import { demandRegularDatabase, makePrivate } from "../../platform/regular-file.ts";
import { keptSides, type OpenFile, sidesOf } from "../store/side-files.ts";
import { follow, type ChangeKind, type HistoryChange, type LastKnown } from "./change.ts";
import { prune, type PruneLimits } from "./prune.ts";
import { createHistory, nodeOf, unusable } from "./schema.ts";

export interface HistoryFile {
  readonly file: string;
  /** Name of this node: a history of another one is set aside. */
  readonly node: string;
  readonly limits: PruneLimits;
}

const INSERT_CHANGE = `INSERT INTO change (version, first_version, time_ms, writer, pid, uid,
  command, kind, cause, path, to_path, type, size, mtime, digest, private)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;

const INSERT_CONTENT = "INSERT OR IGNORE INTO content (digest, size, packed) VALUES (?, ?, ?)";

const BUSY_TIMEOUT = "PRAGMA busy_timeout = 1000";

/** Suffixes of a database and of the files that SQLite makes for it, which go first. */
const FILES = ["-wal", "-shm", ""];

/** Renames a database and its companions; returns the new name. */
function setAside(file: string, stamp: string): string {
  const aside = `${file}.set-aside-${stamp}`;
  for (const suffix of FILES) {
    if (existsSync(file + suffix)) renameSync(file + suffix, aside + suffix);
  }
  return aside;
}

/**
 * Why the file cannot be continued; undefined when it can, or does not exist. Throws what SQLite
 * throws when that cannot be found out now.
 */
function objection(file: string, node: string): string | undefined {
  if (!existsSync(file)) return undefined;
  if (!statSync(file).isFile()) return "it is not a regular file";
  try {
    demandRegularDatabase(file);
  } catch (error) {
    return errorText(error);
  }
  using database = new Database(file, { readwrite: true, create: false });
  database.run(BUSY_TIMEOUT);
  const reason = unusable(database);
  if (reason !== undefined) return reason;
  const other = nodeOf(database);
  return other === node ? undefined : `it is the history of node "${other}"`;
}

/** Opens the database; makes it when `isNew`, and leaves nothing of it when that fails. */
function opened({ file, node }: HistoryFile, isNew: boolean): Database {
  // Created with its mode, so that other users can never open it.
  if (isNew) closeSync(openSync(file, "ax", 0o600));
  else makePrivate(file);
  let database: Database | undefined;
  try {
    database = new Database(file, { readwrite: true });
    database.run(BUSY_TIMEOUT);
    if (isNew) createHistory(database, node);
    database.run("PRAGMA synchronous = NORMAL");
    return database;
  } catch (error) {
    database?.close();
    if (isNew) for (const suffix of FILES) rmSync(file + suffix, { force: true });
    throw error;
  }
}

export class HistoryWriter implements Disposable {
  readonly #options: HistoryFile;
  readonly #database: Database;
  readonly #inode: number;
  readonly #sides: readonly OpenFile[];
  /** For the log: why an existing file was renamed, and its new name. */
  readonly notice: string | undefined;

  private constructor(options: HistoryFile, database: Database, notice: string | undefined) {
    this.#options = options;
    this.#database = database;
    this.#inode = statSync(options.file).ino;
    // SQLite makes the -wal at the first read.
    database.query("SELECT 1 FROM meta").values();
    this.#sides = sidesOf(options.file);
    this.notice = notice;
  }

  /** Opens the history, or begins one. Throws what the file system or SQLite throws. */
  static open(options: HistoryFile): HistoryWriter {
    const { file, node } = options;
    const reason = objection(file, node);
    let notice: string | undefined;
    if (reason !== undefined) {
      const aside = setAside(file, compactTime());
      notice = `${file}: ${reason}; kept as ${aside}, and a new one was begun`;
    }
    return new HistoryWriter(options, opened(options, !existsSync(file)), notice);
  }

  /** True when the path leads to another file than the open one, or to none. */
  get replaced(): boolean {
    return statSync(this.#options.file, { throwIfNoEntry: false })?.ino !== this.#inode;
  }

  /** The newest entry of each path in the history. */
  lastKnown(): LastKnown {
    const known: LastKnown = new Map();
    const rows = this.#database
      .query("SELECT kind, path, to_path, version, type FROM change ORDER BY id")
      .iterate() as Iterable<{
      kind: ChangeKind;
      path: string;
      to_path: string | null;
      version: number;
      type: "file" | "directory";
    }>;
    for (const { to_path, ...row } of rows) follow(known, { ...row, to: to_path ?? undefined });
    return known;
  }

  /** Writes `changes` in their order, in one transaction: when it throws, none is kept. */
  write(changes: readonly HistoryChange[]): void {
    this.#database.transaction(() => {
      for (const change of changes) {
        const digest = change.bytes === undefined ? null : this.#keep(change.bytes);
        const { author } = change;
        this.#database
          .query(INSERT_CHANGE)
          .run(
            change.version,
            change.firstVersion,
            change.timeMs,
            change.writer,
            author?.pid ?? null,
            author?.uid ?? null,
            author?.command ?? null,
            change.kind,
            change.cause,
            change.path,
            change.to ?? null,
            change.type,
            change.size,
            change.mtime,
            digest,
            change.isPrivate ? 1 : 0,
          );
      }
    })();
  }

  /** Stores a content once; returns its digest. */
  #keep(bytes: Uint8Array): Uint8Array {
    const digest = new Bun.CryptoHasher("sha256").update(bytes).digest();
    const [there] = this.#database.query("SELECT 1 FROM content WHERE digest = ?").values(digest);
    if (there === undefined) {
      const packed = Bun.zstdCompressSync(bytes);
      this.#database.query(INSERT_CONTENT).run(digest, bytes.length, packed);
    }
    return digest;
  }

  /** Prunes a slice; true while there is more to do. */
  prune(nowMs: number): boolean {
    return prune(this.#database, this.#options.limits, nowMs);
  }

  /** The -wal of a file that was replaced goes with it: SQLite would apply it to the new one. */
  [Symbol.dispose](): void {
    let left: string[] = [];
    try {
      if (this.replaced) left = keptSides(this.#sides);
    } catch {
      // The path cannot be followed now: nothing is known to be there.
    }
    this.#database.close();
    for (const path of left) rmSync(path, { force: true });
  }
}
