/**
 * Which paths only root may read, by request and through the mount: the one rule for both. And the
 * names that the mount makes itself.
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

/** The same of the names in a path. */
function partsArePrivate(parts: readonly string[]): boolean {
  return parts[0] === "priv" || (parts[0] === "nodes" && parts[2] === "priv");
}

/** What the mount shows at the top by itself; in a copy of it these are no files. */
export const mountMadeNames: ReadonlySet<string> = new Set([
  ".clusterlog",
  ".debug",
  ".members",
  ".rrd",
  ".version",
  ".vmlist",
]);
