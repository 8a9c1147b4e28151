/**
 * Modes as pmxcfs's FUSE mount shows them: owner root, group www-data, nothing for others except
 * to walk through directories and to read container configurations; below priv nothing for the
 * group either. C counterpart: pmxcfs.c, cfs_fuse_getattr; cfs-plug-memdb.c, tree_entry_stat.
 */

/** vps.mount, 101.start, ...: OpenVZ's scripts, the only files that may be run. */
const OPENVZ_SCRIPT = /^(?:vps|[1-9][0-9]*)\.(?:mount|umount|start|stop|premount|postumount)$/;

/** priv, priv/..., nodes/NODE/priv, nodes/NODE/priv/... */
function isPrivate(path: readonly string[]): boolean {
  return path[0] === "priv" || (path[0] === "nodes" && path[2] === "priv");
}

/** Permission bits of an entry, from the names on the way to it. */
export function mountMode(path: readonly string[], kind: "file" | "directory"): number {
  if (isPrivate(path)) return kind === "directory" ? 0o700 : 0o600;
  if (kind === "directory") return 0o755;
  const script = OPENVZ_SCRIPT.test(path.at(-1) ?? "") ? 0o100 : 0;
  const forAll = path[0] === "nodes" && path[2] === "lxc";
  return (forAll ? 0o644 : 0o640) | script;
}
