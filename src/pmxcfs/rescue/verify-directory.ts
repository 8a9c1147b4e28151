/** What `serve --dir` would serve of a directory, and what `config import` would leave out. */
import { duplicateGuests, loadDirectory } from "./import.ts";

export interface DirectoryVerdict {
  /** Reasons why pmxcfs would not start on a database made from it. */
  readonly problems: readonly { readonly text: string }[];
  readonly notes: readonly string[];
  readonly files: number;
  readonly directories: number;
  readonly bytes: number;
}

/** Verifies a directory; a text when there is no such directory. */
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
