/**
 * The processes that use a database, from /proc/locks (proc(5)): SQLite's readers and writers lock
 * bytes of its -shm file. This process is left out.
 */
import { readFileSync, statSync } from "node:fs";
import { lockHoldersIn } from "../../platform/proc-locks.ts";
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
  const pids = new Set(lockHoldersIn(table, inode));
  pids.delete(process.pid);
  return [...pids];
}
