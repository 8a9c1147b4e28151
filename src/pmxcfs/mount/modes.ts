/**
 * Modes as the mount shows them: from path, kind and quorum alone; nothing stores one. C
 * counterpart: pmxcfs.c, cfs_fuse_getattr; cfs-plug-memdb.c, tree_entry_stat.
 */
import { pathIsPrivate } from "../state/private-path.ts";

export const S_IFMT = 0o170_000;
export const S_IFDIR = 0o040_000;
export const S_IFREG = 0o100_000;
export const S_IFLNK = 0o120_000;

/** vps.mount, 101.start, ...: OpenVZ's scripts, the only files that may be run. */
const OPENVZ_SCRIPT =
  /(?:^|\/)(?:vps|[1-9][0-9]*)\.(?:mount|umount|start|stop|premount|postumount)$/;

/** The only modes that chmod takes: that of a file, whatever the entry is. */
export function acceptedMode(path: string): number {
  return pathIsPrivate(path) ? 0o600 : 0o640;
}

/** Type and permission bits of an entry of the tree. Without quorum nobody may write. */
export function modeOf(path: string, kind: "file" | "directory", quorate: boolean): number {
  const isPrivate = pathIsPrivate(path);
  const writable = quorate ? 0o777 : 0o555;
  if (kind === "directory") return S_IFDIR | ((isPrivate ? 0o700 : 0o755) & writable);
  const script = OPENVZ_SCRIPT.test(path) ? 0o100 : 0;
  return S_IFREG | (((isPrivate ? 0o600 : 0o640) | script) & writable);
}
