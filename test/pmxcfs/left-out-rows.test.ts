/**
 * Rows that no path leads to, in a database that is changed: they are kept, and whatever is removed
 * or renamed, the database can be loaded again. (A row whose directory is missing prevents that.)
 */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { drained } from "../../src/base/steps.ts";
import type { TreeCommand } from "../../src/pmxcfs/state/tree-command.ts";
import { judgeRows } from "../../src/pmxcfs/store/tree-rules.ts";
import type { Row } from "../../src/pmxcfs/store/tree-rows.ts";
import type { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";
import { apply, crash, mkdir, opened } from "./batched-tree.ts";
import { rememberingLog, TempDirectory } from "./support.ts";
import { rowsIn, rowsOf } from "./tree-rows-of.ts";

/**
 * A database with d/ (2), f (50) and full/x, where d has a directory named `a/b` (40) with a file,
 * and f, which is a file, has a file x (42).
 */
function odd(directory: TempDirectory): string {
  const file = directory.at("config.db");
  {
    using tree = opened(file, { commit: "each" });
    for (const path of ["d", "full", "full/x"]) apply(tree, mkdir(path));
  }
  using database = new Database(file);
  for (const values of [
    "(40, 2, 40, 0, 5, 4, 'a/b', NULL)",
    "(41, 40, 41, 0, 5, 8, 'below', x'31')",
    "(42, 50, 42, 0, 5, 8, 'x', x'32')",
    "(50, 0, 50, 0, 5, 8, 'f', x'33')",
  ]) {
    database.run(`INSERT INTO tree VALUES ${values}`);
  }
  return file;
}

const inodes = (file: string): number[] => rowsIn(file).map(([inode]) => Number(inode));

const remove = (tree: TreeStore, path: string): number => apply(tree, { kind: "remove", path });
const rename = (tree: TreeStore, path: string, to: string): number =>
  apply(tree, { kind: "rename", path, to });

describe("rows that no path leads to", () => {
  test("are named at the start", () => {
    using directory = new TempDirectory();
    const log = rememberingLog();
    opened(odd(directory), { commit: "each" }, log)[Symbol.dispose]();
    expect(log.lines.join("\n")).toContain("no path leads to a name like 'a/b'");
    expect(log.lines.join("\n")).toContain("it lies below 'f', which is a file");
  });

  test("keep their directory from being removed, replaced and renamed, as in C", () => {
    using directory = new TempDirectory();
    const file = odd(directory);
    {
      using tree = opened(file, { commit: "each" });
      expect(apply(tree, mkdir("e"))).toBe(0);
      expect(remove(tree, "d")).toBe(Errno.ENOTEMPTY);
      expect(rename(tree, "e", "d")).toBe(Errno.ENOTEMPTY);
      expect(rename(tree, "d", "g")).toBe(Errno.ENOTEMPTY);
      expect(apply(tree, { kind: "utime", path: "d", mtime: 7 })).toBe(0);
    }
    opened(file)[Symbol.dispose]();
    expect(inodes(file)).toEqual(expect.arrayContaining([2, 40, 41, 42, 50]));
  });

  test("go with the file that they lie below", () => {
    for (const how of [
      (tree: TreeStore) => remove(tree, "f"),
      (tree: TreeStore) => {
        apply(tree, { kind: "create", path: "f.tmp" });
        return rename(tree, "f.tmp", "f");
      },
    ]) {
      using directory = new TempDirectory();
      const file = odd(directory);
      {
        using tree = opened(file, { commit: "each" });
        expect(how(tree)).toBe(0);
      }
      opened(file)[Symbol.dispose]();
      expect(inodes(file)).not.toContain(42);
      expect(inodes(file)).toContain(41);
    }
  });

  test("go with a sync, which writes the whole tree", () => {
    using directory = new TempDirectory();
    const file = odd(directory);
    {
      using tree = opened(file, { commit: "each" });
      expect(drained(tree.commitSync([2, 50], []))).toBe(true);
    }
    opened(file)[Symbol.dispose]();
    expect(inodes(file)).toEqual([0, 3, 4]);
  });

  test("do not hinder a journal that is replayed", () => {
    using directory = new TempDirectory();
    using copies = new TempDirectory();
    using tree = opened(odd(directory));
    expect(remove(tree, "f")).toBe(0);
    expect(apply(tree, mkdir("d/new"))).toBe(0);
    expect(remove(tree, "full/x")).toBe(0);
    using again = opened(crash(directory.at("config.db"), copies));
    expect([...again.entries()].map(({ name }) => name)).toEqual(["d", "full", "new"]);
  });
});

test("a row that a failed rename left goes when its directory is renamed, also in a replay", () => {
  using directory = new TempDirectory();
  using copies = new TempDirectory();
  using tree = opened(directory.at("config.db"));
  const cluster = (command: TreeCommand) => tree.apply(command, { writer: 2, time: 1000 });
  for (const path of ["above", "above/empty", "full", "full/x"]) cluster(mkdir(path));
  const failed = cluster({ kind: "rename", path: "full", to: "above/empty" });
  expect([failed, tree.memdb.find("above/empty")]).toEqual([Errno.ENOTEMPTY, undefined]);
  expect(cluster({ kind: "rename", path: "above", to: "renamed" })).toBe(0);
  expect(cluster(mkdir("renamed/later"))).toBe(0);
  using again = opened(crash(directory.at("config.db"), copies));
  expect(rowsOf(again)).toEqual(rowsOf(tree));
});

/** A file's row. */
function row(inode: number, parent: number, name: string): Row {
  const data = Buffer.from("1");
  return { inode, parent, version: inode, writer: 0, mtime: 1, type: 8, name, data };
}

test("a row below a file that comes after it is remarked on", () => {
  const { refusals, remarks } = judgeRows([row(2, 3, "x"), row(3, 0, "f")]);
  expect([refusals, remarks.map(({ kind }) => kind)]).toEqual([[], ["unreachable"]]);
});
