/**
 * `--commit batched` when something fails: a journal that is full or cannot be emptied, a database
 * that is locked or replaced. Row 0 keeps a C server away exactly while changes wait.
 */
import { Database } from "bun:sqlite";
import { expect, spyOn, test } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { Errno } from "../../src/base/errno.ts";
import { backupDatabase } from "../../src/pmxcfs/rescue/backup.ts";
import { pendingChanges } from "../../src/pmxcfs/rescue/pending-changes.ts";
import { verifyDatabase } from "../../src/pmxcfs/rescue/verify.ts";
import { ConfigDbWriter } from "../../src/pmxcfs/store/config-db-writer.ts";
import { readRows } from "../../src/pmxcfs/store/sqlite-rows.ts";
import { withDescriptors } from "../support/descriptors.ts";
import { eventually } from "../support/eventually.ts";
import { apply, crash, LATER, mkdir, nameOfRoot, opened } from "./batched-tree.ts";
import { rememberingLog, TempDirectory } from "./support.ts";
import { rowsIn } from "./tree-rows-of.ts";

test("changes fail with EIO, a log line and a count, when the journal cannot grow", () => {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  const log = rememberingLog();
  using tree = opened(file, { batches: { flushMs: LATER, journalBytes: 90 } }, log);
  const other = new Database(file);
  other.run("BEGIN IMMEDIATE");
  const answers = ["a", "b", "c"].map((name) => apply(tree, mkdir(name)));
  other.close();
  expect(answers).toEqual([0, Errno.EIO, Errno.EIO]);
  expect(log.lines.filter((line) => line.includes("was not written"))).toEqual([
    expect.stringContaining("limit of 90 bytes"),
  ]);
  expect(tree.storage.figures?.commitFailures).toBe(2);
});

test("a locked database is not tried again at each change", () => {
  for (const commit of ["batched", "each"] as const) {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    const batches = { flushMs: LATER, retryMs: LATER, changes: 5 };
    using tree = opened(file, { batches, commit });
    if (commit === "each") tree.enterCluster();
    const other = new Database(file);
    other.run("BEGIN IMMEDIATE");
    const attempts = spyOn(ConfigDbWriter.prototype, "commit");
    for (let at = 0; at < 50; at++) expect(apply(tree, mkdir(`d${at}`))).toBe(0);
    // The mark, and the first one that has to be written.
    expect(attempts.mock.calls.length).toBeLessThan(5);
    attempts.mockRestore();
    other.run("ROLLBACK");
    other.close();
    expect(tree.storage.flush()).toBe(0);
    expect(rowsIn(file).length).toBe(51);
  }
});

test("a C server refuses the database also when row 0 was written between two batches", () => {
  using directory = new TempDirectory();
  using copies = new TempDirectory();
  const file = directory.at("config.db");
  using tree = opened(file, { batches: { flushMs: LATER, changes: 2 } });
  for (const name of ["a", "b"]) apply(tree, mkdir(name));
  expect(String(nameOfRoot(file))).toContain("pmxcfs-ipc config flush");
  expect(tree.probe()).toBe(true);
  expect(nameOfRoot(file)).toBe("__version__");
  apply(tree, mkdir("c"));
  const copy = crash(file, copies);
  expect(String(nameOfRoot(copy))).toContain("pmxcfs-ipc config flush");
});

test("between two batches no change is said to be lost, and a copy is one that C loads", () => {
  using directory = new TempDirectory();
  using copies = new TempDirectory();
  using tree = opened(directory.at("config.db"), { batches: { flushMs: LATER, changes: 2 } });
  for (const name of ["a", "b"]) apply(tree, mkdir(name));
  const file = crash(directory.at("config.db"), copies);
  expect(String(nameOfRoot(file))).toContain("pmxcfs-ipc config flush");
  expect(verifyDatabase(file).notes.join("\n")).not.toContain("lost");
  const copy = backupDatabase({ database: file, target: copies.at("copy.db"), keep: undefined });
  expect(copy).toMatchObject({ version: 3, directories: 2 });
  expect(nameOfRoot(copies.at("copy.db"))).toBe("__version__");
  const log = rememberingLog();
  opened(file, {}, log)[Symbol.dispose]();
  expect(log.lines).toEqual([expect.stringContaining("no change waits in config.db.changes; if")]);
});

