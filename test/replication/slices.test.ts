// A tree of 5,000 files: no turn of the event loop is long, since the groups do long work in steps.
// Times are the minimum of several runs, since the machine may be loaded.
import { expect, test } from "bun:test";
import { drained } from "../../src/base/steps.ts";
import { DatabaseGroup } from "../../src/pmxcfs/replication/dcdb.ts";
import { MemoryRows } from "../../src/pmxcfs/store/memory-rows.ts";
import { treeOf } from "./traces/database.ts";

const FILES = 5000;
const FILE_BYTES = 2000;
/** Milliseconds that the event loop may be blocked. */
const MOST_MS = 2;
const RUNS = 15;

function tree(files: number) {
  const memory = new MemoryRows();
  const stamp = { writer: 1, mtime: 1 };
  const directory = { inode: 2, parent: 0, version: 2, ...stamp, type: 4, name: "d", data: null };
  memory.rows.set(2, directory);
  for (let inode = 3; inode < 3 + files; inode++) {
    const data = Buffer.alloc(FILE_BYTES, inode);
    const row = { inode, parent: 2, version: inode, ...stamp, type: 8, name: `f${inode}`, data };
    memory.rows.set(inode, row);
  }
  memory.root = { version: 3 + files, ...stamp, type: 8 };
  return treeOf(memory, () => 0);
}

/** The shortest of `RUNS` calls, in milliseconds. */
function least(call: () => void): number {
  let best = Infinity;
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now();
    call();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

const full = tree(FILES);
const group = new DatabaseGroup({ tree: full, nodeid: 1 });

test("digests after a start are computed in steps, until none is missing", () => {
  const again = new DatabaseGroup({ tree: tree(FILES), nodeid: 1 });
  let shortest = Infinity;
  let steps = 0;
  while (again.busy) {
    const start = performance.now();
    again.work();
    shortest = Math.min(shortest, performance.now() - start);
    steps++;
  }
  expect(steps).toBeGreaterThan(1);
  expect(shortest).toBeLessThan(MOST_MS);
});

test("the index of a STATE takes under 2 ms, also with 64 changed files", () => {
  group.state();
  expect(least(() => group.state())).toBeLessThan(MOST_MS);
  const origin = { writer: 1, time: 2 };
  const changed = least(() => {
    for (let file = 3; file < 67; file++) full.index.changed(file);
    group.state();
  });
  expect(changed).toBeLessThan(MOST_MS);
  expect(full.apply({ kind: "create", path: "new" }, origin)).toBe(0);
  expect(full.index.pending).toBe(1);
});

test("large files are hashed ahead, not when a STATE is needed", () => {
  const few = tree(0);
  const ahead = new DatabaseGroup({ tree: few, nodeid: 1 });
  while (ahead.busy) ahead.work();
  const origin = { writer: 1, time: 2 };
  for (let file = 0; file < 8; file++) {
    const path = `f${file}`;
    few.apply({ kind: "create", path }, origin);
    few.apply({ kind: "write", path, offset: 0, data: Buffer.alloc(1024 * 1024, file) }, origin);
  }
  for (let steps = 0; ahead.busy; steps++) {
    expect(steps).toBeLessThan(20);
    ahead.work();
  }
  expect(few.index.pendingBytes).toBeLessThanOrEqual(1024 * 1024);
  expect(few.index.pending).toBeLessThanOrEqual(2);
  // Not each small one: what changes often is hashed once.
  few.apply({ kind: "create", path: "small" }, origin);
  expect([ahead.busy, few.index.pending > 0]).toEqual([false, true]);
});

test("the checksum of a verification is computed in steps of under 2 ms", () => {
  const steps: number[][] = [];
  for (let run = 0; run < RUNS; run++) {
    const times: number[] = [];
    let start = performance.now();
    const job = drained(group.checksum());
    times.push(performance.now() - start);
    for (let checksum: Uint8Array | undefined; checksum === undefined;) {
      start = performance.now();
      checksum = job.step();
      times.push(performance.now() - start);
    }
    steps.push(times);
  }
  expect(
    Math.max(
      ...(steps[0] ?? []).map((_, step) => Math.min(...steps.map((times) => times[step] ?? 0))),
    ),
  ).toBeLessThan(MOST_MS);
  expect(steps[0]?.length).toBeGreaterThan(3);
});
