/**
 * What a killed server leaves in /dev/shm: directories of six files that no client can remove.
 * Swept at start, and only those that bear our service's name and a dead server's pid (or our
 * own, which a container's new process easily gets again).
 */
import { readdirSync } from "node:fs";
import { ringFileNames } from "../../shm/ring-directory.ts";
import type { Directory } from "../../platform/files.ts";
import { isAlive } from "../../platform/processes.ts";

/** `qb-<server pid>-<client pid>-<descriptor>-<random>` (ipc_setup.c). */
const DIRECTORY_NAME = /^qb-([1-9][0-9]{0,9})-[0-9]+-[0-9]+-[A-Za-z0-9]+$/;

/** Ours is twelve hex digits, libqb's six letters or digits. */
const OUR_SUFFIX = /-[0-9a-f]{12}$/;

/**
 * Removes ring directories of dead servers of `service` below `path`, which `parent` has open;
 * how many. A directory with any other file in it is left alone.
 */
export function sweepDeadServers(path: string, parent: Directory, service: string): number {
  const ours = new Set(ringFileNames(service));
  let removed = 0;
  for (const name of readdirSync(path)) {
    const pid = Number(DIRECTORY_NAME.exec(name)?.[1]);
    if (!Number.isInteger(pid) || (pid !== process.pid && isAlive(pid))) continue;
    if (removeIfOurs(path, parent, name, ours)) removed++;
  }
  return removed;
}

function removeIfOurs(
  path: string,
  parent: Directory,
  name: string,
  ours: ReadonlySet<string>,
): boolean {
  const directory = parent.openSub(name);
  if (typeof directory === "number") return false;
  using open = directory;
  let files: string[];
  try {
    files = readdirSync(`${path}/${name}`);
  } catch {
    return false;
  }
  // An empty one may be another service's, but of this program: a client unlinked the files.
  if (files.length === 0 && !OUR_SUFFIX.test(name)) return false;
  if (!files.every((file) => ours.has(file))) return false;
  for (const file of files) open.unlink(file);
  return parent.removeSub(name) === 0;
}
