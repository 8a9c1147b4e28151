/** A step of a reload handles a limited number of rows, whatever the shape of the tree. */
import { expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { readdirSync, readlinkSync, renameSync } from "node:fs";
import { drained } from "../../src/base/steps.ts";
import { Memdb } from "../../src/pmxcfs/state/memdb.ts";
import { differenceOf, TreeChanges } from "../../src/pmxcfs/store/tree-changes.ts";
import type { Row } from "../../src/pmxcfs/store/tree-rows.ts";
import { judgeRows, judging, plant } from "../../src/pmxcfs/store/tree-rules.ts";
import { eventually } from "../support/eventually.ts";
import { makeDb, open, TempDirectory } from "./support.ts";

const STAMP = { writer: 0, mtime: 1 };
const ROOT: Row = {
  ...STAMP,
  inode: 0,
  parent: 0,
  version: 9,
  type: 8,
  name: "__version__",
  data: new Uint8Array(0),
};

function row(inode: number, parent: number, type: 4 | 8): Row {
  const data = new Uint8Array(0);
  return { ...STAMP, inode, parent, version: inode, type, name: `e${inode}`, data };
}

/** `count` directories, each in the one before. */
function nested(count: number): Row[] {
  const rows = Array.from({ length: count }, (_, at) => row(at + 2, at === 0 ? 0 : at + 1, 4));
  return [ROOT, ...rows];
}

/** `count` directories and as many files beside each other. */
function wide(count: number): Row[] {
  const rows = Array.from({ length: count }, (_, at) => row(at + 2, 0, at % 2 === 0 ? 4 : 8));
  return [ROOT, ...rows];
}

/** Replaces `before` by `after`; returns the highest number of changes in one step. */
function mostToldInAStep(before: readonly Row[], after: readonly Row[]): number {
  const memdb = new Memdb();
  const changes = new TreeChanges(memdb, plant(memdb, judgeRows(before)));
  let told = 0;
  let most = 0;
  memdb.subscribe(() => void told++);
  const steps = changes.apply(drained(differenceOf(changes, judgeRows(after))));
  for (let over = false; !over;) {
    told = 0;
    over = steps.next().done === true;
    most = Math.max(most, told);
  }
  const left = [...memdb.entries()].map(({ inode }) => inode).toSorted((a, b) => a - b);
  expect(left).toEqual(after.slice(1).map(({ inode }) => inode));
  return most;
}

test("1,000 nested directories are replaced by a few entries, with few changes in a step", () => {
  const few = [ROOT, row(2, 0, 4), { ...row(3, 0, 4), name: "moved" }, row(4, 2, 8)];
  expect(mostToldInAStep(nested(1_000), few)).toBeLessThan(5);
  // The first of them is now a file, or has another name.
  expect(mostToldInAStep(nested(1_000), [ROOT, row(2, 0, 8)])).toBeLessThan(5);
  const renamed = { ...row(2, 0, 4), name: "renamed" };
  expect(mostToldInAStep(nested(1_000), [ROOT, renamed])).toBeLessThan(5);
  const instead = { ...row(5_000, 0, 4), name: "e2" };
  expect(mostToldInAStep(nested(1_000), [ROOT, instead])).toBeLessThan(5);
});

test("1,000 entries of one directory are added and removed, with few changes in a step", () => {
  expect(mostToldInAStep(wide(1_000), [ROOT])).toBeLessThan(5);
  expect(mostToldInAStep([ROOT], wide(1_000))).toBeLessThan(5);
});

test("rows are judged 64 in a step, also those of one directory", () => {
  const count = 64 * 50;
  for (const rows of [wide(count), nested(count)]) {
    let steps = 0;
    const judged = judging(rows);
    while (judged.next().done !== true) steps++;
    // Each row is placed, visited from the root, and checked for being unreachable.
    expect(steps).toBeGreaterThanOrEqual(3 * 50 - 2);
  }
});

test("a database that was replaced is closed, and its disk space freed", async () => {
  using directory = new TempDirectory();
  using other = new TempDirectory();
  const file = makeDb(directory);
  using backend = open({ db: file });
  const next = makeDb(other);
  {
    using database = new Database(next);
    database.run("INSERT INTO tree VALUES (900, 0, 900, 0, 1, 8, 'new', x'61')");
  }
  renameSync(next, file);
  const deleted = `${file} (deleted)`;
  await eventually("the new file and no descriptor of the old one", () => {
    backend.refresh();
    const targets = readdirSync("/proc/self/fd").map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        // The descriptor by which they were listed.
        return "";
      }
    });
    return backend.memdb.read("new") !== undefined && !targets.includes(deleted);
  });
});
