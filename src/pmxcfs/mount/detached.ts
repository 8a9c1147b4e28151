/**
 * Files that were removed or replaced while they were open: processes that have them open go on
 * with their content, which is in memory only. C renames them to .fuse_hidden instead, visible to
 * all and left behind by a crash.
 */
import { Errno } from "../../base/errno.ts";
import { CfsLimits } from "../../base/limits.ts";
import type { Node } from "./node-table.ts";

/** What a file's node reads. A file that a C node grew from nothing has a size and no bytes. */
export function contentOf({ detached, entry }: Node): Uint8Array {
  if (detached !== undefined) return detached.bytes;
  const { bytes, size } = entry;
  return bytes.length < size ? new Uint8Array(size) : bytes;
}

/** Cuts or grows a removed file. ENOENT: a directory; EFBIG: over 1 MiB. */
export function resizeDetached(node: Node, size: number): 0 | Errno {
  if (node.entry.kind !== "file") return Errno.ENOENT;
  if (size > CfsLimits.fileBytes) return Errno.EFBIG;
  const bytes = new Uint8Array(size);
  bytes.set(contentOf(node).subarray(0, size));
  node.detached = { bytes, mtime: Math.floor(Date.now() / 1000) };
  return 0;
}

/** Writes to a removed file: bytes written, or as `resizeDetached`. */
export function writeDetached(node: Node, offset: number, written: Uint8Array): number {
  const end = offset + written.length;
  const resized = resizeDetached(node, Math.max(end, contentOf(node).length));
  if (resized < 0) return resized;
  node.detached?.bytes.set(written, offset);
  return written.length;
}
