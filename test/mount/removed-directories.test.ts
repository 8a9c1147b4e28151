/** Directories that are removed while the kernel still uses them: a cached name, a descriptor. */
import { expect, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { ROOT_NODE } from "../../src/fuse/file-system.ts";
import type { PveFileSystem } from "../../src/pmxcfs/mount/file-system.ts";
import type { TreeCommand } from "../../src/pmxcfs/state/tree-command.ts";
import type { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";
import { fill, TempDirectory, textOf } from "../pmxcfs/support.ts";
import { at, BY, fileSystemOf, newTree, nodeAt, opened } from "./served-tree.ts";

/** What another node does. */
function elsewhere(tree: TreeStore, commands: readonly TreeCommand[]): void {
  for (const command of commands) {
    expect(tree.apply(command, { writer: 2, time: 5 })).toBeGreaterThanOrEqual(0);
  }
}

function namesIn(fs: PveFileSystem, node: number): string[] {
  const names: string[] = [];
  const handle = opened(fs.opendir(node));
  fs.readdir(node, handle, 0, (name) => names.push(name) > 0);
  fs.releasedir(node, handle);
  return names;
}

/** A tree with an empty directory `d`, and its node. */
function withDirectory(directory: TempDirectory) {
  const tree = newTree(directory);
  fill(tree.memdb, { "d/f": "" });
  elsewhere(tree, [{ kind: "remove", path: "d/f" }]);
  const fs = fileSystemOf(tree);
  return { tree, fs, d: nodeAt(fs, at("d")) };
}

test("fstat and a listing of a directory that this node removed are ENOENT, as in C", async () => {
  using directory = new TempDirectory();
  const { tree, fs, d } = withDirectory(directory);
  using _tree = tree;
  const handle = opened(fs.opendir(d));
  expect(await fs.rmdir(ROOT_NODE, "d", BY)).toBe(0);
  // Its path is another directory's now.
  expect(await fs.mkdir(ROOT_NODE, "d", BY)).toMatchObject({ nlink: 2 });
  expect(await fs.mkdir(nodeAt(fs, at("d")), "e", BY)).toMatchObject({ nlink: 2 });
  expect(fs.getattr(d, undefined)).toBe(Errno.ENOENT);
  expect(fs.opendir(d)).toBe(Errno.ENOENT);
  expect(fs.lookup(d, "e")).toBe(Errno.ENOENT);
  const names: string[] = [];
  expect(fs.readdir(d, handle, 0, (name) => names.push(name) > 0)).toBe(0);
  expect(names).toEqual([]);
});

test("a directory that another node removed is gone here, too", () => {
  using directory = new TempDirectory();
  const { tree, fs, d } = withDirectory(directory);
  using _tree = tree;
  elsewhere(tree, [{ kind: "remove", path: "d" }]);
  expect(fs.getattr(d, undefined)).toBe(Errno.ENOENT);
  expect(fs.opendir(d)).toBe(Errno.ENOENT);
  expect(fs.lookup(d, "f")).toBe(Errno.ENOENT);
  // A file at its path is not the directory.
  elsewhere(tree, [{ kind: "create", path: "d" }]);
  expect(fs.getattr(d, undefined)).toBe(Errno.ENOENT);
  expect(fs.lookup(d, "f")).toBe(Errno.ENOENT);
});

test("a directory that another node removed and made again is used by its path", async () => {
  using directory = new TempDirectory();
  const { tree, fs, d } = withDirectory(directory);
  using _tree = tree;
  elsewhere(tree, [
    { kind: "remove", path: "d" },
    { kind: "mkdir", path: "d" },
    { kind: "create", path: "d/f" },
    { kind: "write", path: "d/f", offset: 0, data: Buffer.from("four") },
    { kind: "utime", path: "d", mtime: 77 },
  ]);
  expect(fs.getattr(d, undefined)).toMatchObject({ node: d, nlink: 2, mtime: 77 });
  expect(namesIn(fs, d)).toEqual([".", "..", "f"]);
  const file = nodeAt(fs, { parent: d, name: "f" });
  expect(textOf(fs.read(file, 0, 0, 9))).toBe("four");
  expect(fs.lookup(file, ".")).toMatchObject({ size: 4 });
  expect(fs.lookup(d, "..")).toMatchObject({ node: ROOT_NODE });
  expect(await fs.create(d, "g", BY)).toMatchObject({ attributes: { size: 0 } });
  expect(await fs.unlink(d, "f", BY)).toBe(0);
  expect(await fs.rename({ parent: d, name: "g" }, { parent: d, name: "h" }, 0, BY)).toBe(0);
  expect([...(tree.memdb.find("d")?.children.keys() ?? [])]).toEqual(["h"]);
});

test("the next server takes a directory that it found by its id to its own path only", () => {
  using directory = new TempDirectory();
  const { tree, d } = withDirectory(directory);
  using _tree = tree;
  const next = fileSystemOf(tree);
  opened(next.opendir(d));
  elsewhere(tree, [{ kind: "remove", path: "d" }]);
  expect(next.getattr(d, undefined)).toBe(Errno.ENOENT);
  expect(next.lookup(d, "local")).toBe(Errno.ENOENT);
  elsewhere(tree, [{ kind: "mkdir", path: "d" }]);
  expect(next.getattr(d, undefined)).toMatchObject({ nlink: 2 });
});
