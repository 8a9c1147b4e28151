/**
 * Changes of a cluster's node that are stored together: the rows are those of single transactions,
 * also when another process has the database locked or the server crashes, and what cannot be
 * stored is tried again.
 */
import { Database } from "bun:sqlite";
import { afterEach, expect, mock, spyOn, test } from "bun:test";
import fc from "fast-check";
import { Errno } from "../../src/base/errno.ts";
import { keptCommand } from "../../src/pmxcfs/state/tree-command.ts";
import { ConfigDbWriter } from "../../src/pmxcfs/store/config-db-writer.ts";
import { apply, crash, LATER, mkdir, opened } from "./batched-tree.ts";
import { rememberingLog, TempDirectory } from "./support.ts";
import { anyCommand, applyToBoth, TreeModel } from "./tree-model.ts";
import { rowsIn } from "./tree-rows-of.ts";

const BATCHES = { flushMs: LATER, openedCheckMs: LATER, retryMs: LATER };

afterEach(() => {
  mock.restore();
});

function clusterTree(file: string, log = rememberingLog()) {
  const tree = opened(file, { commit: "each", batches: BATCHES }, log);
  tree.enterCluster();
  return tree;
}

const lockOf = (file: string) => {
  const other = new Database(file);
  other.run("BEGIN IMMEDIATE");
  return { [Symbol.dispose]: () => other.close() };
};

test("random changes in groups leave the rows of single ones, locked or after a crash, too", () => {
  const step = fc.tuple(anyCommand, fc.nat(), fc.nat(3));
  const groups = fc.array(fc.tuple(fc.array(step, { maxLength: 12 }), fc.boolean()), {
    maxLength: 12,
  });
  fc.assert(
    fc.property(groups, fc.nat(12), (drawnGroups, crashAt) => {
      using directory = new TempDirectory();
      using copies = new TempDirectory();
      const file = directory.at("config.db");
      const model = new TreeModel();
      {
        using tree = clusterTree(file);
        model.mtime = tree.memdb.root.mtime;
        for (const [index, [steps, isLocked]] of drawnGroups.entries()) {
          tree.storage.gather();
          for (const [given, drawn, tick] of steps) {
            const command = applyToBoth(tree, model, [keptCommand(given), drawn, tick]);
            // The memory of a message is used again.
            if (command.kind === "write") command.data.fill(0);
          }
          using _lock = isLocked ? lockOf(file) : undefined;
          expect(tree.storage.store()).toBe(0);
          if (index !== crashAt) continue;
          const copy = crash(file, copies);
          opened(copy, { commit: "each" })[Symbol.dispose]();
          expect(rowsIn(copy)).toEqual(model.rows());
        }
      }
      expect(rowsIn(file)).toEqual(model.rows());
    }),
    { numRuns: 40 },
  );
}, 60_000);

test("a group is one transaction, and a long one some of bounded length", () => {
  using directory = new TempDirectory();
  using tree = clusterTree(directory.at("config.db"));
  const commits = spyOn(ConfigDbWriter.prototype, "commit");
  tree.storage.gather();
  for (let at = 0; at < 20; at++) expect(apply(tree, mkdir(`d${at}`))).toBe(0);
  expect(commits).toHaveBeenCalledTimes(0);
  expect(tree.storage.store()).toBe(0);
  expect(commits).toHaveBeenCalledTimes(1);
  tree.storage.gather();
  const data = Buffer.alloc(200_000, 65);
  for (const path of ["a", "b", "c"]) {
    expect(apply(tree, { kind: "create", path })).toBe(0);
    expect(apply(tree, { kind: "write", path, offset: 0, data })).toBe(data.length);
  }
  expect(commits).toHaveBeenCalledTimes(3);
  expect(tree.storage.store()).toBe(0);
  expect(commits).toHaveBeenCalledTimes(4);
  const longest = Math.max(...commits.mock.calls.map(([change]) => change.replaced.length));
  expect(longest).toBe(20);
});

test("what cannot be stored stays in memory, and is stored before the next change", () => {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  const log = rememberingLog();
  {
    using tree = clusterTree(file, log);
    tree.storage.gather();
    for (const name of ["a", "b"]) expect(apply(tree, mkdir(name))).toBe(0);
    const commit = spyOn(ConfigDbWriter.prototype, "commit").mockReturnValue(Errno.EIO);
    expect(tree.storage.store()).toBe(Errno.EIO);
    expect(apply(tree, mkdir("c"))).toBe(Errno.EIO);
    expect([tree.probe(), tree.storage.flush()]).toEqual([false, Errno.EIO]);
    expect(["a", "b", "c"].map((path) => tree.memdb.find(path)?.kind)).toEqual([
      "directory",
      "directory",
      undefined,
    ]);
    expect(rowsIn(file).length).toBe(1);
    commit.mockRestore();
    expect(tree.probe()).toBe(true);
    expect(rowsIn(file).map((row) => row[6])).toEqual(["__version__", "a", "b"]);

    tree.storage.gather();
    for (const name of ["d", "e"]) expect(apply(tree, mkdir(name))).toBe(0);
    spyOn(ConfigDbWriter.prototype, "commit").mockReturnValue(Errno.EIO);
    expect(tree.storage.store()).toBe(Errno.EIO);
  }
  expect(log.lines).toEqual([
    `${file}: 2 changes not written: the other nodes of the cluster have them`,
  ]);
});

test("an inode's row that a group makes and deletes is not in the database", () => {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  using tree = clusterTree(file);
  tree.storage.gather();
  const made = apply(tree, { kind: "create", path: "t" });
  const renamed = apply(tree, { kind: "rename", path: "t", to: "f" });
  const again = apply(tree, { kind: "create", path: "t" });
  const over = apply(tree, { kind: "rename", path: "t", to: "f" });
  expect([made, renamed, again, over]).toEqual([0, 0, 0, 0]);
  expect(tree.storage.store()).toBe(0);
  expect(rowsIn(file).map((row) => [row[0], row[6]])).toEqual([
    [0, "__version__"],
    [4, "f"],
  ]);
});
