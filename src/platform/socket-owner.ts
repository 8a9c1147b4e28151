/**
 * Finds the process that listens on a service's name: /proc/net/unix has the socket's inode,
 * /proc/PID/fd the owner. Used only in error messages, so failures are ignored.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { commandOf } from "./processes.ts";
import { isAbstractName, parseUnixSockets } from "./unix-sockets.ts";

export interface SocketOwner {
  readonly pid: number;
  readonly command: string;
}

/** The sockets that listen on this name, in the form of the links in /proc/PID/fd. */
function listeningSockets(table: string, name: string): Set<string> {
  const sockets = new Set<string>();
  for (const { listening, path, inode } of parseUnixSockets(table)) {
    if (!listening) continue;
    if (isAbstractName(path, name) || path === `/run/${name}`) sockets.add(`socket:[${inode}]`);
  }
  return sockets;
}

function holds(pid: string, sockets: ReadonlySet<string>): boolean {
  try {
    const directory = `/proc/${pid}/fd`;
    return readdirSync(directory).some((fd) => sockets.has(readlinkSync(`${directory}/${fd}`)));
  } catch {
    return false;
  }
}

/** The process that listens on `name`; undefined if there is none or it cannot be seen. */
export function findSocketOwner(name: string): SocketOwner | undefined {
  try {
    const sockets = listeningSockets(readFileSync("/proc/net/unix", "latin1"), name);
    if (sockets.size === 0) return undefined;
    const pid = readdirSync("/proc").find(
      (entry) => /^[0-9]+$/.test(entry) && holds(entry, sockets),
    );
    if (pid === undefined) return undefined;
    return { pid: Number(pid), command: commandOf(Number(pid)) };
  } catch {
    return undefined;
  }
}
