/**
 * A path for a listening unix socket: a socket that a dead server left there is removed; one with a
 * live server, and anything that is no socket, is left alone.
 */
import { lstatSync, rmSync } from "node:fs";

async function answers(path: string): Promise<boolean> {
  try {
    const socket = await Bun.connect({ unix: path, socket: { data() {} } });
    socket.terminate();
    return true;
  } catch {
    return false;
  }
}

/** Clears `path` for a new socket; a string says why it cannot be used. */
export async function makeWay(path: string): Promise<string | undefined> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  if (!found.isSocket()) return `${path} is there already, and is no socket`;
  if (await answers(path)) return `somebody answers on ${path} already`;
  rmSync(path, { force: true });
  return undefined;
}

/**
 * Runs `listen` with umask `mask`, so that the socket is never open to more users, not even
 * briefly.
 */
export function withUmask<T>(mask: number, listen: () => T): T {
  const before = process.umask(mask);
  try {
    return listen();
  } finally {
    process.umask(before);
  }
}
