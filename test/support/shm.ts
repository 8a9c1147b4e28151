/**
 * The ring directories of a server in /dev/shm. Their names begin with
 * `qb-<server pid>-<client pid>-<fd>-` (libqb ipc_setup.c), so a test finds those of its servers.
 */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Directory } from "../../src/platform/files.ts";
import { SHM } from "../../src/shm/ring-directory.ts";
import { eventually } from "./eventually.ts";

/** /dev/shm, open; throws if that fails. The caller disposes of it. */
export function openShm(): Directory {
  const opened = Directory.open(SHM);
  if (typeof opened === "number") throw new Error(`${SHM}: errno ${-opened}`);
  return opened;
}

/** Names of the ring directories whose server is one of `pids`. */
export function ringDirectories(...pids: number[]): string[] {
  return readdirSync(SHM).filter((name) => pids.some((pid) => name.startsWith(`qb-${pid}-`)));
}

/** Removes the ring directories of servers that have ended; returns their names. */
export function removeRings(...pids: number[]): string[] {
  const names = ringDirectories(...pids);
  for (const name of names) rmSync(join(SHM, name), { recursive: true, force: true });
  return names;
}

/** Resolves when these servers have no ring directory; throws with the names of those left. */
export async function noRingsLeft(...pids: number[]): Promise<void> {
  await eventually(`no ring directories of ${pids.join(", ")}`, () => {
    return ringDirectories(...pids).length === 0;
  }).catch((error: Error) => {
    throw new Error(`${error.message}; left: ${ringDirectories(...pids).join(" ")}`);
  });
}
