/** The updates that a leader sends to an empty node. */
import type { SyncEntry } from "../../src/pmxcfs/store/sync-plan.ts";

const STAMP = { writer: 2, mtime: 1_700_000_000 };

/** Row 0 and `count` files of `bytes` bytes, every fourth of them a guest's. */
export function filesOfLeader(count: number, bytes: number): SyncEntry[] {
  const root = { ...STAMP, inode: 0, parent: 0, version: 10 + count, type: 4, name: "" };
  const entries: SyncEntry[] = [{ ...root, data: new Uint8Array(0) }];
  const add = (inode: number, parent: number, name: string, data?: Uint8Array): void => {
    const type = data === undefined ? 4 : 8;
    const row = { ...STAMP, inode, parent, version: inode, type, name };
    entries.push({ ...row, data: data ?? new Uint8Array(0) });
  };
  add(2, 0, "nodes");
  add(3, 2, "one");
  add(4, 3, "qemu-server");
  for (let at = 0; at < count; at++) {
    const data = Buffer.alloc(bytes, 65 + (at % 26));
    if (at % 4 === 0) add(5 + at, 4, `${100 + at}.conf`, data);
    else add(5 + at, 0, `file-${at}`, data);
  }
  return entries;
}
