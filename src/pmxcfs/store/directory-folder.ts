/**
 * A directory of the source as it was seen: its names, what is left out and why; and what is asked
 * of a name without changing anything.
 */
import { statIn, type FileStamp, type Kind } from "./file-walk.ts";
import type { Entry } from "../state/memdb.ts";

/** A name in a directory, as it was when it was last looked at. */
export interface Known {
  stamp: FileStamp;
  /** Look at the content again although the stamp is the same. */
  racy: boolean;
  /** Why it is not in the tree; undefined when it is. */
  leftOut: string | undefined;
}

export interface Folder {
  readonly entry: Entry;
  /** Names from the root to it. */
  readonly names: readonly string[];
  readonly above: Folder | undefined;
  readonly known: Map<string, Known>;
  readonly folders: Map<string, Folder>;
  stamp: FileStamp;
  /** inotify's number, negative when it is not watched. */
  watch: number;
}

/** A name that is not served. */
export interface LeftOut {
  readonly path: string;
  readonly reason: string;
}

/** Equal to no state of a file. */
export const UNKNOWN_STAMP: FileStamp = { dev: 0, ino: 0, size: 0, mtimeMs: 0, ctimeMs: 0 };

/** A folder of which nothing was looked at yet. */
export function newFolder(
  entry: Entry,
  above: Folder | undefined,
  names: readonly string[],
): Folder {
  const [known, folders] = [new Map<string, Known>(), new Map<string, Folder>()];
  return { entry, names, above, known, folders, stamp: UNKNOWN_STAMP, watch: -1 };
}

/** Whether the name stands for anything; also true when that cannot be told now. */
export function isThere(directory: number, name: string): boolean {
  try {
    return statIn(directory, name) !== undefined;
  } catch {
    return true;
  }
}

/** Whether it stands for a directory; also true when that cannot be told now. */
export function isDirectoryAt(directory: number, name: string): boolean {
  try {
    return statIn(directory, name)?.isDirectory() ?? false;
  } catch {
    return true;
  }
}

/** Why something that is no file is left out. */
export function aKind(kind: Kind): string {
  return kind === "unknown" ? "neither file nor directory" : `a ${kind}`;
}

/** Reasons that pass; EAGAIN: another process has a lease (fcntl(2), F_SETLEASE). */
const TRANSIENT: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOMEM", "EINTR", "EAGAIN"]);

/** Whether a name that could not be looked at with this code can be soon. */
export function isTransient(code: string): boolean {
  return TRANSIENT.has(code);
}

/** The kernel's code of what was thrown; "" of anything else. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
