/** statfs of the mount, with the C server's limits of the whole tree (memdb.h). */
import { CfsLimits } from "../../base/limits.ts";
import type { FileSystemFigures } from "../../fuse/file-system.ts";
import type { Memdb } from "../state/memdb.ts";

const BLOCK_BYTES = 4096;
const BLOCKS = CfsLimits.treeBytes / BLOCK_BYTES;
/** f_namemax of the C server, although names may have up to 1024 bytes. */
const NAME_LENGTH = 256;

/** What is used and free; the root counts as a file. */
export function figuresOf({ fileBytes, entryCount }: Memdb): FileSystemFigures {
  const used = Math.ceil(fileBytes / BLOCK_BYTES);
  return {
    blockSize: BLOCK_BYTES,
    blocks: BLOCKS,
    blocksFree: Math.max(0, BLOCKS - used),
    files: CfsLimits.treeInodes,
    filesFree: Math.max(0, CfsLimits.treeInodes - entryCount - 1),
    nameLength: NAME_LENGTH,
  };
}
