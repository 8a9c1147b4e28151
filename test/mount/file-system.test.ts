/** The file system of the mount, called as a session calls it, without a kernel. */
import { afterEach, expect, mock, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { type Attributes, ROOT_NODE } from "../../src/fuse/file-system.ts";
import type { PveFileSystem } from "../../src/pmxcfs/mount/file-system.ts";
import { fill, TempDirectory, textOf } from "../pmxcfs/support.ts";
import {
  at,
  BY,
  fileSystemOf,
  later,
  localOf,
  newTree,
  nodeAt,
  opened,
  TEXTS,
} from "./served-tree.ts";

/** dirent(3). */
const [DT_DIR, DT_REG] = [4, 8] as const;

afterEach(() => {
  mock.restore();
});

function listed(fs: PveFileSystem, node: number, handle: number, offset: number): string[] {
  const names: string[] = [];
  fs.readdir(node, handle, offset, (name) => names.push(name) > 0);
  return names;
}

test("a handle of the previous server is none of the next one's", () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  fill(tree.memdb, { "a/one": "", "b/two": "" });
  const before = fileSystemOf(tree);
  const version = nodeAt(before, { parent: ROOT_NODE, name: ".version" });
  const a = nodeAt(before, { parent: ROOT_NODE, name: "a" });
  const old = { text: opened(before.open(version)), listing: opened(before.opendir(a)) };

  const after = fileSystemOf(tree);
  const members = nodeAt(after, { parent: ROOT_NODE, name: ".members" });
  const b = nodeAt(after, { parent: ROOT_NODE, name: "b" });
  const handle = opened(after.open(members));
  const listing = opened(after.opendir(b));
  expect(listed(after, b, listing, 0)).toEqual([".", "..", "two"]);

  expect(textOf(after.read(version, old.text, 0, 100))).toBe("version");
  expect(listed(after, a, old.listing, 2)).toEqual(["one"]);
  after.release(version, old.text);
  after.releasedir(a, old.listing);
  expect(after.held.handles).toBe(2);
  expect(textOf(after.read(members, handle, 0, 100))).toBe("members");
});

test("a file or directory is found by its own node, as a client of NFS asks for it", () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  fill(tree.memdb, { "nodes/pve1/f": "four" });
  const fs = fileSystemOf(tree);
  const nodes = nodeAt(fs, { parent: ROOT_NODE, name: "nodes" });
  const pve1 = nodeAt(fs, { parent: nodes, name: "pve1" });
  const file = nodeAt(fs, { parent: pve1, name: "f" });
  const local = nodeAt(fs, { parent: ROOT_NODE, name: "local" });
  for (const node of [ROOT_NODE, pve1, file, local]) {
    expect(fs.lookup(node, ".")).toMatchObject({ node });
  }
  expect(fs.lookup(file, ".")).toEqual(fs.getattr(file, undefined));
  expect(fs.lookup(pve1, "..")).toMatchObject({ node: nodes });
  expect(fs.lookup(nodes, "..")).toMatchObject({ node: ROOT_NODE });
});

test("a trace names an entry by its present path, also one that another server looked up", () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  fill(tree.memdb, { "a/one": "" });
  const fs = fileSystemOf(tree);
  const a = nodeAt(fs, { parent: ROOT_NODE, name: "a" });
  const one = nodeAt(fs, { parent: a, name: "one" });
  expect(fileSystemOf(tree).describe(one)).toBe("a/one");
  expect(fs.rename({ parent: a, name: "one" }, { parent: ROOT_NODE, name: "two" }, 0, BY)).toBe(0);
  expect(fs.describe(one)).toBe("two");
  expect(fs.unlink(ROOT_NODE, "two", BY)).toBe(0);
  expect(fs.describe(one)).toBe("two");
});

test("a new connection has no nodes and no handles of the last one", () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  fill(tree.memdb, { f: "four" });
  const fs = fileSystemOf(tree);
  const file = nodeAt(fs, { parent: ROOT_NODE, name: "f" });
  expect(fs.unlink(ROOT_NODE, "f", BY)).toBe(0);
  expect(fs.write(file, { handle: 0, offset: 0 }, Buffer.from("kept"), BY)).toBe(4);
  opened(fs.open(nodeAt(fs, { parent: ROOT_NODE, name: ".rrd" })));
  expect(fs.held).toEqual({ nodes: 2, handles: 1 });
  fs.disconnected();
  expect(fs.held).toEqual({ nodes: 0, handles: 0 });
});

test("a name that the kernel would refuse does not hide the other entries of its directory", () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  const long = "l".repeat(1024);
  fill(tree.memdb, { a: "", [long]: "", [`${long}l`]: "", ["n".repeat(8192)]: "", z: "" });
  const fs = fileSystemOf(tree);
  const names = listed(fs, ROOT_NODE, opened(fs.opendir(ROOT_NODE)), 64);
  expect(names.toSorted()).toEqual(["a", long, "z"]);
});

