/**
 * Changes that are too long for one turn of the loop: the old state is served meanwhile, no call
 * blocks the loop for long, sizes are checked before data is read, and the change is completed.
 */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { importDirectory } from "../../src/pmxcfs/rescue/import.ts";
import { Memdb } from "../../src/pmxcfs/state/memdb.ts";
import { namesBeyond, newFolder, UNKNOWN_STAMP } from "../../src/pmxcfs/store/directory-folder.ts";
import type { Backend } from "../../src/pmxcfs/store/open.ts";
import { eventually } from "../support/eventually.ts";
import { nestedRows } from "./odd/making.ts";
import { makeDb, open, rememberingLog, seen, TempDirectory, textOf, Writer } from "./support.ts";

/** Processor time of a call that is too long, in ms; 2 is the aim, measured with metrics. */
const LONG_MS = 25;

/** Refreshes until `done`; returns the longest call, in ms of this thread's processor time. */
async function askUntil(what: string, backend: Backend, done: () => boolean): Promise<number> {
  let longest = 0;
  await eventually(
    what,
    async () => {
      for (let turn = 0; turn < 50; turn++) {
        const start = process.threadCpuUsage();
        backend.refresh();
        const { user, system } = process.threadCpuUsage(start);
        longest = Math.max(longest, (user + system) / 1000);
        if (done()) return true;
      }
      // Lets other events of the loop run.
      await new Promise((resolve) => setImmediate(resolve));
      return false;
    },
    60_000,
  );
  return longest;
}

test("3,000 files moved into a directory: other changes do not wait meanwhile", async () => {
  using directory = new TempDirectory();
  using elsewhere = new TempDirectory();
  directory.put("pve/storage.cfg", "before\n");
  mkdirSync(elsewhere.at("many"));
  for (let at = 0; at < 3_000; at++) writeFileSync(elsewhere.at("many", `f${at}`), "");
  using backend = open({ dir: directory.at("pve") });
  renameSync(elsewhere.at("many"), directory.at("pve", "many"));
  backend.refresh();
  expect(backend.memdb.entryCount).toBeLessThan(2_000);
  writeFileSync(directory.at("pve", "storage.cfg"), "after\n");
  backend.refresh();
  expect(textOf(backend.memdb.read("storage.cfg") ?? 0)).toBe("after\n");
  const all = (): boolean => backend.memdb.entryCount === 3_002;
  expect(await askUntil("all files", backend, all)).toBeLessThan(LONG_MS);
  renameSync(directory.at("pve", "many"), elsewhere.at("many"));
  const gone = (): boolean => backend.memdb.entryCount === 1;
  expect(await askUntil("none of them", backend, gone)).toBeLessThan(LONG_MS);
}, 120_000);

test("a directory that moves away during a long change is removed in slices", () => {
  using directory = new TempDirectory();
  using elsewhere = new TempDirectory();
  for (const many of [directory.at("pve", "large"), elsewhere.at("many")]) {
    mkdirSync(many, { recursive: true });
    for (let at = 0; at < 12_000; at++) writeFileSync(`${many}/f${at}`, "");
  }
  using backend = open({ dir: directory.at("pve") });
  renameSync(elsewhere.at("many"), directory.at("pve", "many"));
  backend.refresh();
  const before = backend.memdb.entryCount;
  writeFileSync(directory.at("pve", "large/f1"), "x");
  renameSync(directory.at("pve", "large"), elsewhere.at("large"));
  backend.refresh();
  expect(backend.memdb.entryCount).toBeGreaterThan(before - 6_000);
  for (let turn = 0; turn < 10_000 && backend.reloads.behindMs > 0; turn++) backend.refresh();
  expect(backend.memdb.entryCount).toBe(12_001);
  expect(backend.memdb.find("large")).toBeUndefined();
}, 120_000);

test("the names of a large directory are compared with its listing in steps", () => {
  const folder = newFolder(new Memdb().root, undefined, []);
  const stamp = UNKNOWN_STAMP;
  for (let at = 0; at < 10_000; at++) {
    folder.known.set(`f${at}`, { stamp, racy: false, leftOut: undefined });
  }
  const listed = new Set([...folder.known.keys()].filter((name) => name !== "f9999"));
  const steps = namesBeyond(folder, listed);
  let count = 0;
  let end = steps.next();
  for (; end.done !== true; end = steps.next()) count++;
  expect(end.value).toEqual(["f9999"]);
  expect(count).toBeGreaterThan(100);
});

test("names that are left out count as work, and are logged in one line", async () => {
  using directory = new TempDirectory();
  using elsewhere = new TempDirectory();
  const log = rememberingLog();
  directory.put("pve/storage.cfg", "here\n");
  mkdirSync(elsewhere.at("links"));
  for (let at = 0; at < 3_000; at++) symlinkSync("x", elsewhere.at("links", `l${at}`));
  using backend = open({ dir: directory.at("pve"), log });
  renameSync(elsewhere.at("links"), directory.at("pve", "links"));
  const all = (): boolean => log.lines.join().includes("and 2992 more");
  expect(await askUntil("the line", backend, all)).toBeLessThan(LONG_MS);
  expect(backend.memdb.entryCount).toBe(2);
}, 120_000);

test("40 files of 1 MiB rewritten: only a few are read in one turn", async () => {
  using directory = new TempDirectory();
  const content = Buffer.alloc(1 << 20, "a");
  for (let at = 0; at < 40; at++) writeFileSync(directory.put(`b${at}`), content);
  using backend = open({ dir: directory.path });
  for (let at = 0; at < 40; at++) {
    content[at] = 98;
    writeFileSync(directory.at(`b${at}`), content);
  }
  const all = (): boolean => backend.memdb.read("b39")?.[39] === 98;
  expect(await askUntil("the last one", backend, all)).toBeLessThan(LONG_MS);
}, 60_000);

