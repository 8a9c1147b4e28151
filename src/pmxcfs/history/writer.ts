/**
 * Writes changes into the history database, and prunes it. Synchronous; runs in the history's own
 * thread (history-worker.ts). A database that cannot be used is renamed, and a new one is begun;
 * changes are deleted only to keep within the limits.
 */
import { Database } from "bun:sqlite";
import { closeSync, existsSync, openSync, renameSync, statSync } from "node:fs";
import { compactTime } from "../../base/compact-time.ts";
import { errorText } from "../../base/error-text.ts";
import { demandRegularDatabase, makePrivate } from "../../platform/regular-file.ts";
import type { HistoryChange } from "./change.ts";
import { prune, type PruneLimits } from "./prune.ts";
import { createHistory, nodeOf, unusable } from "./schema.ts";

export interface HistoryFile {
  readonly file: string;
  /** Name of this node: a history of another one is set aside. */
  readonly node: string;
  readonly limits: PruneLimits;
}

/** The newest version and kind of entry the history has at a path. */
export type LastKnown = Map<string, readonly [version: number, type: "file" | "directory"]>;

const INSERT_CHANGE = `INSERT INTO change (version, first_version, time_ms, writer, pid, uid,
  command, kind, cause, path, to_path, type, size, mtime, digest, private)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;

const INSERT_CONTENT = "INSERT OR IGNORE INTO content (digest, size, packed) VALUES (?, ?, ?)";

/** Changes in one transaction; between two of them a reader can proceed. */
const CHANGES_PER_TRANSACTION = 500;

/** Renames a database and its companions; returns the new name. */
function setAside(file: string, stamp: string): string {
  const aside = `${file}.set-aside-${stamp}`;
  for (const suffix of ["-wal", "-shm", ""]) {
    if (existsSync(file + suffix)) renameSync(file + suffix, aside + suffix);
  }
  return aside;
}

/** Why the file cannot be continued; undefined when it can, or does not exist. */
function objection(file: string, node: string): string | undefined {
  if (!existsSync(file)) return undefined;
  if (!statSync(file).isFile()) return "it is not a regular file";
  try {
    demandRegularDatabase(file);
    using database = new Database(file, { readwrite: true, create: false });
    const reason = unusable(database);
    if (reason !== undefined) return reason;
    const other = nodeOf(database);
    return other === node ? undefined : `it is the history of node "${other}"`;
  } catch (error) {
    return errorText(error);
  }
}

export class HistoryWriter implements Disposable {
  readonly #options: HistoryFile;
  readonly #database: Database;
  readonly #inode: number;
  /** For the log: why an existing file was renamed, and its new name. */
  readonly notice: string | undefined;

  private constructor(options: HistoryFile, database: Database, notice: string | undefined) {
    this.#options = options;
    this.#database = database;
    this.#inode = statSync(options.file).ino;
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
    const isNew = !existsSync(file);
    // Created with its mode, so that other users can never open it.
    if (isNew) closeSync(openSync(file, "ax", 0o600));
    else makePrivate(file);
    const database = new Database(file, { readwrite: true });
    database.run("PRAGMA busy_timeout = 1000");
    if (isNew) createHistory(database, node);
    database.run("PRAGMA synchronous = NORMAL");
    return new HistoryWriter(options, database, notice);
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
      kind: string;
      path: string;
      to_path: string | null;
      version: number;
      type: "file" | "directory";
    }>;
    for (const { kind, path, to_path, version, type } of rows) {
      if (kind === "remove" || to_path !== null) known.delete(path);
      if (kind !== "remove") known.set(to_path ?? path, [version, type]);
    }
    return known;
  }

  /** Writes `changes` in their order. Throws, with none of the current transaction kept. */
  write(changes: readonly HistoryChange[]): void {
    for (let from = 0; from < changes.length; from += CHANGES_PER_TRANSACTION) {
      this.#writeSome(changes.slice(from, from + CHANGES_PER_TRANSACTION));
    }
  }

  #writeSome(changes: readonly HistoryChange[]): void {
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

  [Symbol.dispose](): void {
    this.#database.close();
  }
}
