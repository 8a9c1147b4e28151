/**
 * Whether the path of an open config.db still leads to it, and to the rows that this process has
 * written. A program that writes other content into the file (`cp` onto it) keeps its inode, and
 * the next checkpoint would mix pages of both; the C server does not notice that.
 */
import type { Database } from "bun:sqlite";
import { statSync } from "node:fs";
import { errorText } from "../../base/error-text.ts";
import { LogOnce } from "../../base/log-once.ts";
import type { Log } from "../../base/log.ts";
import type { CheckpointMode } from "./checkpoint-worker.ts";
import type { Connection } from "./config-db-connection.ts";
import { RowFingerprint } from "./row-fingerprint.ts";
import { readRows, selectAll } from "./sqlite-rows.ts";

/** What happened to the file, for the log. */
export type Loss = "was removed" | "was replaced by another file" | "was overwritten";

/** Errors that say that the file has other content, and not that it cannot be read now. */
const OTHER_CONTENT = /^SQLITE_(CORRUPT|NOTADB|SCHEMA|ERROR)/;

/** Another number after a commit by another connection, and when one has truncated the WAL. */
function dataVersion(database: Database): number {
  return Number(selectAll(database, "PRAGMA data_version")[0]?.[0]);
}

export class ServedFile {
  readonly #file: string;
  readonly #connection: Connection;
  readonly #complaints: LogOnce;
  /** The file as SQLite left it; NaN: not known. */
  #size = Number.NaN;
  #mtimeMs = Number.NaN;
  #dataVersion = Number.NaN;
  /** Another process has committed: the rows may differ, whoever writes into the file. */
  #isEdited = false;

  constructor(file: string, connection: Connection, log: Log) {
    this.#file = file;
    this.#connection = connection;
    this.#complaints = new LogOnce((line) => log.error(line));
    this.written("commit");
  }

  /** To be called after each checkpoint of this process, and each commit by one of its threads. */
  written(by: CheckpointMode | "commit"): void {
    try {
      const { size, mtimeMs } = statSync(this.#file);
      const version = dataVersion(this.#connection.database);
      if (by === "passive" && version !== this.#dataVersion) this.#isEdited = true;
      this.#dataVersion = version;
      this.#size = size;
      this.#mtimeMs = mtimeMs;
    } catch {
      this.#size = Number.NaN;
    }
  }

  /**
   * Undefined when nothing is lost, or that cannot be found out now. `expected`: the fingerprint of
   * the rows that the file must have; undefined while that is not known.
   */
  loss(expected: (() => Uint8Array) | undefined): Loss | undefined {
    const { device, inode } = this.#connection;
    try {
      const now = statSync(this.#file, { throwIfNoEntry: false });
      this.#complaints.clear();
      if (now === undefined) return "was removed";
      if (now.dev !== device || now.ino !== inode) return "was replaced by another file";
      const isAsLeft = now.size === this.#size && now.mtimeMs === this.#mtimeMs;
      if (isAsLeft || expected === undefined || Number.isNaN(this.#size)) return undefined;
    } catch (error) {
      this.#complaints.say(`${this.#file} cannot be checked: ${errorText(error)}`);
      return undefined;
    }
    return this.#hasOtherRows(expected()) ? "was overwritten" : undefined;
  }

  /**
   * Something has written into the file. Another process's checkpoint and `touch` change no row; a
   * change of rows through SQLite is seen in the data version, and is ignored, as in C.
   */
  #hasOtherRows(expected: Uint8Array): boolean {
    const { database } = this.#connection;
    try {
      // Cached pages are those of the file before.
      database.run("PRAGMA shrink_memory");
      const isSame = new RowFingerprint(readRows(database)).value().equals(expected);
      const isEdited = this.#isEdited || dataVersion(database) !== this.#dataVersion;
      if (!isSame && !isEdited) return true;
      this.written("commit");
      this.#isEdited = !isSame;
      return false;
    } catch (error) {
      return !this.#isEdited && OTHER_CONTENT.test(String((error as { code?: unknown }).code));
    }
  }
}
