/** Paths of the tree taken apart: latin1, slashes at the ends and doubled ones do not count. */

/** The path without needless slashes; itself when it has none. */
export function normalPath(path: string): string {
  const plain = !path.startsWith("/") && !path.endsWith("/") && !path.includes("//");
  return plain ? path : path.split("/").filter(Boolean).join("/");
}

/** Of a normal path: the part before its last name, "" in the root. */
export function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}

/** Of a normal path: its last name, "" for the root. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Names that no entry may have. */
export function isBadName(name: string): boolean {
  return name === "" || name === "." || name === "..";
}
