/**
 * Permission bits of an entry as the mount shows them, from its path alone; nothing stores any.
 * The mount, exported files and `config ls -l` have them from here. C counterpart: pmxcfs.c,
 * cfs_fuse_getattr; cfs-plug-memdb.c, tree_entry_stat.
 */
import { pathIsPrivate } from "./private-path.ts";

/** vps.mount, 101.start, ...: OpenVZ's scripts, the only files that may be run. */
const OPENVZ_SCRIPT =
  /(?:^|\/)(?:vps|[1-9][0-9]*)\.(?:mount|umount|start|stop|premount|postumount)$/;

/** Of a quorate node; without quorum all bits for writing are off. */
export function permissionsOf(path: string, kind: "file" | "directory"): number {
  const isPrivate = pathIsPrivate(path);
  if (kind === "directory") return isPrivate ? 0o700 : 0o755;
  return (isPrivate ? 0o600 : 0o640) | (OPENVZ_SCRIPT.test(path) ? 0o100 : 0);
}
