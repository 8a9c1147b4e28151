/**
 * The processes that use a database, from /proc/locks (proc(5)): SQLite's readers and writers lock
 * bytes of its -shm file. This process is left out.
 */
import { readFileSync, statSync } from "node:fs";
import { behindLinks } from "./sqlite/input-file.ts";

/** Pids of other processes with a lock on the -shm of `database`, in the order of /proc/locks. */
export function lockHolders(database: string): number[] {
  const inode = statSync(`${behindLinks(database)}-shm`, { throwIfNoEntry: false })?.ino;
  if (inode === undefined) return [];
  let table: string;
  try {
    table = readFileSync("/proc/locks", "latin1");
  } catch {
    return [];
  }
  const pids = new Set<number>();
  for (const line of table.split("\n")) {
    // 1: POSIX  ADVISORY  READ 4711 08:01:1234 124 124; a waiter has "->" after the number.
    const words = line.split(/\s+/).filter((word) => word !== "->");
    const [pid = "", where = ""] = words.slice(4);
    if (where.split(":").at(2) === String(inode)) pids.add(Number(pid));
  }
  pids.delete(process.pid);
  return [...pids].filter((pid) => pid > 0);
}
