/**
 * Which paths only root may read, by request and through the mount: one rule for both. Also the
 * names of the mount's special entries.
 */

/** The names in a path; slashes that are doubled, leading or trailing do not count. */
export function pathParts(path: string): string[] {
  return path.split("/").filter((part) => part !== "");
}

/**
 * True for `priv`, everything below it, and the same below `nodes/NAME/`, however the slashes are
 * written (in C doubled ones get around it). C: path_is_private.
 */
export function pathIsPrivate(path: string): boolean {
  // Most paths are public, and the mount asks at each stat.
  if (!path.includes("priv")) return false;
  return partsArePrivate(pathParts(path));
}

/** The same for the names in a path. */
function partsArePrivate(parts: readonly string[]): boolean {
  return parts[0] === "priv" || (parts[0] === "nodes" && parts[2] === "priv");
}

/** Entries that the mount adds at the top; in a copy of the tree they are no files. */
export const mountMadeNames: ReadonlySet<string> = new Set([
  ".clusterlog",
  ".debug",
  ".members",
  ".rrd",
  ".version",
  ".vmlist",
]);
