/**
 * The rule for private paths, which only root may read, by request or through the mount. Also the
 * names of the mount's special files.
 */

/** The names in a path; leading, trailing and repeated slashes are ignored. */
export function pathParts(path: string): string[] {
  return path.split("/").filter((part) => part !== "");
}

/**
 * True for `priv` and everything below it, at the top and in `nodes/NAME/`, also with repeated
 * slashes (with which C's path_is_private can be evaded).
 */
export function pathIsPrivate(path: string): boolean {
  // Fast path: most paths are public, and the mount calls this for each stat.
  if (!path.includes("priv")) return false;
  return partsArePrivate(pathParts(path));
}

function partsArePrivate(parts: readonly string[]): boolean {
  return parts[0] === "priv" || (parts[0] === "nodes" && parts[2] === "priv");
}

/** Files that the mount adds to the root; in a copy of the mount they are not part of the tree. */
export const mountMadeNames: ReadonlySet<string> = new Set([
  ".clusterlog",
  ".debug",
  ".members",
  ".rrd",
  ".version",
  ".vmlist",
]);
