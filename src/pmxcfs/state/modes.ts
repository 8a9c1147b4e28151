/**
 * Permission bits of an entry as the mount shows them: computed from its path alone, stored
 * nowhere. The mount, exported files and `config ls -l` use this. C counterpart: pmxcfs.c,
 * cfs_fuse_getattr; cfs-plug-memdb.c, tree_entry_stat.
 */
import { pathIsPrivate } from "./private-path.ts";

/** vps.mount, 101.start, ...: OpenVZ's scripts, the only files that are executable. */
const OPENVZ_SCRIPT =
  /(?:^|\/)(?:vps|[1-9][0-9]*)\.(?:mount|umount|start|stop|premount|postumount)$/;

/** For a quorate node; without quorum all write bits are off. */
export function permissionsOf(path: string, kind: "file" | "directory"): number {
  const isPrivate = pathIsPrivate(path);
  if (kind === "directory") return isPrivate ? 0o700 : 0o755;
  return (isPrivate ? 0o600 : 0o640) | (OPENVZ_SCRIPT.test(path) ? 0o100 : 0);
}
