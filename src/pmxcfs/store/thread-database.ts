/** A connection of a thread to the database that the event loop serves. */
import { Database } from "bun:sqlite";
import { statSync } from "node:fs";

/** The file that is meant; another one in its place is left alone. */
export interface DatabasePlace {
  readonly file: string;
  readonly device: number;
  readonly inode: number;
}

/** Opens it read-write, as a WAL needs. Throws if another file is there, or what SQLite throws. */
export function openInThread({ file, device, inode }: DatabasePlace): Database {
  // Before it is opened: SQLite would apply the WAL beside it to whatever file is there.
  const { dev, ino } = statSync(file);
  if (dev !== device || ino !== inode) throw new Error("another file is in its place");
  return new Database(file, { readwrite: true, create: false });
}