test("a listing goes on after changes of its directory, and after a take-over", () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  const files = Array.from({ length: 9 }, (_, index) => `d/f${index}`);
  fill(tree.memdb, Object.fromEntries(files.map((path) => [path, ""])));
  const fs = fileSystemOf(tree);
  const d = nodeAt(fs, { parent: ROOT_NODE, name: "d" });
  const handle = opened(fs.opendir(d));
  const offsets: number[] = [];
  const first: string[] = [];
  fs.readdir(d, handle, 0, (name, _node, _type, offset) => {
    if (first.length === 4) return false;
    offsets.push(offset);
    return first.push(name) > 0;
  });
  expect(first).toEqual([".", "..", "f0", "f1"]);
  expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
  const last = offsets.at(-1) ?? 0;

  // What the listing's beginning found is listed; a new entry is not.
  expect(tree.apply({ kind: "remove", path: "d/f3" }, OTHER_NODE)).toBe(0);
  expect(tree.apply({ kind: "rename", path: "d/f8", to: "d/f4" }, OTHER_NODE)).toBe(0);
  expect(tree.apply({ kind: "create", path: "d/new" }, OTHER_NODE)).toBe(0);
  const rest = ["f2", "f3", "f4", "f5", "f6", "f7", "f8"];
  expect(listed(fs, d, handle, last)).toEqual(rest);
  // The next server begins its own listing at the same place.
  const next = fileSystemOf(tree);
  const present = ["f2", "f4", "f5", "f6", "f7", "new"];
  expect(listed(next, d, handle, last).toSorted()).toEqual(present);
});

test("a listing tells directories from files, and gives each entry its own node", () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  fill(tree.memdb, { "d/sub/file": "", "d/file": "" });
  const fs = fileSystemOf(tree);
  const d = nodeAt(fs, { parent: ROOT_NODE, name: "d" });
  const types = new Map<string, number>();
  const nodes = new Map<string, number>();
  fs.readdir(d, opened(fs.opendir(d)), 2, (name, node, type) => {
    types.set(name, type);
    nodes.set(name, node);
    return true;
  });
  expect(Object.fromEntries(types)).toEqual({ file: DT_REG, sub: DT_DIR });
  for (const [name, node] of nodes) expect(nodeAt(fs, { parent: d, name })).toBe(node);
});

test("listings that are begun and never ended take a bounded memory, and still go on", () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  const names = Array.from({ length: 2000 }, (_, index) => `f${index}`);
  fill(tree.memdb, Object.fromEntries(names.map((name) => [name, ""])));
  const fs = fileSystemOf(tree);
  const handles = Array.from({ length: 400 }, () => opened(fs.opendir(ROOT_NODE)));
  let last = 0;
  for (const handle of handles) {
    fs.readdir(ROOT_NODE, handle, 0, (_name, _node, _type, offset) => {
      last = offset;
      return offset < 1000;
    });
  }
  expect(fs.held.handles).toBeLessThan(300);
  const rest = listed(fs, ROOT_NODE, handles.at(-1) ?? 0, last);
  expect(rest.length).toBeGreaterThan(500);
  expect(listed(fs, ROOT_NODE, handles[0] ?? 0, last)).toEqual(rest);
  for (const handle of handles) fs.releasedir(ROOT_NODE, handle);
  expect(fs.held.handles).toBe(0);
});

test("texts that are opened and never closed take a bounded memory, and are still read", () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  let made = 0;
  const rrd = () => Buffer.alloc(1024 * 1024, ++made);
  const fs = fileSystemOf(tree, { texts: { ...TEXTS, rrd } });
  const node = nodeAt(fs, at(".rrd"));
  const handles = Array.from({ length: 200 }, () => opened(fs.open(node)));
  expect(fs.held.handles).toBeGreaterThan(30);
  expect(fs.held.handles).toBeLessThan(100);
  const readOf = (handle = 0) => (fs.read(node, handle, 5, 1) as Uint8Array)[0];
  expect(readOf(handles.at(-1))).toBe(made);
  expect(readOf(handles.at(-2))).toBe(made - 1);
  // Its own text is dropped: it gets the present one.
  expect(readOf(handles[0])).toBe(made);
  for (const handle of handles) fs.release(node, handle);
  expect(fs.held.handles).toBe(0);
});