test("a reader gets the changes that were answered, although they are written meanwhile", () => {
  for (const more of [0, 1, 3]) {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    using tree = opened(file);
    using database = new Database(file);
    for (const name of ["a", "b"]) apply(tree, mkdir(name));
    const changes = pendingChanges(file);
    const rows = more === 3 ? undefined : readRows(database);
    expect(tree.storage.flush()).toBe(0);
    // Another journal is begun, and its changes are written too, before the rows are read.
    for (let at = 0; at < more; at++) apply(tree, mkdir(`later${at}`));
    if (more === 3) {
      expect(tree.storage.flush()).toBe(0);
      apply(tree, mkdir("last"));
    }
    const read = changes(rows ?? readRows(database));
    const names = read.rows.map(({ name }) => name);
    expect(names.slice(0, 3)).toEqual(["__version__", "a", "b"]);
    expect(read.note ?? "").not.toMatch(/lost|another state/);
  }
});

test("no copy is made of a database whose waiting changes cannot be read", () => {
  using directory = new TempDirectory();
  using copies = new TempDirectory();
  using tree = opened(directory.at("config.db"));
  apply(tree, mkdir("a"));
  const file = crash(directory.at("config.db"), copies);
  renameSync(`${file}.changes`, copies.at("aside"));
  mkdirSync(`${file}.changes`);
  const target = copies.at("copy.db");
  const answer = backupDatabase({ database: file, target, keep: undefined });
  expect(answer).toContain("config.db.changes cannot be read");
  expect(existsSync(target)).toBe(false);
});

test("a journal is set aside when another server made as many changes as it has", () => {
  using directory = new TempDirectory();
  using copies = new TempDirectory();
  const file = directory.at("config.db");
  using tree = opened(file);
  const other = new Database(file);
  // The mark cannot be written, so that a C server starts after a crash.
  other.run("BEGIN IMMEDIATE");
  expect(apply(tree, mkdir("a"))).toBe(0);
  const copy = crash(file, copies);
  other.run("ROLLBACK");
  other.close();
  using database = new Database(copy);
  database.run("INSERT INTO tree VALUES (2, 0, 2, 0, 1001, 4, 'theirs', NULL)");
  database.run("UPDATE tree SET version = 2, mtime = 1001 WHERE inode = 0");
  const log = rememberingLog();
  using again = opened(copy, {}, log);
  expect([...again.entries()].map(({ name }) => name)).toEqual(["theirs"]);
  expect(log.lines.join("\n")).toContain("its 1 change, to a, are kept in");
});

test("a C server loads the database when its only change was refused with EIO", async () => {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  using tree = opened(file, { batches: { flushMs: 20, retryMs: 20, openedCheckMs: LATER } });
  mkdirSync(`${file}.changes`);
  expect(apply(tree, mkdir("a"))).toBe(Errno.EIO);
  await eventually("row 0 has its name", () => nameOfRoot(file) === "__version__");
  rmdirSync(`${file}.changes`);
  expect(apply(tree, mkdir("a"))).toBe(0);
  expect(String(nameOfRoot(file))).toContain("pmxcfs-ipc config flush");
});

test("changes accepted while the database was locked are in it soon after", async () => {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  using tree = opened(file, { batches: { flushMs: LATER, openedCheckMs: LATER, retryMs: 20 } });
  const other = new Database(file);
  other.run("BEGIN IMMEDIATE");
  expect(apply(tree, mkdir("a"))).toBe(0);
  // The mark could not be written: until then a C server could start without the change.
  expect(nameOfRoot(file)).toBe("__version__");
  other.run("ROLLBACK");
  other.close();
  await eventually("it is in the database", () => rowsIn(file).length === 2);
});

test("the journal follows a database that was replaced, also after a failed flush", async () => {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  opened(directory.at("other.db"))[Symbol.dispose]();
  using tree = opened(file);
  apply(tree, mkdir("a"));
  const commit = spyOn(ConfigDbWriter.prototype, "commit").mockReturnValue(Errno.EIO);
  renameSync(directory.at("other.db"), file);
  const names = (): string[] => readdirSync(directory.path);
  await eventually("the database has moved", () => names().some((name) => /replaced/.test(name)));
  commit.mockRestore();
  expect(tree.storage.flush()).toBe(0);
  apply(tree, mkdir("b"));
  expect(names().filter((name) => name.endsWith(".changes"))).toEqual([
    expect.stringMatching(/^config\.db\.replaced-\w+\.changes$/),
  ]);
});

