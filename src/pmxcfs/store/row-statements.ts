/** The statements that write rows of the table `tree`, on the caller's connection. */
import type { Database, Statement } from "bun:sqlite";
import type { RowImage } from "./row-writer.ts";

/** Names are bound as blobs: a latin1 string would be stored as UTF-8, with other bytes. */
const REPLACE =
  "REPLACE INTO tree (inode, parent, version, writer, mtime, type, name, data) " +
  "VALUES (?1, ?2, ?3, ?4, ?5, ?6, CAST(?7 AS TEXT), ?8)";

/** Prepared; throws what SQLite throws. */
export class RowStatements implements Disposable {
  readonly #replace: Statement;
  readonly #remove: Statement;

  constructor(database: Database) {
    this.#replace = database.prepare(REPLACE);
    this.#remove = database.prepare("DELETE FROM tree WHERE inode = ?1");
  }

  replace({ inode, parent, version, writer, mtime, type, name, data }: RowImage): void {
    const bytes = Buffer.from(name, "latin1");
    this.#replace.run(inode, parent, version, writer, mtime, type, bytes, data);
  }

  remove(inode: number): void {
    this.#remove.run(inode);
  }

  [Symbol.dispose](): void {
    this.#replace.finalize();
    this.#remove.finalize();
  }
}

/** True for errors because another connection holds the lock: the call may succeed later. */
export function isBusy(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return typeof code === "string" && /^SQLITE_(BUSY|LOCKED)/.test(code);
}
