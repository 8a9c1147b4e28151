/** Splits paths of the tree: latin1; leading, trailing and doubled slashes are ignored. */

/** The path without redundant slashes. */
export function normalPath(path: string): string {
  const plain = !path.startsWith("/") && !path.endsWith("/") && !path.includes("//");
  return plain ? path : path.split("/").filter(Boolean).join("/");
}

/** The directory of a normal path; "" for the root. */
export function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}

/** The last name of a normal path; "" for the root. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** True for a name that no entry may have. */
export function isBadName(name: string): boolean {
  return name === "" || name === "." || name === "..";
}