test("a journal that cannot be emptied is made anew: its changes are in the database", () => {
  using directory = new TempDirectory();
  using copies = new TempDirectory();
  const file = directory.at("config.db");
  using tree = opened(file);
  apply(tree, mkdir("a"));
  const isJournal = (fd: string): boolean => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === `${file}.changes`;
    } catch {
      return false;
    }
  };
  // A descriptor that every call refuses stands for a disk that gives EIO.
  closeSync(Number(readdirSync("/proc/self/fd").find(isJournal)));
  expect(tree.storage.flush()).toBe(0);
  expect(apply(tree, mkdir("b"))).toBe(0);
  using again = opened(crash(file, copies));
  expect([...again.entries()].map(({ name }) => name)).toEqual(["a", "b"]);
});

test("a journal that cannot be begun for want of descriptors takes none with it", async () => {
  using directory = new TempDirectory();
  using tree = opened(directory.at("config.db"), { sync: "full" });
  // One for the journal, none for its directory, which has to be on the disk, too.
  await withDescriptors(1, () => {
    expect(apply(tree, mkdir("a"))).toBe(Errno.EIO);
    closeSync(openSync("/dev/null", "r"));
  });
  expect(apply(tree, mkdir("a"))).toBe(0);
});

test("the journal of a database that takes the place of ours is not removed", async () => {
  using directory = new TempDirectory();
  using theirs = new TempDirectory();
  using copies = new TempDirectory();
  const file = directory.at("config.db");
  {
    using tree = opened(theirs.at("config.db"));
    apply(tree, mkdir("theirs"));
    crash(theirs.at("config.db"), copies);
  }
  const names = (): string[] => readdirSync(directory.path);
  {
    using tree = opened(file);
    apply(tree, mkdir("ours"));
    for (const suffix of [".changes", ""])
      renameSync(copies.at(`config.db${suffix}`), file + suffix);
    await eventually("the database has moved", () => names().some((name) => /replaced/.test(name)));
    expect(apply(tree, mkdir("later"))).toBe(0);
  }
  expect(names()).toContain("config.db.changes");
  expect(names().filter((name) => name.endsWith(".changes"))).toHaveLength(1);
});

test("a journal that was put beside our database is set aside when ours is begun", () => {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  using tree = opened(file);
  writeFileSync(`${file}.changes`, "theirs");
  expect(apply(tree, mkdir("a"))).toBe(0);
  const aside = readdirSync(directory.path).filter((name) => name.includes("set-aside"));
  expect(aside.map((name) => readFileSync(directory.at(name), "utf8"))).toEqual(["theirs"]);
});

test("an empty journal that was removed is made again before a change is answered", () => {
  using directory = new TempDirectory();
  using copies = new TempDirectory();
  const file = directory.at("config.db");
  using tree = opened(file);
  apply(tree, mkdir("a"));
  expect(tree.storage.flush()).toBe(0);
  rmSync(`${file}.changes`);
  apply(tree, mkdir("b"));
  using again = opened(crash(file, copies));
  expect([...again.entries()].map(({ name }) => name)).toEqual(["a", "b"]);
});

test("changes in a journal that was removed are written into the database at once", async () => {
  using directory = new TempDirectory();
  using copies = new TempDirectory();
  const file = directory.at("config.db");
  using tree = opened(file, { batches: { flushMs: LATER } });
  apply(tree, mkdir("a"));
  rmSync(`${file}.changes`);
  await eventually("no change waits", () => tree.storage.figures?.waiting === 0);
  apply(tree, mkdir("b"));
  using left = opened(crash(file, copies));
  expect([...left.entries()].map(({ name }) => name)).toEqual(["a", "b"]);
});

test("the journal of a database that was served through a symlink is found without it", () => {
  using directory = new TempDirectory();
  using links = new TempDirectory();
  using copies = new TempDirectory();
  const file = directory.at("config.db");
  opened(file)[Symbol.dispose]();
  symlinkSync(file, links.at("config.db"));
  using tree = opened(links.at("config.db"));
  apply(tree, mkdir("a"));
  expect(readdirSync(links.path)).toEqual(["config.db"]);
  const log = rememberingLog();
  using again = opened(crash(file, copies), {}, log);
  expect([...again.entries()].map(({ name }) => name)).toEqual(["a"]);
  expect(log.lines).toEqual([expect.stringContaining("1 change replayed")]);
});
