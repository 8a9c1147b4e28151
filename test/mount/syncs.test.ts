/**
 * Files and directories of the mount that are open while a sync replaces the tree. Inodes are
 * versions, so nodes that were apart may have given one inode to different entries.
 */
import { afterEach, expect, mock, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { silentLog } from "../../src/base/log.ts";
import { drained } from "../../src/base/steps.ts";
import { ROOT_NODE } from "../../src/fuse/file-system.ts";
import type { PveFileSystem } from "../../src/pmxcfs/mount/file-system.ts";
import { ChangeLedger } from "../../src/pmxcfs/store/change-ledger.ts";
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

/** A server that takes over the mount from the one that used the directory before. */
function nextServer(directory: TempDirectory) {
  const tree = newTree(directory);
  const ledger = ledgerOf(directory, tree);
  ledger.resume(CONNECTION);
  const fs = fileSystemOf(tree, { taken: ledger.taken });
  return { tree, ledger, fs, [Symbol.dispose]: () => tree[Symbol.dispose]() };
}

const CONNECTION = 40;

function ledgerOf(directory: TempDirectory, tree: TreeStore): ChangeLedger {
  const { loadedVersion } = tree;
  const file = directory.at("ledger");
  const ledger = new ChangeLedger({ file, loadedVersion, log: silentLog });
  tree.ledger = ledger;
  return ledger;
}

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
    expect(await fs.write(node, START, Buffer.from("lost"), BY)).toBe(Errno.ENOENT);
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

/** The ids by which the kernel knows the entries before and after a sync; the server is gone. */
function syncedServer(directory: TempDirectory) {
  const { tree, updates } = divergedTree(directory);
  using first = tree;
  ledgerOf(directory, first).begin(CONNECTION);
  const fs = fileSystemOf(first);
  const before = nodesOf(fs);
  synced(first, updates);
  const e = nodeAt(fs, at("e"));
  const after = { theirs: nodeAt(fs, at("theirs")), e, f: nodeAt(fs, { parent: e, name: "f" }) };
  return { before, after };
}

test("servers that take over a mount after a sync find what the kernel means", async () => {
  using directory = new TempDirectory();
  const { before, after } = syncedServer(directory);
  for (const letter of ["A", "B"]) {
    using server = nextServer(directory);
    const { fs, tree } = server;
    const write = (id: number, text: string) => fs.write(id, START, Buffer.from(text), BY);
    for (const id of [before.ours, before.f]) {
      expect(fs.open(id)).toBe(Errno.ENOENT);
      expect(await write(id, "lost")).toBe(Errno.ENOENT);
    }
    expect(await fs.create(before.d, letter, BY)).toBe(Errno.ENOENT);
    const ids = [before.kept, after.theirs, after.f];
    for (const id of ids) expect(await write(id, letter)).toBe(1);
    const files = ["kept", "theirs", "e/f"].map((path) => tree.memdb.read(path) ?? Errno.ENOENT);
    expect(files.map(textOf)).toEqual([`${letter}ew`, `${letter}heir two`, `${letter}heir three`]);
    expect([nodeAt(fs, at("theirs")), nodeAt(fs, at("e"))]).toEqual([after.theirs, after.e]);
  }
});

test("a server finds the entries of a sync before the mount was made again", async () => {
  using directory = new TempDirectory();
  const ids = (() => {
    const { tree, updates } = divergedTree(directory);
    using first = tree;
    const ledger = ledgerOf(directory, first);
    ledger.begin(CONNECTION - 1);
    const fs = fileSystemOf(first);
    nodesOf(fs);
    synced(first, updates);
    fs.disconnected();
    ledger.begin(CONNECTION);
    const e = nodeAt(fs, at("e"));
    return [nodeAt(fs, at("theirs")), nodeAt(fs, { parent: e, name: "f" })];
  })();
  using server = nextServer(directory);
  for (const id of ids) expect(await server.fs.write(id, START, Buffer.from("T"), BY)).toBe(1);
  expect(contents(server.tree)).toEqual(["Their two", "Their three"]);
});

test("an entry of a second sync has not the id of the first one's with its inode", () => {
  using directory = new TempDirectory();
  const { before, after } = syncedServer(directory);
  for (const name of ["others", "their own"]) {
    using server = nextServer(directory);
    const { fs, tree } = server;
    const old = [before.ours, after.theirs];
    synced(tree, [theirs(before.ours, 0, name, name)]);
    expect(old).not.toContain(nodeAt(fs, at(name)));
    for (const id of old) expect(fs.open(id)).toBe(Errno.ENOENT);
    after.theirs = nodeAt(fs, at(name));
  }
});

test("a file that was removed while open is none that the next server's sync brings", async () => {
  using directory = new TempDirectory();
  const { open, gone } = await (async () => {
    using first = newTree(directory);
    ledgerOf(directory, first).begin(CONNECTION);
    const inodes = made(first, { gone: "old" });
    const fs = fileSystemOf(first);
    const node = nodeAt(fs, at("gone"));
    expect(await fs.unlink(ROOT_NODE, "gone", BY)).toBe(0);
    return { open: node, gone: inodes["gone"] };
  })();
  using server = nextServer(directory);
  synced(server.tree, [theirs(gone, 0, "theirs", "their one")]);
  expect(await server.fs.write(open, START, Buffer.from("lost"), BY)).toBe(Errno.ENOENT);
  expect(textOf(server.tree.memdb.read("theirs") ?? Errno.ENOENT)).toBe("their one");
});

test("an entry that is new in a sync keeps its inode as the kernel's id", () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  made(tree, { old: "1" });
  const inode = tree.version + 1;
  synced(tree, [{ ...theirs(), version: inode + 1 }, theirs(inode, 0, "new", "2")]);
  expect(nodeAt(fileSystemOf(tree), at("new"))).toBe(inode);
});
