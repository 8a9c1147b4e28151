/**
 * Ring directories in /dev/shm: whose they are and whether any were left. Their names begin
 * `qb-<server pid>-<client pid>-<fd>-` (libqb ipc_setup.c), so a test looks only at its own.
 */
import { readdirSync } from "node:fs";
import { eventually } from "./eventually.ts";

const SHM = "/dev/shm";

/** Names of the ring directories whose server is one of `pids`. */
export function ringDirectories(...pids: number[]): string[] {
  return readdirSync(SHM).filter((name) => pids.some((pid) => name.startsWith(`qb-${pid}-`)));
}

/** Resolves once nothing of these servers is left in /dev/shm; names what is, when it stays. */
export async function noRingsLeft(...pids: number[]): Promise<void> {
  await eventually(`no ring directories of ${pids.join(", ")}`, () => {
    return ringDirectories(...pids).length === 0;
  }).catch((error: Error) => {
    throw new Error(`${error.message}; left: ${ringDirectories(...pids).join(" ")}`);
  });
}
