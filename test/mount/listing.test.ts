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

/** What a reader gets that begins after `offset`: name, node, type and offset of each entry. */
function read(listing: Listing, directory: Entry, offset = 2): (readonly [string, ...number[]])[] {
  const all: [string, ...number[]][] = [];
  for (let at = listing.indexAfter(offset); at < listing.length; at++) {
    listing.add(at, directory, (...entry) => all.push(entry) > 0);
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
    ["sub", 10, 4, 74],
    ["middle", 20, 8, 84],
    ["late", 30, 8, 94],
  ];
  expect(read(listing, directory)).toEqual(all as never);
  expect(read(listing, directory, 74)).toEqual(all.slice(1) as never);
  expect(read(listing, directory, 80)).toEqual(all.slice(1) as never);
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
  expect(all.map(([name]) => name)[0]).toBe("plain");
  expect(all.map(([name]) => name).toSorted()).toEqual(["huge", "negative", "plain", "root's"]);
  const offsets = all.map(([, , , offset = 0]) => offset);
  expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
  for (const [name, node] of all) {
    const child = directory.children.get(name);
    expect(child && nodes.idOf(child)).toBe(node as number);
  }
  expect(Math.min(...offsets)).toBe(64 + 7);
});