test("a change that ends after its connection leaves no node in the next one", async () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  const { promise: delivered, resolve: deliver } = Promise.withResolvers<void>();
  const local = localOf(tree);
  const fs = fileSystemOf(tree, {
    replicator: {
      quorate: true,
      propose: async (command) => {
        await delivered;
        return await local.propose(command);
      },
      flush: () => 0,
    },
  });
  const directoryMade = fs.mkdir(ROOT_NODE, "d", BY);
  const fileMade = fs.create(ROOT_NODE, "f", BY);
  fs.disconnected();
  deliver();
  await directoryMade;
  await fileMade;
  expect(tree.memdb.find("d")?.kind).toBe("directory");
  expect(fs.held).toEqual({ nodes: 0, handles: 0 });
});

const OTHER_NODE = { writer: 2, time: 5 };
const SIZE = { mode: undefined, uid: undefined, gid: undefined, size: 0, mtime: undefined };
const TIME = { mode: undefined, uid: undefined, gid: undefined, size: undefined, mtime: 7 };

test("a name that another node has removed, replaced or moved is looked up again", async () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  fill(tree.memdb, { removed: "1", replaced: "2", new: "3", moved: "4" });
  const fs = fileSystemOf(tree);
  const names = ["removed", "replaced", "moved"];
  const stale = names.map((name) => nodeAt(fs, { parent: ROOT_NODE, name }));
  expect(tree.apply({ kind: "remove", path: "removed" }, OTHER_NODE)).toBe(0);
  expect(tree.apply({ kind: "rename", path: "new", to: "replaced" }, OTHER_NODE)).toBe(0);
  expect(tree.apply({ kind: "rename", path: "moved", to: "there" }, OTHER_NODE)).toBe(0);
  // The kernel has just looked it up, perhaps after ESTALE: it would not do so again.
  for (const node of stale) expect(fs.open(node)).toMatchObject({ direct: true });
  later(200);
  for (const node of stale) {
    expect(fs.open(node)).toBe(Errno.ESTALE);
    expect(fs.setattr(node, { ...SIZE, isOpen: false }, BY)).toBe(Errno.ESTALE);
    // Perhaps futimens(3), for which the kernel looks nothing up.
    expect(await fs.setattr(node, { ...TIME, isOpen: false }, BY)).toMatchObject({ mtime: 7 });
  }
  for (const name of ["replaced", "there"]) {
    expect(fs.open(nodeAt(fs, { parent: ROOT_NODE, name }))).toMatchObject({ direct: true });
  }
  expect(textOf(tree.memdb.read("replaced") ?? Errno.ENOENT)).toBe("3");
});

test("a program gets no ESTALE, however late its request comes after the second lookup", () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  const [caller, another] = [71, 72];
  const replaceOften = (fs: PveFileSystem, open: (node: number, pid: number) => unknown): void => {
    fill(tree.memdb, { f: "1", g: "2", h: "3" });
    const look = (pid: number): number => (fs.lookup(ROOT_NODE, "f", pid) as Attributes).node;
    const replace = (by: string): void => {
      expect(tree.apply({ kind: "rename", path: by, to: "f" }, OTHER_NODE)).toBe(0);
    };
    const first = look(caller);
    replace("g");
    later(200);
    expect(open(first, caller)).toBe(Errno.ESTALE);
    const second = look(caller);
    replace("h");
    later(400);
    // A process that the kernel has not sent back goes by its cache.
    expect(open(second, another)).toBe(Errno.ESTALE);
    expect(open(second, caller)).not.toBe(Errno.ESTALE);
    // It was repeated once: the next one goes by the cache, too.
    expect(open(second, caller)).toBe(Errno.ESTALE);
    expect(tree.apply({ kind: "remove", path: "f" }, OTHER_NODE)).toBe(0);
    // The end of the caller's request; the next one begins with a lookup of its own.
    expect(fs.lookup(ROOT_NODE, "f", caller)).toBe(Errno.ENOENT);
    fill(tree.memdb, { f: "4", g: "5" });
    const third = look(caller);
    replace("g");
    later(600);
    expect(open(third, caller)).toBe(Errno.ESTALE);
    expect(tree.apply({ kind: "remove", path: "f" }, OTHER_NODE)).toBe(0);
  };
  const opening = fileSystemOf(tree);
  replaceOften(opening, (node, pid) => opening.open(node, 0, pid));
  const truncating = fileSystemOf(tree);
  replaceOften(truncating, (node, pid) =>
    truncating.setattr(node, { ...SIZE, isOpen: false }, { ...BY, pid }),
  );
});

