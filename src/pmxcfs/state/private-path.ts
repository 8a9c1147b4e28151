/** Which paths only root may read, by request and through the mount: the one rule for both. */

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
  const parts = pathParts(path);
  return parts[0] === "priv" || (parts[0] === "nodes" && parts[2] === "priv");
}
