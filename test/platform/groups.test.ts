/** Groups of group(5). */
import { expect, test } from "bun:test";
import { findGroup, parseGroups } from "../../src/platform/groups.ts";

test("lines without a number are no groups, and least of all root's", () => {
  const text = "root:x:0:\nwww-data:x:33:a,b\nhalf:x:\nempty:x::\n+nis\n\n";
  expect(parseGroups(text)).toEqual([
    { name: "root", gid: 0 },
    { name: "www-data", gid: 33 },
  ]);
});

test("a group is found by name, and any number is one", () => {
  expect(findGroup("root")).toEqual({ name: "root", gid: 0 });
  expect(findGroup("4711")).toEqual({ name: "4711", gid: 4711 });
  expect(findGroup("no-such-group")).toBeUndefined();
});
