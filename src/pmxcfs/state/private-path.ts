/**
 * The rule for private paths, which only root may read, by request or through the mount. Also the
 * names of the mount's special files.
 */

/** The names in a path; leading, trailing and repeated slashes are ignored. */
export function pathParts(path: string): string[] {
  return path.split("/").filter((part) => part !== "");
}

/** Takes time linear in the length of the path, which a client chooses: up to 16 MiB. */
const PRIVATE = /^\/*(?:priv|nodes\/+[^/]+\/+priv)(?:\/|$)/;

/**
 * True for `priv` and everything below it, at the top and in `nodes/NAME/`, also with repeated
 * slashes (with which C's path_is_private can be evaded).
 */
export function pathIsPrivate(path: string): boolean {
  // Fast path: most paths are public, and the mount calls this for each stat.
  return path.includes("priv") && PRIVATE.test(path);
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
