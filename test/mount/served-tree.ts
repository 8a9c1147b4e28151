/** A tree in a config.db and the mount's file system over it, without a kernel. */
import { spyOn } from "bun:test";
import { silentLog } from "../../src/base/log.ts";
import { type Attributes, type Place, ROOT_NODE } from "../../src/fuse/file-system.ts";
import { PveFileSystem, type PveFileSystemOptions } from "../../src/pmxcfs/mount/file-system.ts";
import { GuestClashes } from "../../src/pmxcfs/mount/guest-clash.ts";
import { LocalReplicator } from "../../src/pmxcfs/replication/local.ts";
import { openTree } from "../../src/pmxcfs/store/open-tree.ts";
import type { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";
import type { TempDirectory } from "../pmxcfs/support.ts";

/** The process that asks. */
export const BY = { pid: 1, uid: 0, gid: 0, request: 0, signal: new AbortController().signal };

export function newTree(directory: TempDirectory): TreeStore {
  const tree = openTree({ file: directory.at("config.db"), log: silentLog });
  if (typeof tree === "string") throw new Error(tree);
  return tree;
}

export function localOf(tree: TreeStore): LocalReplicator {
  return new LocalReplicator({ tree, status: { set: () => 0 }, clusterLog: { add() {} } });
}

const text = (content: string) => () => Buffer.from(content);

/** The texts of the special files. */
export const TEXTS: PveFileSystemOptions["texts"] = {
  version: text("version"),
  members: text("members"),
  vmlist: text("vmlist"),
  clusterLog: text("log"),
  rrd: text("rrd"),
  debug: () => false,
  setDebug: () => {},
};

export function fileSystemOf(
  tree: TreeStore,
  options: Partial<PveFileSystemOptions> = {},
): PveFileSystem {
  return new PveFileSystem({
    memdb: tree.memdb,
    replicator: localOf(tree),
    texts: TEXTS,
    clashes: new GuestClashes(undefined, silentLog),
    nodeName: "pve1",
    gid: 33,
    ...options,
  });
}

/** A place in the root. */
export const at = (name: string): Place => ({ parent: ROOT_NODE, name });

/** The node at a place; its lookup is counted. */
export function nodeAt(fs: PveFileSystem, { parent, name }: Place): number {
  return (fs.lookup(parent, name) as Attributes).node;
}

/** The handle of a file or directory that was opened. */
export function opened(result: { readonly handle: number } | number): number {
  if (typeof result === "number") throw new Error(`errno ${result}`);
  return result.handle;
}

/** Lets the kernel's cache get this old, until `mock.restore()`. */
export function later(ms: number): void {
  const now = performance.now() + ms;
  spyOn(performance, "now").mockReturnValue(now);
}
