/** Listings of directories whose entries are not in the order of their ids. */
import { expect, test } from "bun:test";
import type { Entry, Memdb } from "../../src/pmxcfs/state/memdb.ts";
import { Listing } from "../../src/pmxcfs/mount/listing.ts";
import { NodeTable } from "../../src/pmxcfs/mount/node-table.ts";

interface Child {
  readonly name: string;
  readonly inode: number;
  readonly kind: "file" | "directory";
}

/** A directory with these children, in this order; its parent is the root. */
function directoryOf(children: readonly Child[]): Entry {
  const root = { inode: 0, parent: undefined } as unknown as Entry;
  const directory = { inode: 2, parent: root, children: new Map<string, Entry>() };
  for (const child of children) {
    const entry = { ...child, parent: directory } as unknown as Entry;
    directory.children.set(child.name, entry);
  }
  return directory as unknown as Entry;
}

interface Read {
  readonly name: string;
  readonly node: number;
  readonly type: number;
  readonly offset: number;
}

/** What a reader gets that begins after `after`. */
function read(listing: Listing, directory: Entry, after = 2): Read[] {
  const all: Read[] = [];
  for (let at = listing.indexAfter(after); at < listing.length; at++) {
    listing.add(at, directory, (name, node, type, offset) => {
      return all.push({ name, node, type, offset }) > 0;
    });
  }
  return all;
}

const noTree = { entries: () => [] } as unknown as Memdb;

test("entries are listed by id, each with its own type, and found again by their offsets", () => {
  const directory = directoryOf([
    { name: "late", inode: 30, kind: "file" },
    { name: "sub", inode: 10, kind: "directory" },
    { name: "middle", inode: 20, kind: "file" },
  ]);
  const listing = new Listing(new NodeTable(noTree), directory);
  const all = [
    { name: "sub", node: 10, type: 4, offset: 74 },
    { name: "middle", node: 20, type: 8, offset: 84 },
    { name: "late", node: 30, type: 8, offset: 94 },
  ];
  expect(read(listing, directory)).toEqual(all);
  expect(read(listing, directory, 74)).toEqual(all.slice(1));
  expect(read(listing, directory, 80)).toEqual(all.slice(1));
  expect(read(listing, directory, 94)).toEqual([]);
});

test("entries whose inodes cannot be ids are listed once each, after the others", () => {
  const directory = directoryOf([
    { name: "negative", inode: -5, kind: "file" },
    { name: "root's", inode: 1, kind: "file" },
    { name: "huge", inode: 2 ** 60, kind: "directory" },
    { name: "plain", inode: 7, kind: "file" },
  ]);
  const nodes = new NodeTable(noTree);
  const all = read(new Listing(nodes, directory), directory);
  expect(all[0]?.name).toBe("plain");
  const names = all.map(({ name }) => name);
  expect(names.toSorted()).toEqual(["huge", "negative", "plain", "root's"]);
  const offsets = all.map(({ offset }) => offset);
  expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
  for (const { name, node } of all) {
    const child = directory.children.get(name);
    expect(child && nodes.idOf(child)).toBe(node);
  }
  expect(Math.min(...offsets)).toBe(64 + 7);
});
