/** What of a directory `serve --dir` would serve, and what `config import` would leave out. */
import { duplicateGuests, loadDirectory } from "./import.ts";

export interface DirectoryVerdict {
  /** What keeps pmxcfs from starting on a database made of it. */
  readonly problems: readonly { readonly text: string }[];
  readonly notes: readonly string[];
  readonly files: number;
  readonly directories: number;
  readonly bytes: number;
}

/** A text when there is no such directory. */
export function verifyDirectory(directory: string): DirectoryVerdict | string {
  const loaded = loadDirectory(directory);
  if (typeof loaded === "string") return loaded;
  const { memdb, leftOut } = loaded;
  let files = 0;
  for (const { kind } of memdb.entries()) if (kind === "file") files++;
  return {
    problems: duplicateGuests(memdb).map((text) => ({ text })),
    notes: leftOut.map(({ path, reason }) => `left out: ${path} (${reason})`),
    files,
    directories: memdb.entryCount - files,
    bytes: memdb.fileBytes,
  };
}
