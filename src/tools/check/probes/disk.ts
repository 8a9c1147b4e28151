/**
 * The file system of config.db: whether it has room and free inodes, and whether it can be written.
 */
import { dirname, resolve } from "node:path";
import { type Finding, found } from "../finding.ts";
import type { Space } from "../host.ts";
import type { Context } from "../probe.ts";
import { type Mount, parseMounts } from "../proc.ts";

const MiB = 1024 * 1024;
const ROOM_LIMIT_BYTES = 100 * MiB;
const INODES_LIMIT = 100;
/** A start of pmxcfs makes as many files: SQLite's -wal and -shm. */
const START_INODES = 2;
/** The kernel follows as many. */
const LINKS_FOLLOWED = 40;

function mib(bytes: number): number {
  return Math.round((bytes / MiB) * 10) / 10;
}

/** The path of the file that symlinks lead to: beside it are the -wal and our journal. */
export async function behindLinks({ machine }: Context, path: string): Promise<string> {
  let at = path;
  for (let links = 0; links < LINKS_FOLLOWED; links++) {
    const target = await machine.link(at);
    if (typeof target !== "string") break;
    at = resolve(dirname(at), target);
  }
  return at;
}

/** The mount that has this directory; undefined if the directory cannot be resolved. */
async function mountOf({ machine, left }: Context, directory: string): Promise<Mount | undefined> {
  const { code, out } = await machine.run(["realpath", "-e", directory], left());
  const text = await machine.text(`${machine.paths.proc}/self/mountinfo`);
  if (code !== 0 || typeof text !== "string") return undefined;
  const path = `${out.trim()}/`;
  const above = parseMounts(text).filter(({ point }) =>
    path.startsWith(point.replace(/\/?$/, "/")),
  );
  // Of several at one point, the last one is visible.
  return above.reduce<Mount | undefined>((best, mount) => {
    return mount.point.length >= (best?.point.length ?? 0) ? mount : best;
  }, undefined);
}

/** A mount that is read-only in this namespace alone does not prevent the server's writes. */
function readOnly(path: string, mount: Mount | undefined): Finding[] {
  if (mount === undefined || !mount.readOnly || mount.readOnlyHere) return [];
  return [found("DB_READ_ONLY", { path, point: mount.point, type: mount.type })];
}

/** The path of the database, its directory, and the point where its file system is mounted. */
type Place = Readonly<Record<"path" | "directory" | "point", string>>;

/** pmxcfs runs as root, and does not start when even root has no room. */
function room(place: Place, { freeBytes, rootFreeBytes }: Space): Finding[] {
  if (freeBytes >= ROOM_LIMIT_BYTES) return [];
  const values = { ...place, free: mib(freeBytes), limit: mib(ROOM_LIMIT_BYTES) };
  return [found("DB_DISK_LOW", values, { severity: rootFreeBytes < MiB ? "fail" : "warn" })];
}

/** File systems that make inodes as they are needed report 0 of 0. */
function inodes(place: Place, { inodes: total, freeInodes: free }: Space): Finding[] {
  if (total === 0 || free >= INODES_LIMIT) return [];
  const values = { ...place, free, total, limit: INODES_LIMIT };
  return [found("DB_INODES_LOW", values, { severity: free < START_INODES ? "fail" : "warn" })];
}

/** Findings about the file system of `path`, whether or not the file exists. */
export async function diskFindings(context: Context, path: string): Promise<Finding[]> {
  const { machine } = context;
  const { lockFile } = machine.paths;
  const directory = dirname(await behindLinks(context, path));
  const beside = dirname(lockFile);
  const mount = await mountOf(context, directory);
  const findings = readOnly(path, mount);
  // Behind a symlink the database is elsewhere, and its lock is not.
  if (beside !== directory) findings.push(...readOnly(lockFile, await mountOf(context, beside)));
  const space = await machine.space(directory);
  if (typeof space === "number") return findings;
  const place = { path, directory, point: mount?.point ?? "/" };
  return [...findings, ...room(place, space), ...inodes(place, space)];
}
