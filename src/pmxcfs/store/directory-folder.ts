/**
 * A directory of the source as it was last seen: its names, which of them are left out, and why;
 * and questions about a name that change nothing.
 */
import { statIn, type FileStamp, type Kind } from "./file-walk.ts";
import { inParts, type Steps } from "../../base/steps.ts";
import type { Entry } from "../state/memdb.ts";

/** The last known state of a name in a directory. */
export interface Known {
  stamp: FileStamp;
  /** Read the content again even if the stamp is the same. */
  racy: boolean;
  /** Why it is not in the tree; undefined when it is there. */
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

/** The content of an empty file. */
export const NO_BYTES = new Uint8Array(0);

/** Differs from the stamp of every file. */
export const UNKNOWN_STAMP: FileStamp = { dev: 0, ino: 0, size: 0, mtimeMs: 0, ctimeMs: 0 };

/** A folder whose names have not been read yet. */
export function newFolder(
  entry: Entry,
  above: Folder | undefined,
  names: readonly string[],
): Folder {
  const [known, folders] = [new Map<string, Known>(), new Map<string, Folder>()];
  return { entry, names, above, known, folders, stamp: UNKNOWN_STAMP, watch: -1 };
}

/** Makes the next comparison of its stamp find a difference; it stays the same directory. */
export function outdate(folder: Folder): void {
  folder.stamp = { ...folder.stamp, mtimeMs: 0, ctimeMs: 0 };
}

/** The names of a folder that a listing of it lacks. */
export function* namesBeyond(folder: Folder, listed: ReadonlySet<string>): Steps<string[]> {
  const found: string[] = [];
  for (const part of inParts([...folder.known.keys(), ...folder.folders.keys()])) {
    found.push(...part.filter((name) => !listed.has(name)));
    yield undefined;
  }
  return found;
}

/** Whether the name exists; also true when that cannot be found out now. */
export function isThere(directory: number, name: string): boolean {
  try {
    return statIn(directory, name) !== undefined;
  } catch {
    return true;
  }
}

/** Whether it is a directory; also true when that cannot be found out now. */
export function isDirectoryAt(directory: number, name: string): boolean {
  try {
    return statIn(directory, name)?.isDirectory() ?? false;
  } catch {
    return true;
  }
}

/** Why a name that is not a file is left out. */
export function aKind(kind: Kind): string {
  return kind === "unknown" ? "neither file nor directory" : `a ${kind}`;
}

/** Temporary failures; EAGAIN: another process has a lease (fcntl(2), F_SETLEASE). */
const TRANSIENT: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOMEM", "EINTR", "EAGAIN"]);

/** True for an error code after which the same call may soon succeed. */
export function isTransient(code: string): boolean {
  return TRANSIENT.has(code);
}
