/**
 * Permission bits of an entry, computed from its path and kind, never stored. Used by the mount,
 * for exported files and by `config ls -l`. C counterpart: pmxcfs.c, cfs_fuse_getattr;
 * cfs-plug-memdb.c, tree_entry_stat.
 */
import { pathIsPrivate } from "./private-path.ts";

/** vps.mount, 101.start, ...: OpenVZ's scripts, the only files that are executable. */
const OPENVZ_SCRIPT =
  /(?:^|\/)(?:vps|[1-9][0-9]*)\.(?:mount|umount|start|stop|premount|postumount)$/;

/** Permission bits on a quorate node; without quorum the mount clears the write bits. */
export function permissionsOf(path: string, kind: "file" | "directory"): number {
  const isPrivate = pathIsPrivate(path);
  if (kind === "directory") return isPrivate ? 0o700 : 0o755;
  return (isPrivate ? 0o600 : 0o640) | (OPENVZ_SCRIPT.test(path) ? 0o100 : 0);
}
