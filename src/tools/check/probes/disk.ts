/** The file system of config.db: whether it has room, and whether it can be written. */
import { dirname } from "node:path";
import { type Finding, found } from "../finding.ts";
import type { Context } from "../probe.ts";
import { type Mount, parseMounts } from "../proc.ts";

const MiB = 1024 * 1024;
const ROOM_LIMIT_BYTES = 100 * MiB;

function mib(bytes: number): number {
  return Math.round((bytes / MiB) * 10) / 10;
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
async function readOnly(context: Context, path: string): Promise<Finding[]> {
  const mount = await mountOf(context, dirname(path));
  if (mount === undefined || !mount.readOnly || mount.readOnlyHere) return [];
  return [found("DB_READ_ONLY", { path, point: mount.point, type: mount.type })];
}

async function room({ machine }: Context, path: string): Promise<Finding[]> {
  const space = await machine.space(dirname(path));
  if (typeof space === "number" || space.freeBytes >= ROOM_LIMIT_BYTES) return [];
  const values = { path, free: mib(space.freeBytes), limit: mib(ROOM_LIMIT_BYTES) };
  const severity = space.freeBytes < MiB ? "fail" : "warn";
  return [found("DB_DISK_LOW", values, { severity })];
}

/** Findings about the file system of `path`, whether or not the file exists. */
export async function diskFindings(context: Context, path: string): Promise<Finding[]> {
  return [...(await readOnly(context, path)), ...(await room(context, path))];
}
