/** Changes that are faster than the disk wait for the checkpoint, so that the WAL is bounded. */
import { expect, test } from "bun:test";
import { existsSync, statSync } from "node:fs";
import { Errno } from "../../src/base/errno.ts";
import { openTree } from "../../src/pmxcfs/store/open-tree.ts";
import type { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";
import { eventually } from "../support/eventually.ts";
import { rememberingLog, TempDirectory } from "./support.ts";

const LONG = 2 ** 20;
const BODY = new Uint8Array(8192).fill(120);
const ORIGIN = { writer: 0, time: 1000 };

function opened(file: string): TreeStore {
  const checkpoints = { pages: 50, longWalBytes: LONG };
  const tree = openTree({ file, log: rememberingLog(), checkpoints });
  if (typeof tree === "string") throw new Error(tree);
  expect(tree.apply({ kind: "create", path: "a" }, ORIGIN)).toBe(0);
  return tree;
}

const write = (tree: TreeStore): number =>
  tree.apply({ kind: "write", path: "a", offset: 0, data: BODY }, ORIGIN);

/**
 * Changes in one turn of the event loop, in which the answer of the checkpoint's thread cannot
 * arrive: it is as slow as can be. Returns the first outcome that is no success.
 */
function flood(tree: TreeStore): number {
  for (let count = 0; count < 2000; count++) {
    const outcome = write(tree);
    if (outcome !== BODY.length) return outcome;
  }
  return 0;
}

test("changes wait when they have added much to the WAL during one checkpoint", async () => {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  using tree = opened(file);
  expect(flood(tree)).toBe(Errno.EBUSY);
  expect(tree.storage.isEmptying).toBe(true);
  // The pages of a change are estimated.
  expect(statSync(`${file}-wal`).size).toBeLessThan(3 * LONG);
  await eventually("the checkpoint has ended", () => write(tree) === BODY.length);
});

test("a stop in that state waits for the thread and loses nothing", () => {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  const tree = opened(file);
  expect(flood(tree)).toBe(Errno.EBUSY);
  const { version } = tree;
  tree[Symbol.dispose]();
  expect(existsSync(`${file}-wal`)).toBe(false);
  using kept = openTree({ file, log: rememberingLog() }) as TreeStore;
  expect(kept.version).toBe(version);
});
