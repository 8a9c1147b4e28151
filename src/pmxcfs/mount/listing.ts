/**
 * A directory's listing: `.`, `..`, in the root the special entries, then the tree's entries by
 * node id. Offsets are derived from ids, so a server that takes over the mount continues a listing
 * at the right entry.
 */
import type { Entry } from "../state/memdb.ts";
import type { Listed } from "./handles.ts";
import { NodeTable } from "./node-table.ts";
import type { Special } from "./special.ts";

/** DT_* of readdir(3). */
const FileType = { UNKNOWN: 0, DIRECTORY: 4, FILE: 8, LINK: 10 } as const;

/** Offsets of tree entries begin here; `.`, `..` and the special entries come before. */
const FIRST_OFFSET = 64;
const FIRST_SPECIAL_OFFSET = 3;

const NO_SPECIAL: ReadonlyMap<string, Special> = new Map();

/** Longest name that the kernel takes (FUSE_NAME_LOW_MAX); with a longer one, READDIR is an EIO. */
const MOST_NAME_BYTES = 1024;

/** False for names that no path can contain; a foreign database may hold such names. */
export function isReachable(name: string): boolean {
  if (name.length > MOST_NAME_BYTES) return false;
  return name !== "" && name !== "." && name !== ".." && !name.includes("/");
}

/**
 * `entry`: undefined for a directory that is gone, which lists nothing, as in C. `special`: the
 * special entries, for the root. They hide entries of the same names.
 */
export function listDirectory(
  nodes: NodeTable,
  entry: Entry | undefined,
  special: ReadonlyMap<string, Special> = NO_SPECIAL,
): Listed[] {
  if (entry === undefined) return [];
  const listed: Listed[] = [
    { name: ".", node: nodes.idOf(entry), type: FileType.DIRECTORY, offset: 1 },
    { name: "..", node: nodes.idOf(entry.parent ?? entry), type: FileType.DIRECTORY, offset: 2 },
  ];
  for (const { name, kind } of special.values()) {
    const index = listed.length - 2;
    const type = kind === "link" ? FileType.LINK : FileType.UNKNOWN;
    const offset = FIRST_SPECIAL_OFFSET + index;
    listed.push({ name, node: NodeTable.specialId(index), type, offset });
  }
  const children: Listed[] = [];
  for (const [name, child] of entry.children) {
    if (!isReachable(name) || special.has(name)) continue;
    const node = nodes.idOf(child);
    const type = child.kind === "directory" ? FileType.DIRECTORY : FileType.FILE;
    children.push({ name, node, type, offset: FIRST_OFFSET + node });
  }
  return listed.concat(children.toSorted((a, b) => a.offset - b.offset));
}

/** Index of a listing's first entry whose offset is above `offset`. */
export function indexAfter(listing: readonly Listed[], offset: number): number {
  let low = 0;
  let high = listing.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((listing[middle]?.offset ?? 0) <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
