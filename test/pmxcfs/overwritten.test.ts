/** A config.db whose content is overwritten in place while it is served (`cp` onto it). */
import { describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { mkdirSync, readdirSync, readFileSync, rmdirSync, utimesSync } from "node:fs";
import { compactTime } from "../../src/base/compact-time.ts";
import { everySecond } from "../../src/base/heartbeat.ts";
import type { Log } from "../../src/base/log.ts";
import { openTree, type OpenTreeOptions } from "../../src/pmxcfs/store/open-tree.ts";
import type { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";
import { compactFile } from "../../src/pmxcfs/store/upkeep.ts";
import { eventually } from "../support/eventually.ts";
import { apply, LATER, mkdir } from "./batched-tree.ts";
import { makeDb, rememberingLog, TempDirectory } from "./support.ts";

/** Checkpoints by no timer. */
const NEVER = { idleMs: LATER, maxAgeMs: LATER, pages: Infinity };

function opened(file: string, log: Log, more: Partial<OpenTreeOptions> = {}): TreeStore {
  const tree = openTree({ file, log, checkpoints: { idleMs: 20 }, ...more });
  if (typeof tree === "string") throw new Error(tree);
  return tree;
}

/** By another process: closing the file here would drop SQLite's locks. */
function shell(script: string): void {
  expect(Bun.spawnSync(["sh", "-c", script]).exitCode).toBe(0);
}

/** Paths of the files in which an overwritten database continues. */
function kept(directory: TempDirectory): string[] {
  const names = readdirSync(directory.path).filter((name) => /\.replaced-\d+T\d+Z$/.test(name));
  return names.map((name) => directory.at(name));
}

/** Names in the tree of a database that is at rest. */
function namesIn(file: string): string[] {
  using database = new Database(file, { readwrite: true });
  const rows = database.query("SELECT name FROM tree WHERE inode > 0 ORDER BY name").values();
  return rows.map(([name]) => String(name));
}

/** Resolves after a check that everything makes once a second. */
async function checked(): Promise<void> {
  let beats = 0;
  using _beat = everySecond(() => beats++);
  await eventually("a beat", () => beats > 0);
}

/** A database whose tree does not fit into the page cache, and another one; both not open. */
function twoDatabases(directory: TempDirectory): { readonly file: string; readonly other: string } {
  const [file, other] = [directory.at("config.db"), makeDb(directory)];
  shell(`mv ${other} ${directory.at("other.db")}`);
  using tree = opened(file, rememberingLog());
  for (let count = 100; count < 108; count++) {
    apply(tree, { kind: "create", path: `f${count}` });
    const data = new Uint8Array(900_000).fill(count);
    apply(tree, { kind: "write", path: `f${count}`, offset: 0, data });
  }
  return { file, other: directory.at("other.db") };
}

const OURS = [100, 101, 102, 103, 104, 105, 106, 107].map((count) => `f${count}`);

describe("a config.db that is overwritten while it is served", () => {
  test("is not written to: what is served continues in config.db.replaced-TIME", async () => {
    using directory = new TempDirectory();
    const { file, other } = twoDatabases(directory);
    const log = rememberingLog();
    {
      using tree = opened(file, log);
      apply(tree, mkdir("before"));
      await eventually("it is in config.db", () => (tree.storage.figures?.checkpoints ?? 0) > 0);
      shell(`cp ${other} ${file}`);
      apply(tree, mkdir("meanwhile"));
      await eventually("it is noticed", () => kept(directory).length > 0);
      expect(apply(tree, mkdir("later"))).toBe(0);
      expect(readdirSync(directory.path)).not.toContain("config.db-wal");
    }
    expect(log.lines.filter((line) => line.includes("was overwritten while"))).toHaveLength(1);
    expect(readFileSync(file).equals(readFileSync(other))).toBe(true);
    const names = namesIn(kept(directory)[0] ?? "");
    expect(names.filter((name) => name !== "meanwhile")).toEqual(["before", ...OURS, "later"]);
    using again = opened(kept(directory)[0] ?? "", rememberingLog());
    const bytes = again.memdb.find("f107")?.bytes ?? new Uint8Array(0);
    expect(Buffer.alloc(900_000, 107).equals(bytes)).toBe(true);
  });

  test("is not written to at the stop, although the last changes are only in the WAL", () => {
    using directory = new TempDirectory();
    const { file, other } = twoDatabases(directory);
    {
      using tree = opened(file, rememberingLog(), { checkpoints: NEVER });
      apply(tree, mkdir("before"));
      shell(`cp ${other} ${file}`);
    }
    expect(readFileSync(file).equals(readFileSync(other))).toBe(true);
    expect(kept(directory).map(namesIn)).toEqual([["before", ...OURS]]);
    expect(readdirSync(directory.path)).toHaveLength(3);
  });

  test.each([
    ["zeros", (file: string) => `dd if=/dev/zero of=${file} bs=4096 seek=3 count=3 conv=notrunc`],
    ["nothing, with its -wal removed", (file: string) => `: > ${file}; rm ${file}-wal`],
  ])("with %s: no change is lost, also none that waits in the journal", async (_, command) => {
    using directory = new TempDirectory();
    const { file } = twoDatabases(directory);
    const batches = { flushMs: LATER, openedCheckMs: LATER };
    {
      using tree = opened(file, rememberingLog(), { commit: "batched", batches });
      apply(tree, mkdir("waits"));
      await eventually("row 0 is in config.db", () => (tree.storage.figures?.checkpoints ?? 0) > 0);
      shell(command(file));
      await eventually("it is noticed", () => kept(directory).length > 0);
      expect(tree.storage.figures?.waiting).toBe(0);
    }
    expect(kept(directory).map(namesIn)).toEqual([[...OURS, "waits"]]);
  });

  test("gets no page of ours while what is served cannot be kept", async () => {
    using directory = new TempDirectory();
    const { file, other } = twoDatabases(directory);
    const log = rememberingLog();
    // Directories under the names that ours would get stand for a full disk.
    const names = Array.from({ length: 600 }, (_, second) => {
      return `${file}.replaced-${compactTime(Date.now() + 1000 * second)}`;
    });
    for (const name of names) mkdirSync(name);
    {
      using tree = opened(file, log);
      apply(tree, mkdir("a"));
      shell(`cp ${other} ${file}`);
      await eventually("it is noticed", () => log.lines.join().includes("could not be kept"));
      await checked();
      shell(`cmp ${other} ${file}`);
      for (const name of names) rmdirSync(name);
      await eventually("it is kept", () => kept(directory).length > 0);
    }
    shell(`cmp ${other} ${file}`);
    expect(kept(directory).map(namesIn)).toEqual([["a", ...OURS]]);
  });
});

describe("not taken for that", () => {
  test.each([
    ["touch", (file: string) => utimesSync(file, 1, 1)],
    ["config compact", (file: string) => expect(typeof compactFile(file)).toBe("object")],
    [
      "a change of rows through SQLite, and its checkpoint",
      (file: string) => {
        using database = new Database(file);
        database.run("UPDATE tree SET data = x'61' WHERE name = 'f100'");
        database.run("PRAGMA wal_checkpoint(TRUNCATE)");
      },
    ],
  ])("%s", async (_, change) => {
    using directory = new TempDirectory();
    const { file } = twoDatabases(directory);
    const log = rememberingLog();
    {
      using tree = opened(file, log);
      apply(tree, mkdir("a"));
      await eventually("it is in config.db", () => (tree.storage.figures?.checkpoints ?? 0) > 0);
      change(file);
      await checked();
      apply(tree, mkdir("b"));
      change(file);
      await eventually("it is, too", () => (tree.storage.figures?.checkpoints ?? 0) > 1);
      utimesSync(file, 2, 2);
      await checked();
      apply(tree, mkdir("c"));
    }
    expect(kept(directory)).toEqual([]);
    expect(log.lines).toEqual([]);
    expect(namesIn(file)).toEqual(["a", "b", "c", ...OURS]);
  });
});
