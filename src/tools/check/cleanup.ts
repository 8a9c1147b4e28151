/**
 * Ring directories that a killed server left in /dev/shm: which are ours to remove, and removing
 * them. Ours means that the files in them bear the service's name (or pmxcfs's); a directory whose
 * server lives, or whose files cannot be listed, is never touched. Removal goes through a
 * descriptor of the directory, so that nothing can be put in its place meanwhile.
 */
import { constants } from "node:fs";
import { open, readdir, rmdir, unlink } from "node:fs/promises";
import { errnoName, errnoOf } from "../../base/errno.ts";
import { Directory } from "../../platform/files.ts";
import { ringFileNames } from "../../shm/ring-directory.ts";
import { StaleDirectories } from "../../shm/stale-directories.ts";
import { clean } from "./finding.ts";
import type { Machine } from "./host.ts";
import { readRings, type RingDirectoryInfo } from "./rings.ts";

/** The name every PVE client knows (pmxcfs server.c). */
const PMXCFS_SERVICE = "pve2";

/** Dead directories of one kind, summed up. */
export interface DeadRings {
  readonly count: number;
  readonly bytes: number;
  readonly services: readonly string[];
  readonly rings: readonly RingDirectoryInfo[];
}

function sum(rings: readonly RingDirectoryInfo[]): DeadRings {
  const services = new Set(rings.flatMap((ring) => ring.service ?? []));
  const bytes = rings.reduce((total, ring) => total + ring.bytes, 0);
  return { count: rings.length, bytes, services: [...services].toSorted(), rings };
}

/** Directories whose server is gone: of `service` or pmxcfs, and of other libqb programs. */
export function deadRings(
  rings: readonly RingDirectoryInfo[],
  service: string,
): { ours: DeadRings; foreign: DeadRings } {
  const dead = rings.filter((ring) => ring.server === undefined);
  const family = new Set([service, PMXCFS_SERVICE]);
  const mine = (ring: RingDirectoryInfo) => ring.service !== undefined && family.has(ring.service);
  return { ours: sum(dead.filter(mine)), foreign: sum(dead.filter((ring) => !mine(ring))) };
}

/** The first pid namespace of a machine (PROC_PID_INIT_INO, linux/proc_ns.h). */
const INITIAL_PID_NAMESPACE = "pid:[4026531836]";

/**
 * Whether the pids in the names of ring directories mean processes that this one can see: in a
 * pid namespace of its own every server of the machine looks dead.
 */
export async function seesAllProcesses({ paths, link }: Machine): Promise<boolean> {
  return (await link(`${paths.proc}/self/ns/pid`)) === INITIAL_PID_NAMESPACE;
}

export interface Cleaning {
  readonly path: string;
  readonly bytes: number;
  /** Why it is still there; absent when it was (or, in a dry run, would be) removed. */
  readonly kept?: string;
}

export interface CleaningReport {
  /** Set when nothing was looked at. */
  readonly refused?: string;
  readonly cleanings: readonly Cleaning[];
}

async function removeRing(ring: RingDirectoryInfo): Promise<string | undefined> {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  try {
    await using directory = await open(ring.path, flags);
    // The kernel resolves this to the open directory itself, whatever its name means by now.
    const pinned = `/proc/self/fd/${directory.fd}`;
    const own = new Set(ringFileNames(ring.service ?? PMXCFS_SERVICE));
    const names = await readdir(pinned);
    const strange = names.find((name) => !own.has(name));
    if (strange !== undefined) return `it also holds ${clean(strange)}`;
    for (const name of names) await unlink(`${pinned}/${name}`);
    await rmdir(ring.path);
    return undefined;
  } catch (error) {
    return errnoName(errnoOf((error as NodeJS.ErrnoException).code));
  }
}

/** Removes (or with `dryRun` lists) what dead servers of `service` and of pmxcfs left. */
export async function cleanStale(
  machine: Machine,
  service: string,
  dryRun: boolean,
): Promise<CleaningReport> {
  const { shm, proc } = machine.paths;
  const { ours } = deadRings(await readRings(shm, proc), service);
  // A /dev/shm that is not shared with outside holds nothing that an end of the container would
  // not remove.
  if (!dryRun && !(await seesAllProcesses(machine))) {
    const refused =
      "this is another pid namespace than the machine's: run it outside, or --dry-run";
    return { refused, cleanings: [] };
  }
  const opened = Directory.open(shm);
  if (typeof opened === "number") return { refused: errnoName(opened), cleanings: [] };
  using directory = opened;
  const stale = new StaleDirectories(directory, shm, proc);
  const cleanings: Cleaning[] = [];
  for (const ring of ours.rings) {
    const isAlive = stale.livenessOf(ring.name) === "alive";
    const living = "a living process has it mapped, in another pid namespace";
    const kept = isAlive ? living : dryRun ? undefined : await removeRing(ring);
    cleanings.push({ path: ring.path, bytes: ring.bytes, ...(kept === undefined ? {} : { kept }) });
  }
  return { cleanings };
}
