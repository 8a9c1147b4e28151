/**
 * A listening unix socket at a path. A socket left there by a dead server is removed; one that a
 * process has, and any other file, is left alone. The directory is opened once, and all steps
 * use its descriptor, so that the owner of a parent directory cannot redirect them.
 */
import { lstatSync } from "node:fs";
import { basename } from "node:path";
import { errorText } from "../base/error-text.ts";
import { openParent } from "../platform/atomic-file.ts";
import { isBound } from "../platform/bound-socket.ts";
import { type Directory, latin1Name } from "../platform/files.ts";

/** Who may connect, as the umask for the bind: a chmod afterwards would go by path. */
export const SocketMask = {
  /** Only this user. */
  OWNER: 0o177,
  /** This user and its group. */
  GROUP: 0o117,
} as const;

/** The part of `Bun.listen`'s result that is used here. */
export interface Stoppable {
  stop(closeActiveConnections?: boolean): void;
}

export interface UnixListener {
  /** Ends it, its connections and its name. */
  close(): void;
}

/** Removes a stale socket at `path` from the open directory; a string says why that failed. */
function makeWay(directory: Directory, path: string): string | undefined {
  const name = basename(path);
  const opened = `/proc/self/fd/${directory.fd}/${name}`;
  const found = lstatSync(opened, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  if (!found.isSocket()) return `${path} exists and is not a socket`;
  // Whether a process has it shows only to a user who may write to it.
  const uid = process.geteuid?.() ?? 0;
  if (uid !== 0 && uid !== found.uid) return `${path} is the socket of another user`;
  if (isBound(opened)) return `another process already has the socket ${path}`;
  directory.unlink(latin1Name(name));
  return undefined;
}

function withUmask<T>(mask: number, bind: () => T): T {
  const before = process.umask(mask);
  try {
    return bind();
  } finally {
    process.umask(before);
  }
}

/**
 * Listens at `path`, by calling `listen` with an equivalent path. A string says why that failed.
 */
export async function listenAtPath(
  path: string,
  mask: (typeof SocketMask)[keyof typeof SocketMask],
  listen: (opened: string) => Stoppable,
): Promise<UnixListener | string> {
  const directory = openParent(path);
  if (typeof directory === "string") return `cannot listen on ${path}: ${directory}`;
  try {
    const occupied = makeWay(directory, path);
    if (occupied === undefined) {
      const name = basename(path);
      const listener = withUmask(mask, () => listen(`/proc/self/fd/${directory.fd}/${name}`));
      return {
        close() {
          // Bun removes the name by the path it got, for which the descriptor must still be open.
          listener.stop(true);
          directory.unlink(latin1Name(name));
          directory[Symbol.dispose]();
        },
      };
    }
    directory[Symbol.dispose]();
    return occupied;
  } catch (error) {
    directory[Symbol.dispose]();
    return `cannot listen on ${path}: ${errorText(error)}`;
  }
}
