/**
 * Files and directories of the mount that are open while a sync replaces the tree. Inodes are
 * versions, so nodes that were apart may have given one inode to different entries.
 */
import { afterEach, expect, mock, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { drained } from "../../src/base/steps.ts";
import { ROOT_NODE } from "../../src/fuse/file-system.ts";
import type { PveFileSystem } from "../../src/pmxcfs/mount/file-system.ts";
import type { SyncEntry } from "../../src/pmxcfs/store/sync-plan.ts";
import type { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";
import { TempDirectory, textOf } from "../pmxcfs/support.ts";
import { at, BY, fileSystemOf, later, newTree, nodeAt } from "./served-tree.ts";

afterEach(() => {
  mock.restore();
});

const ORIGIN = { writer: 1, time: 1000 };
const DIRECTORY = 4;
const FILE = 8;

/** Makes files (text) and directories (undefined); returns their inodes by path. */
function made(tree: TreeStore, entries: Readonly<Record<string, string | undefined>>) {
  const inodes: Record<string, number> = {};
  for (const [path, content] of Object.entries(entries)) {
    const kind = content === undefined ? "mkdir" : "create";
    expect(tree.apply({ kind, path }, ORIGIN)).toBe(0);
    inodes[path] = tree.version;
    if (content === undefined) continue;
    const data = Buffer.from(content);
    expect(tree.apply({ kind: "write", path, offset: 0, data }, ORIGIN)).toBe(data.length);
  }
  return inodes;
}

/** Another node's entry; without `content` a directory. */
function theirs(inode = 0, parent = 0, name = "", content?: string): SyncEntry {
  const type = content === undefined ? DIRECTORY : FILE;
  const stamp = { version: inode + 1, writer: 2, mtime: 7 };
  return { ...stamp, inode, parent, type, name, data: Buffer.from(content ?? "") };
}

function synced(tree: TreeStore, updates: readonly SyncEntry[]): void {
  expect(drained(tree.commitSync([], updates))).toBe(true);
}

const START = { handle: 0, offset: 0 };

/** A tree of which a sync leaves `kept`; the inodes of the others are of other entries then. */
function divergedTree(directory: TempDirectory) {
  const tree = newTree(directory);
  const entries = { kept: "1", ours: "2", d: undefined, "d/f": "3" };
  const { kept, ours, d, "d/f": f } = made(tree, entries);
  const updates = [
    theirs(kept, 0, "kept", "new"),
    theirs(ours, 0, "theirs", "their two"),
    theirs(d, 0, "e"),
    theirs(f, d, "f", "their three"),
  ];
  return { tree, updates };
}

function nodesOf(fs: PveFileSystem) {
  const d = nodeAt(fs, at("d"));
  const f = nodeAt(fs, { parent: d, name: "f" });
  return { kept: nodeAt(fs, at("kept")), ours: nodeAt(fs, at("ours")), d, f };
}

function contents({ memdb }: TreeStore): readonly string[] {
  return ["theirs", "e/f"].map((path) => textOf(memdb.read(path) ?? Errno.ENOENT));
}

const THEIR_CONTENTS = ["their two", "their three"];

test("an open file that a sync takes away is not the one that has its inode then", async () => {
  using directory = new TempDirectory();
  const { tree, updates } = divergedTree(directory);
  using _tree = tree;
  const fs = fileSystemOf(tree);
  const { kept, ours, d, f } = nodesOf(fs);
  synced(tree, updates);
  const e = nodeAt(fs, at("e"));
  // The kernel knows the others by other ids from now on.
  const ids = [nodeAt(fs, at("theirs")), e, nodeAt(fs, { parent: e, name: "f" })];
  for (const id of ids) expect([kept, ours, d, f]).not.toContain(id);
  expect(await fs.write(kept, START, Buffer.from("N"), BY)).toBe(1);
  expect(textOf(tree.memdb.read("kept") ?? Errno.ENOENT)).toBe("New");
  later(200);
  for (const node of [ours, f]) {
    expect(await fs.write(node, START, Buffer.from("lost"), BY)).toBe(Errno.ESTALE);
  }
  expect([ours, f].map((node) => textOf(fs.read(node, 0, 0, 100)))).toEqual(["2", "3"]);
  expect(await fs.create(d, "new", BY)).toBe(Errno.ENOENT);
  expect(await fs.unlink(d, "f", BY)).toBe(Errno.ENOENT);
  expect(contents(tree)).toEqual(THEIR_CONTENTS);
  expect(await fs.write(ids[0] ?? 0, START, Buffer.from("T"), BY)).toBe(1);
  expect(contents(tree)).toEqual(["Their two", "their three"]);
});

test("a file that was removed while open is not one that a sync brings later", async () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  const { gone } = made(tree, { gone: "old" });
  const fs = fileSystemOf(tree);
  const open = nodeAt(fs, at("gone"));
  expect(await fs.unlink(ROOT_NODE, "gone", BY)).toBe(0);
  synced(tree, [theirs(gone, 0, "theirs", "their one")]);
  expect(nodeAt(fs, at("theirs"))).not.toBe(open);
  expect(textOf(fs.read(open, 0, 0, 100))).toBe("old");
  expect(await fs.write(open, START, Buffer.from("lost"), BY)).toBe(4);
  expect(textOf(tree.memdb.read("theirs") ?? Errno.ENOENT)).toBe("their one");
});

test("a server that took over a mount finds no other entries after a sync", async () => {
  using directory = new TempDirectory();
  const { tree, updates } = divergedTree(directory);
  using _tree = tree;
  const { kept, ours, d, f } = nodesOf(fileSystemOf(tree));
  const next = fileSystemOf(tree);
  synced(tree, updates);
  expect(await next.write(kept, START, Buffer.from("N"), BY)).toBe(1);
  for (const node of [ours, f]) {
    expect(next.open(node)).toBe(Errno.ENOENT);
    expect(await next.write(node, START, Buffer.from("lost"), BY)).toBe(Errno.ENOENT);
  }
  expect(await next.unlink(d, "f", BY)).toBe(Errno.ENOENT);
  expect(contents(tree)).toEqual(THEIR_CONTENTS);
});