test("a file that another node has removed can be read where it is open, not written", async () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  fill(tree.memdb, { removed: "1", replaced: "2", new: "3", moved: "4" });
  const fs = fileSystemOf(tree);
  const [removed = 0, replaced = 0, moved = 0] = ["removed", "replaced", "moved"].map((name) =>
    nodeAt(fs, at(name)),
  );
  expect(tree.apply({ kind: "remove", path: "removed" }, OTHER_NODE)).toBe(0);
  expect(tree.apply({ kind: "rename", path: "new", to: "replaced" }, OTHER_NODE)).toBe(0);
  expect(tree.apply({ kind: "rename", path: "moved", to: "there" }, OTHER_NODE)).toBe(0);
  const start = { handle: 0, offset: 0 };
  // It may have been opened and written before.
  expect(await fs.write(removed, start, Buffer.from("x"), BY)).toBe(1);
  later(200);
  for (const node of [removed, replaced]) {
    expect(await fs.write(node, start, Buffer.from("y"), BY)).toBe(Errno.ENOENT);
    expect(await fs.setattr(node, { ...SIZE, isOpen: true }, BY)).toBe(Errno.ENOENT);
  }
  expect([removed, replaced].map((node) => textOf(fs.read(node, 0, 0, 9)))).toEqual(["x", "2"]);
  // A descriptor of a file that was moved goes with it.
  expect(await fs.setattr(moved, { ...SIZE, isOpen: true }, BY)).toMatchObject({ size: 0 });
  expect(await fs.write(moved, start, Buffer.from("y"), BY)).toBe(1);
  expect(textOf(tree.memdb.read("there") ?? Errno.ENOENT)).toBe("y");
});

test("a lock that another node has given up and taken is not taken for the old one", async () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  fill(tree.memdb, { "priv/lock/a/f": "" });
  expect(tree.apply({ kind: "remove", path: "priv/lock/a/f" }, OTHER_NODE)).toBe(0);
  const fs = fileSystemOf(tree);
  const priv = nodeAt(fs, { parent: ROOT_NODE, name: "priv" });
  const parent = nodeAt(fs, { parent: priv, name: "lock" });
  const old = nodeAt(fs, { parent, name: "a" });
  const unlock = { ...TIME, mtime: 0, isOpen: false };
  expect(tree.apply({ kind: "remove", path: "priv/lock/a" }, OTHER_NODE)).toBe(0);
  expect(tree.apply({ kind: "mkdir", path: "priv/lock/a" }, OTHER_NODE)).toBe(0);
  later(200);
  expect(fs.setattr(old, unlock, BY)).toBe(Errno.ESTALE);
  const present = nodeAt(fs, { parent, name: "a" });
  expect(await fs.setattr(present, unlock, BY)).toBe(Errno.EACCES);
  // The mode is not looked at when this node has removed the directory itself.
  expect(await fs.rmdir(parent, "a", BY)).toBe(0);
  expect(fs.setattr(present, { ...TIME, mode: 0o755, isOpen: false }, BY)).toBe(Errno.ENOENT);
});

test("what this node has removed or moved itself can be opened by its descriptor", async () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  fill(tree.memdb, { removed: "1", replaced: "2", new: "3", "d/moved": "4" });
  const fs = fileSystemOf(tree);
  const nodes = ["removed", "replaced", "new"].map((name) => nodeAt(fs, at(name)));
  const d = nodeAt(fs, at("d"));
  nodes.push(nodeAt(fs, { parent: d, name: "moved" }));
  later(200);
  expect(await fs.unlink(ROOT_NODE, "removed", BY)).toBe(0);
  expect(await fs.rename(at("new"), at("replaced"), 0, BY)).toBe(0);
  expect(await fs.rename({ parent: d, name: "moved" }, at("there"), 0, BY)).toBe(0);
  for (const node of nodes) {
    expect(fs.open(node)).toMatchObject({ direct: true });
    expect(await fs.setattr(node, { ...TIME, isOpen: false }, BY)).toMatchObject({ mtime: 7 });
  }
});

test("chmod takes the mode of the directory that a file was just moved to", async () => {
  using directory = new TempDirectory();
  using tree = newTree(directory);
  fill(tree.memdb, { "priv/f": "", g: "" });
  const fs = fileSystemOf(tree);
  const priv = nodeAt(fs, at("priv"));
  const [f, g] = [nodeAt(fs, { parent: priv, name: "f" }), nodeAt(fs, at("g"))];
  expect(await fs.rename({ parent: priv, name: "f" }, at("f"), 0, BY)).toBe(0);
  expect(await fs.rename(at("g"), { parent: priv, name: "g" }, 0, BY)).toBe(0);
  const change = { ...TIME, mtime: undefined, mode: 0o640, isOpen: false };
  // Removed before the kernel has asked for its attributes again.
  expect(await fs.unlink(ROOT_NODE, "f", BY)).toBe(0);
  expect(await fs.setattr(f, change, BY)).toMatchObject({ mode: 0o100_640 });
  expect(await fs.setattr(g, change, BY)).toBe(Errno.EPERM);
  expect(await fs.setattr(g, { ...change, mode: 0o600 }, BY)).toMatchObject({ mode: 0o100_600 });
});
