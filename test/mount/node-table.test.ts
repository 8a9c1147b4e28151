// The kernel's ids of entries, and what a server that takes over the mount finds under them.
import { describe, expect, test } from "bun:test";
import { NodeTable } from "../../src/pmxcfs/mount/node-table.ts";
import { Memdb } from "../../src/pmxcfs/state/memdb.ts";

/** A tree with a file of each of these inodes, named by it. */
function treeWith(inodes: readonly number[]) {
  const memdb = new Memdb();
  for (const inode of inodes) {
    const stamp = { version: 9, writer: 0, mtime: 5 };
    memdb.add(memdb.root, { ...stamp, inode, name: String(inode), kind: "file" });
  }
  return memdb;
}

function idIn(nodes: NodeTable, memdb: Memdb, name: string): number {
  const entry = memdb.find(name);
  if (entry === undefined) throw new Error(`no ${name}`);
  return nodes.lookUp(entry).id;
}

describe("a server that takes over the mount", () => {
  const odd = [2 ** 51 + 5, 2 ** 51 + 9, 2 ** 53 - 1, -7];

  test("finds the entry of an inode, also of the inode that is the root's id", () => {
    const memdb = treeWith([1, 2, 7, ...odd]);
    const before = new NodeTable(memdb);
    for (const name of ["7", "1", "2"]) {
      const id = idIn(before, memdb, name);
      expect(id).toBeGreaterThan(1);
      expect(new NodeTable(memdb).get(id)?.entry.name).toBe(name);
    }
  });

  test("never finds another entry, whatever inodes a database has", () => {
    const memdb = treeWith(odd);
    const before = new NodeTable(memdb);
    const ids = odd.toReversed().map((inode) => [inode, idIn(before, memdb, String(inode))]);
    const after = new NodeTable(memdb);
    for (const [inode, id = 0] of ids) {
      expect([undefined, String(inode)]).toContain(after.get(id)?.entry.name);
    }
    const given = odd.map((inode) => idIn(after, memdb, String(inode)));
    expect(new Set([...given, ...ids.map(([, id]) => id)]).size).toBe(2 * odd.length);
    for (const id of given) expect(id).toBeLessThan(2 ** 52);
  });
});
