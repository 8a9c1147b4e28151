/**
 * A listening unix socket at a path: a socket that a dead server left there is removed, one that
 * somebody answers on is left alone, and so is anything that is no socket. The directory is opened
 * once; everything else goes through its descriptor, so that who owns a directory on the way leads
 * no step of ours elsewhere.
 */
import { lstatSync } from "node:fs";
import { basename } from "node:path";
import { errorText } from "../base/error-text.ts";
import { openParent } from "../platform/atomic-file.ts";
import type { Directory } from "../platform/files.ts";

/** Who may connect: the umask for the bind, since a mode set afterwards is set by path. */
export const SocketMask = {
  /** This user. */
  OWNER: 0o177,
  /** And its group. */
  GROUP: 0o117,
} as const;

/** What `Bun.listen` returns of use here. */
export interface Stoppable {
  stop(closeActiveConnections?: boolean): void;
}

export interface UnixListener {
  /** Ends it, its connections and its name. */
  close(): void;
}

async function answers(path: string): Promise<boolean> {
  try {
    const socket = await Bun.connect({ unix: path, socket: { data() {} } });
    socket.terminate();
    return true;
  } catch {
    return false;
  }
}

/** Makes way for a socket in an open directory; a string says why it cannot be had. */
async function makeWay(directory: Directory, path: string): Promise<string | undefined> {
  const name = basename(path);
  const opened = `/proc/self/fd/${directory.fd}/${name}`;
  const found = lstatSync(opened, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  if (!found.isSocket()) return `${path} is there already, and is no socket`;
  if (await answers(opened)) return `somebody answers on ${path} already`;
  directory.unlink(name);
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
 * Listens at `path` with what `listen` makes of the path that it is given. A string says why that
 * cannot be.
 */
export async function listenAtPath(
  path: string,
  mask: (typeof SocketMask)[keyof typeof SocketMask],
  listen: (opened: string) => Stoppable,
): Promise<UnixListener | string> {
  const directory = openParent(path);
  if (typeof directory === "string") return `cannot listen on ${path}: ${directory}`;
  try {
    const occupied = await makeWay(directory, path);
    if (occupied === undefined) {
      const name = basename(path);
      const listener = withUmask(mask, () => listen(`/proc/self/fd/${directory.fd}/${name}`));
      return {
        close() {
          // Removes the name by the path it was given: the descriptor is open until then.
          listener.stop(true);
          directory.unlink(name);
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
