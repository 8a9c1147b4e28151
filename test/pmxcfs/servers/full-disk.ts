/**
 * Fills a file system with changes of a config.db, empties it again, makes it read-only and
 * writable again; prints the answer of each change. Runs in its own mount namespace, as root:
 * `full-disk.ts DIRECTORY each|batched`. DIRECTORY is a small tmpfs.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openTree } from "../../../src/pmxcfs/store/open-tree.ts";
import type { TreeStore } from "../../../src/pmxcfs/store/tree-store.ts";
import { rememberingLog } from "../support.ts";

const [directory = "", mode = "each"] = process.argv.slice(2);
const log = rememberingLog();
function open(): TreeStore | string {
  const commit = mode === "batched" ? "batched" : "each";
  return openTree({ file: join(directory, "config.db"), log, commit });
}

function opened(): TreeStore {
  const result = open();
  if (typeof result === "string") throw new Error(result);
  return result;
}

const tree = opened();

const data = new Uint8Array(20_000).fill(120);
const ballast = join(directory, "ballast");

function fill(): void {
  try {
    writeFileSync(ballast, new Uint8Array(64 * 1024 * 1024));
  } catch {
    // Until the file system is full.
  }
}

function change(name: string): number {
  const origin = { writer: 0, time: 1000 };
  const path = name;
  const made = tree.apply({ kind: "create", path }, origin);
  return made === 0 ? tree.apply({ kind: "write", path, offset: 0, data }, origin) : made;
}

function remount(how: string): void {
  const { exitCode } = Bun.spawnSync(["mount", "-o", `remount,${how}`, directory]);
  if (exitCode !== 0) throw new Error(`remount,${how}`);
}

const answers: Record<string, number> = {};
answers["empty"] = change("empty");
fill();
answers["full"] = change("full");
answers["full again"] = change("full2");
rmSync(ballast);
answers["room"] = change("room");
tree.storage.flush();
if (mode === "each") {
  // A file open for writing keeps a file system from being made read-only: -wal and -shm are.
  tree[Symbol.dispose]();
  remount("ro");
  answers["read-only start refused"] = typeof open() === "string" ? 1 : 0;
  remount("rw");
}
const again = mode === "each" ? opened() : tree;
again.storage.flush();
const names = [...again.entries()].map(({ name, size }) => [name, size]);
again[Symbol.dispose]();
console.log(JSON.stringify({ answers, names, lines: log.lines }));
