/** A database with a journal (`--commit batched`), for tests: opened, changed, left by a crash. */
import { expect } from "bun:test";
import type { Log } from "../../src/base/log.ts";
import { silentLog } from "../../src/base/log.ts";
import type { TreeCommand } from "../../src/pmxcfs/state/tree-command.ts";
import { openTree, type OpenTreeOptions } from "../../src/pmxcfs/store/open-tree.ts";
import type { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";
import type { TempDirectory } from "./support.ts";
import { rowsIn } from "./tree-rows-of.ts";

/** Later than any test ends, in ms. */
export const LATER = 3_600_000;

/** The tree in `file`; nothing is written into the database by time. */
export function opened(file: string, more: Partial<OpenTreeOptions> = {}, log: Log = silentLog) {
  const batches = { flushMs: LATER, openedCheckMs: LATER };
  const tree = openTree({ file, log, commit: "batched", batches, now: () => 0, ...more });
  if (typeof tree === "string") throw new Error(tree);
  return tree;
}

/** Applies a command of this node, outside a cluster. */
export const apply = (tree: TreeStore, command: TreeCommand): number =>
  tree.apply(command, { writer: 0, time: 1000 });

/** The command that makes a directory. */
export const mkdir = (path: string): TreeCommand => ({ kind: "mkdir", path });

/** The files that a crash would leave now: database, WAL and journal, in another directory. */
export function crash(file: string, into: TempDirectory): string {
  // By another process: opening the database here besides SQLite would drop its locks.
  const { exitCode } = Bun.spawnSync([
    "sh",
    "-c",
    `cp --preserve=links ${file}* ${into.path}; rm -f ${into.path}/*-shm`,
  ]);
  expect(exitCode).toBe(0);
  return into.at("config.db");
}

/** The name of row 0. */
export const nameOfRoot = (file: string): unknown => rowsIn(file)[0]?.[6];
