/**
 * Reads a database that a server may be writing: without a lock, and again when the read may have
 * mixed two states. Appended frames of the -wal do not disturb a read, which stops at the last
 * commit that it saw when it began. A checkpoint does, since it may write newer pages into the
 * file, and so does the first commit after a complete one, which begins the -wal anew.
 */
import { statSync } from "node:fs";
import { behindLinks, InputFile } from "../store/sqlite/input-file.ts";
import { WAL_HEADER_BYTES } from "../store/sqlite/wal-frames.ts";
import { readDatabase, type ReadDatabase } from "./read-database.ts";

/** Attempts to read a database that keeps changing. */
const TRIES = 20;

/** The header of a WAL, which has the salts of its frames: other bytes if it was restarted. */
function headOf(wal: string): string {
  const file = InputFile.open(wal);
  if (typeof file === "string") return "";
  using opened = file;
  const head = Buffer.alloc(WAL_HEADER_BYTES);
  return head.toString("hex", 0, opened.read(head, 0));
}

/** Changes when pages are written into the database, or its -wal is restarted. */
function stateOf(file: string): string {
  try {
    const stats = statSync(file, { throwIfNoEntry: false, bigint: true });
    const own = `${stats?.dev} ${stats?.ino} ${stats?.size} ${stats?.mtimeNs}`;
    return `${own} ${headOf(`${behindLinks(file)}-wal`)}`;
  } catch {
    // The read has the reason.
    return "";
  }
}

/**
 * As readDatabase, of one state. Without rows, and with a problem, when the database was changed
 * during each of 20 reads. Throws for no content.
 */
export function readAtRest(file: string): ReadDatabase {
  let read: ReadDatabase | undefined;
  for (let tries = 0; tries < TRIES; tries++) {
    const before = stateOf(file);
    read = readDatabase(file);
    if (stateOf(file) === before) return read;
  }
  const text = `it was changed during each of ${TRIES} reads: try again`;
  const none = { rows: [], notes: [], wal: undefined, isPartial: true, sql: undefined };
  return { ...none, format: read?.format ?? "none", problem: { kind: "unreadable", text } };
}