/** A closed database with these rows on top of a plain one. */
function databaseWith(directory: TempDirectory, add: (database: Database) => void): string {
  const file = makeDb(directory);
  using database = new Database(file);
  database.run("PRAGMA synchronous = OFF");
  database.transaction(() => add(database))();
  return file;
}

test("a database of 15,000 nested rows that replaces another one is read in slices", async () => {
  using directory = new TempDirectory();
  using other = new TempDirectory();
  using backend = open({ db: makeDb(directory) });
  const file = databaseWith(other, (database) => {
    database.run("DELETE FROM tree");
    const insert = database.prepare("INSERT INTO tree VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    for (const row of nestedRows(15_000)) insert.run(...row.map((value) => value));
    insert.finalize();
  });
  renameSync(file, directory.at("config.db"));
  backend.refresh();
  expect(textOf(backend.memdb.read("storage.cfg") ?? 0)).toBe("dir: local\n");
  const all = (): boolean => backend.memdb.entryCount === 15_001;
  expect(await askUntil("the other tree", backend, all)).toBeLessThan(LONG_MS);
  // The new tree is served before the last slice of the work.
  await eventually("it is over", () => {
    return !backend.reloads.isReading && backend.reloads.behindMs === 0;
  });
}, 120_000);

test("a row of 100 MB is left out before it is read, one of 3 MB is served", async () => {
  using directory = new TempDirectory();
  const log = rememberingLog();
  const file = databaseWith(directory, (database) => {
    database.run("INSERT INTO tree VALUES (90, 0, 90, 0, 1, 8, 'huge', zeroblob(100000000))");
    database.run("INSERT INTO tree VALUES (91, 0, 91, 0, 1, 8, 'large', zeroblob(3000000))");
  });
  const before = process.memoryUsage().rss;
  using backend = open({ db: file, log });
  expect(process.memoryUsage().rss - before).toBeLessThan(60_000_000);
  expect(backend.memdb.read("large")).toHaveLength(3_000_000);
  expect(log.lines.join()).toContain("huge: 100000000 bytes exceed the read limit");
  using writer = new Writer(file);
  writer.write("storage.cfg", "after\n");
  const all = (): boolean => textOf(backend.memdb.read("storage.cfg") ?? 0) === "after\n";
  expect(await askUntil("the change", backend, all)).toBeLessThan(LONG_MS);
}, 60_000);

test("a FIFO in the place of a database is not opened; a database put back is served", async () => {
  using directory = new TempDirectory();
  using other = new TempDirectory();
  const log = rememberingLog();
  using backend = open({ db: makeDb(directory), log });
  Bun.spawnSync(["mkfifo", directory.at("fifo")]);
  renameSync(directory.at("fifo"), directory.at("config.db"));
  await eventually("the line", () => {
    backend.refresh();
    return log.lines.join().includes("it is a FIFO");
  });
  expect(seen(backend, "storage.cfg")[0]).toBe(1);
  directory.put("pve/storage.cfg", "again\n");
  importDirectory(directory.at("pve"), other.at("good.db"), { replace: false });
  renameSync(other.at("good.db"), directory.at("config.db"));
  await eventually("the good one", () => {
    backend.refresh();
    return textOf(backend.memdb.read("storage.cfg") ?? 0) === "again\n";
  });
});

test("a database in rollback mode, damaged and then replaced: the new one is served", async () => {
  using directory = new TempDirectory();
  using other = new TempDirectory();
  const log = rememberingLog();
  const file = makeDb(directory);
  {
    using database = new Database(file);
    database.run("PRAGMA journal_mode = DELETE");
  }
  using backend = open({ db: file, log });
  writeFileSync(file, readFileSync(file).subarray(0, 4096));
  await eventually("the line", () => {
    backend.refresh();
    return log.lines.length > 0;
  });
  expect(log.lines[0]).toMatch(/malformed\); the last state is still served \(of 20..-..-../);
  expect(backend.reloads.behindMs).toBeGreaterThan(0);
  directory.put("pve/storage.cfg", "new\n");
  importDirectory(directory.at("pve"), other.at("good.db"), { replace: false });
  renameSync(other.at("good.db"), file);
  await eventually("the good one", () => {
    backend.refresh();
    return textOf(backend.memdb.read("storage.cfg") ?? 0) === "new\n";
  });
  expect(backend.reloads.behindMs).toBe(0);
});

test("a root that becomes a symlink is not followed; a directory in its place is", async () => {
  using directory = new TempDirectory();
  const log = rememberingLog();
  directory.put("pve/storage.cfg", "own\n");
  directory.put("secret/storage.cfg", "another's\n");
  directory.put("next/storage.cfg", "next\n");
  using backend = open({ dir: directory.at("pve"), log });
  rmSync(directory.at("pve"), { recursive: true });
  symlinkSync("secret", directory.at("pve"));
  await eventually("a line", () => {
    backend.refresh();
    return log.lines.length > 0;
  });
  expect(backend.memdb.read("storage.cfg")).toBeUndefined();
  expect(log.lines.join()).toContain("it is gone (E");
  rmSync(directory.at("pve"));
  renameSync(directory.at("next"), directory.at("pve"));
  await eventually("the other directory", () => {
    backend.refresh();
    return textOf(backend.memdb.read("storage.cfg") ?? 0) === "next\n";
  });
});
