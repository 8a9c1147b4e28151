/**
 * Modes as the mount shows them: derived from path, kind and quorum, never stored. C counterpart:
 * pmxcfs.c, cfs_fuse_getattr; cfs-plug-memdb.c, tree_entry_stat.
 */
import type { AttributeChange } from "../../fuse/file-system.ts";
import { permissionsOf } from "../state/modes.ts";
import { pathIsPrivate } from "../state/private-path.ts";

export const S_IFMT = 0o170_000;
export const S_IFDIR = 0o040_000;
export const S_IFREG = 0o100_000;
export const S_IFLNK = 0o120_000;

/** The only mode that chmod accepts: a file's, for directories too. */
function acceptedMode(path: string): number {
  return pathIsPrivate(path) ? 0o600 : 0o640;
}

/** False for chmod and chown to the values that it already has: accepted, and not stored. */
export function changesOwnership(
  { mode, uid, gid }: Pick<AttributeChange, "mode" | "uid" | "gid">,
  path: string,
  ownGid: number,
): boolean {
  if (mode !== undefined && (mode & 0o7777) !== acceptedMode(path)) return true;
  return (uid ?? 0) !== 0 || (gid ?? ownGid) !== ownGid;
}

/** Type and permission bits of an entry of the tree. Without quorum there are no write bits. */
export function modeOf(path: string, kind: "file" | "directory", quorate: boolean): number {
  const type = kind === "directory" ? S_IFDIR : S_IFREG;
  return type | (permissionsOf(path, kind) & (quorate ? 0o777 : 0o555));
}
