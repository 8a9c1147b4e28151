/**
 * Files that were removed or replaced while open: processes that have them open still read their
 * content and, if a process of this node removed them, write it, in memory only. The C server
 * renames such a file to .fuse_hidden instead, which everyone sees and a crash leaves in the tree.
 */
import { Errno } from "../../base/errno.ts";
import { CfsLimits } from "../../base/limits.ts";
import { unixSeconds } from "../../platform/clock.ts";
import { isStale, type Node } from "./node-table.ts";

/**
 * The content of a file's node. A file that truncate grew from empty on a C node has a size but no
 * bytes: it reads as zeros.
 */
export function contentOf({ detached, entry }: Node): Uint8Array {
  if (detached !== undefined) return detached.bytes;
  const { bytes, size } = entry;
  return bytes.length < size ? new Uint8Array(size) : bytes;
}

/**
 * Truncates or grows a removed file. ENOENT, as in C: another node removed it, so that the process
 * does not know that its change would be lost; also, it is a directory. EFBIG: over 1 MiB.
 */
export function resizeDetached(node: Node, size: number): 0 | Errno {
  if (node.entry.kind !== "file" || isStale(node)) return Errno.ENOENT;
  if (size > CfsLimits.fileBytes) return Errno.EFBIG;
  const bytes = new Uint8Array(size);
  bytes.set(contentOf(node).subarray(0, size));
  node.detached = { bytes, mtime: unixSeconds() };
  return 0;
}

/** Writes to a removed file: the bytes written, or an errno of `resizeDetached`. */
export function writeDetached(node: Node, offset: number, written: Uint8Array): number {
  const end = offset + written.length;
  const resized = resizeDetached(node, Math.max(end, contentOf(node).length));
  if (resized < 0) return resized;
  node.detached?.bytes.set(written, offset);
  return written.length;
}
