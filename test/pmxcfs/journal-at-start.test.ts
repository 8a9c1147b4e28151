/**
 * The journal at a start and a stop: one with wrong bytes in it is neither deleted nor passed over
 * silently, and one that cannot be written into the database at once is written later.
 */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lockFile } from "../../src/platform/files.ts";
import { backupDatabase } from "../../src/pmxcfs/rescue/backup.ts";
import { renameNode } from "../../src/pmxcfs/rescue/rename-node.ts";
import { salvage } from "../../src/pmxcfs/rescue/salvage.ts";
import { eventually } from "../support/eventually.ts";
import { REPOSITORY } from "../support/native.ts";
import { apply, crash, LATER, mkdir, nameOfRoot, opened } from "./batched-tree.ts";
import { rememberingLog, TempDirectory } from "./support.ts";

/** Damages a journal of the changes a, b and c: a byte of the head, or of the record of b. */
function damaged(file: string, where: "head" | "record"): void {
  const bytes = readFileSync(`${file}.changes`);
  const at = where === "head" ? 30 : 64 + Math.floor((bytes.length - 64) / 2);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(`${file}.changes`, bytes);
}

test.each([
  ["head", []],
  ["record", ["a"]],
] as const)("a journal with a damaged %s is kept, and what it may lack is said", (where, names) => {
  using directory = new TempDirectory();
  using copies = new TempDirectory();
  using tree = opened(directory.at("config.db"));
  for (const name of ["a", "b", "c"]) apply(tree, mkdir(name));
  const file = crash(directory.at("config.db"), copies);
  damaged(file, where);
  const journal = readFileSync(`${file}.changes`);
  const target = copies.at("copy.db");
  expect(backupDatabase({ database: file, target, keep: undefined })).toContain("damaged");
  expect(salvage(file).items.map(({ name }) => name)).toEqual([...names]);
  expect(renameNode(file, "a", "b")).toContain("damaged");
  const log = rememberingLog();
  using again = opened(file, {}, log);
  expect([...again.entries()].map(({ name }) => name)).toEqual([...names]);
  const aside = readdirSync(copies.path).find((name) => name.includes("set-aside"));
  expect(readFileSync(copies.at(aside!))).toEqual(journal);
  expect(log.lines.join("\n")).toContain("config.db.changes is damaged");
});

test("a damaged database is salvaged with the changes that wait beside it", () => {
  using directory = new TempDirectory();
  using copies = new TempDirectory();
  using tree = opened(directory.at("config.db"));
  for (let at = 0; at < 200; at++) {
    const path = `f${at}`;
    apply(tree, { kind: "create", path });
    apply(tree, { kind: "write", path, offset: 0, data: Buffer.alloc(300, "x") });
  }
  expect(tree.storage.flush()).toBe(0);
  apply(tree, mkdir("late"));
  apply(tree, { kind: "write", path: "f0", offset: 0, data: Buffer.from("late") });
  const file = crash(directory.at("config.db"), copies);
  {
    using database = new Database(file);
    database.run("PRAGMA wal_checkpoint(TRUNCATE)");
  }
  const bytes = readFileSync(file);
  bytes.fill(0, bytes.length - 4096);
  writeFileSync(file, bytes);
  const { items, database } = salvage(file);
  expect(database.isPartial).toBe(true);
  expect(items.length).toBeWithin(100, 201);
  expect(items.map(({ name }) => name)).toContain("late");
  const changed = items.find(({ name }) => name === "f0");
  expect(Buffer.from(changed!.row.data).toString("latin1", 0, 5)).toBe("latex");
  expect(database.notes.join("\n")).toContain(
    "2 changes in config.db.changes beside it, applied to",
  );
});

test("a damaged journal of another database is set aside, once", () => {
  using directory = new TempDirectory();
  using copies = new TempDirectory();
  using tree = opened(directory.at("config.db"));
  for (const name of ["a", "b", "c"]) apply(tree, mkdir(name));
  const file = crash(directory.at("config.db"), copies);
  damaged(file, "record");
  {
    using database = new Database(file);
    database.run("INSERT INTO tree VALUES (9, 0, 9, 0, 1001, 4, 'theirs', NULL)");
  }
  using again = opened(file);
  expect([...again.entries()].map(({ name }) => name)).toEqual(["theirs"]);
  expect(readdirSync(copies.path).filter((name) => name.includes("set-aside"))).toHaveLength(1);
});

/** Holds the write lock for half a second. */
const WRITE_LOCK = `
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(0.5)
c.execute("ROLLBACK")
`;

test("a start waits for another process's lock, and then replays the journal", async () => {
  using directory = new TempDirectory();
  using copies = new TempDirectory();
  using tree = opened(directory.at("config.db"));
  apply(tree, mkdir("a"));
  const file = crash(directory.at("config.db"), copies);
  const other = Bun.spawn(["python3", "-c", WRITE_LOCK, file], { stdout: "pipe" });
  await other.stdout.getReader().read();
  using again = opened(file);
  expect([...again.entries()].map(({ name }) => name)).toEqual(["a"]);
  expect(await other.exited).toBe(0);
});

test("a stop waits for another process's lock, and leaves no journal", async () => {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  // Longer than the other process may need for its half a second beside other load.
  const batches = { flushMs: LATER, openedCheckMs: LATER, stopMs: LATER };
  const tree = opened(file, { batches });
  apply(tree, mkdir("a"));
  const other = Bun.spawn(["python3", "-c", WRITE_LOCK, file], { stdout: "pipe" });
  await other.stdout.getReader().read();
  tree[Symbol.dispose]();
  expect(readdirSync(directory.path)).not.toContain("config.db.changes");
  // The other process, as the last to close the database, locks readers out for a moment.
  expect(await other.exited).toBe(0);
  expect(nameOfRoot(file)).toBe("__version__");
  expect(salvage(file).items.map(({ name }) => name)).toEqual(["a"]);
});

test("config flush waits for the lock of a server that is starting", async () => {
  using directory = new TempDirectory();
  using copies = new TempDirectory();
  using tree = opened(directory.at("config.db"));
  apply(tree, mkdir("a"));
  const file = crash(directory.at("config.db"), copies);
  const lock = openSync(copies.at(".pmxcfs.lockfile"), "a", 0o600);
  expect(lockFile(lock)).toBe(0);
  const log = directory.put("log");
  const main = join(REPOSITORY, "src/main.ts");
  const command = [process.execPath, main, "config", "flush", "--db", file];
  const flushing = Bun.spawn(command, { stdout: "ignore", stderr: Bun.file(log) });
  await eventually("it waits", () => readFileSync(log, "utf8").includes("trying again"));
  const waiting = readFileSync(`${file}.changes`);
  closeSync(lock);
  expect(waiting.length).toBeGreaterThan(0);
  expect(await flushing.exited).toBe(0);
  expect(readdirSync(copies.path).toSorted()).toEqual([".pmxcfs.lockfile", "config.db"]);
});
