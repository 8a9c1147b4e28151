// A leader's tree that C loads and that is no tree here: the sync is refused, nothing throws.
import { expect, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { drained } from "../../src/base/steps.ts";
import { DatabaseGroup } from "../../src/pmxcfs/replication/dcdb.ts";
import { encodeUpdate } from "../../src/pmxcfs/replication/dcdb-message.ts";
import { MemoryRows } from "../../src/pmxcfs/store/memory-rows.ts";
import { treeOf } from "./traces/database.ts";

const DIRECTORY = 4;
const FILE = 8;

function entry(inode: number, parent: number, name: string, type: number) {
  const data = new Uint8Array(0);
  return { inode, parent, version: 9, writer: 1, mtime: 5, type, name, data };
}

test.each(["file", "a/b"])("an entry below the file '%s' is refused", (name) => {
  const tree = treeOf(new MemoryRows(), () => 5);
  tree.apply({ kind: "create", path: "own" }, { writer: 1, time: 5 });
  // The file comes later in the order of inodes: C then takes it for a directory.
  const rows = [entry(0, 0, "", DIRECTORY), entry(7, 8, "below", FILE), entry(8, 0, name, FILE)];
  expect(drained(tree.commitSync([], rows))).toBe(Errno.EIO);
  expect([...tree.memdb.entries()].map((each) => each.name)).toEqual(["own"]);
});

test("a directory that no path leads to is taken with its content", () => {
  const tree = treeOf(new MemoryRows(), () => 5);
  const rows = [entry(0, 0, "", DIRECTORY), entry(7, 8, "in", FILE), entry(8, 0, "a/b", DIRECTORY)];
  expect(drained(tree.commitSync([], rows))).toBe(true);
  expect([...tree.memdb.entries()].map((each) => each.name)).toEqual(["a/b", "in"]);
});

test("a leader that sends more than a database may have is left; an entry counts once", () => {
  const tree = treeOf(new MemoryRows(), () => 5);
  const most = { updates: 3, updateBytes: 100 };
  const group = new DatabaseGroup({ tree, nodeid: 1, most });
  const keep = (inode: number, bytes: number) => {
    const data = new Uint8Array(bytes);
    return group.keepUpdate(encodeUpdate({ ...entry(inode, 0, `f${inode}`, FILE), data }));
  };
  for (let round = 0; round < 5; round++) expect(keep(7, 100)).toBeUndefined();
  expect(keep(8, 1)).toEqual({
    reason: "protocol",
    text: "the leader sent 2 entries with 101 bytes, more than a database may have",
  });
  group.dropSync();
  for (const inode of [7, 8, 9]) expect(keep(inode, 30)).toBeUndefined();
  expect(keep(10, 0)?.text).toBe(
    "the leader sent 4 entries with 90 bytes, more than a database may have",
  );
});
