/** A config.db that gets another file in its place, from a server that is then killed. */
import { expect, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  utimesSync,
} from "node:fs";
import { basename, join } from "node:path";
import type { Log } from "../../src/base/log.ts";
import { restoreDatabase } from "../../src/pmxcfs/rescue/backup.ts";
import { renameNode } from "../../src/pmxcfs/rescue/rename-node.ts";
import { salvage } from "../../src/pmxcfs/rescue/salvage.ts";
import { verifyDatabase } from "../../src/pmxcfs/rescue/verify.ts";
import { type CommitMode, openTree } from "../../src/pmxcfs/store/open-tree.ts";
import { compactFile } from "../../src/pmxcfs/store/upkeep.ts";
import { makeDb, rememberingLog, TempDirectory } from "./support.ts";

const SOURCES = join(import.meta.dir, "../../src");

/**
 * Serves config.db, makes `ours`, which stays in the -wal or the journal, runs `script`, and is
 * killed.
 */
function killed(directory: TempDirectory, script: string, commit: CommitMode = "each"): void {
  const code = `
    import * as fs from "node:fs";
    import { silentLog } from "${SOURCES}/base/log.ts";
    import { openTree } from "${SOURCES}/pmxcfs/store/open-tree.ts";
    const tree = openTree({ file: "config.db", log: silentLog, commit: "${commit}" });
    if (tree.apply({ kind: "mkdir", path: "ours" }, { writer: 0, time: 1000 }) !== 0) throw tree;
    ${script}
    process.kill(process.pid, "SIGKILL");`;
  const words = [process.execPath, "-e", code];
  const { exitCode, signalCode, stderr } = Bun.spawnSync(words, { cwd: directory.path });
  expect({ exitCode, signalCode, stderr: stderr.toString() }).toMatchObject({
    signalCode: "SIGKILL",
    stderr: "",
  });
}

/** The names in the tree of a database, as the next server has it. */
function served(file: string, log: Log): string[] {
  const tree = openTree({ file, log });
  if (typeof tree === "string") throw new Error(tree);
  using opened = tree;
  return [...opened.entries()].map(({ name }) => name);
}

/** A database that a server has closed, and another one at `other.db`. */
function twoDatabases(directory: TempDirectory): string[] {
  renameSync(makeDb(directory), directory.at("other.db"));
  const theirs = served(directory.at("other.db"), rememberingLog());
  served(directory.at("config.db"), rememberingLog());
  expect(readdirSync(directory.path).toSorted()).toEqual(["config.db", "other.db"]);
  return theirs;
}

/** The file in which the old database was kept. */
function keptIn(directory: TempDirectory): string {
  const names = readdirSync(directory.path).filter((name) => /\.replaced-\d+T\d+Z$/.test(name));
  expect(names).toHaveLength(1);
  return directory.at(names[0] ?? "");
}

test.each([
  ["is renamed to it", `fs.renameSync("other.db", "config.db");`],
  ["is copied to it anew", `fs.rmSync("config.db"); fs.copyFileSync("other.db", "config.db");`],
])("a database that %s gets nothing of the old one's -wal, and the old one is kept", (_, put) => {
  using directory = new TempDirectory();
  const theirs = twoDatabases(directory);
  killed(directory, put);
  const before = readFileSync(directory.at("config.db"));
  const log = rememberingLog();
  expect(served(directory.at("config.db"), log)).toEqual(theirs);
  expect(readFileSync(directory.at("config.db")).equals(before)).toBe(true);
  expect(log.lines).toEqual([expect.stringContaining("another file is in its place since the")]);
  expect(served(keptIn(directory), rememberingLog())).toEqual(["ours"]);
  const names = readdirSync(directory.path).filter((name) => name !== "other.db");
  expect(names.toSorted()).toEqual(["config.db", basename(keptIn(directory))]);
});

test("the changes that wait beside the old one are kept with it", () => {
  using directory = new TempDirectory();
  const theirs = twoDatabases(directory);
  killed(directory, `fs.renameSync("other.db", "config.db");`, "batched");
  const log = rememberingLog();
  expect(served(directory.at("config.db"), log)).toEqual(theirs);
  expect(log.lines).toEqual([
    expect.stringContaining("another file is in its place since the"),
    expect.stringContaining(`are kept in ${keptIn(directory)}.changes`),
  ]);
  expect(served(keptIn(directory), rememberingLog())).toEqual(["ours"]);
});

test("a database that was removed is kept, and a new one is begun", () => {
  using directory = new TempDirectory();
  twoDatabases(directory);
  killed(directory, `for (const side of ["", "-wal", "-shm"]) fs.rmSync("config.db" + side);`);
  const log = rememberingLog();
  expect(served(directory.at("config.db"), log)).toEqual([]);
  expect(log.lines).toEqual([expect.stringContaining("config.db: it is gone since the last")]);
  expect(existsSync(keptIn(directory))).toBe(true);
});

test.each([
  ["nothing else", ""],
  [
    "a copy of itself in its place",
    `fs.copyFileSync("config.db", "new"); fs.renameSync("new", "config.db");`,
  ],
])("after a kill with %s, the -wal belongs to the database", (_, script) => {
  using directory = new TempDirectory();
  twoDatabases(directory);
  killed(directory, script);
  const log = rememberingLog();
  expect(served(directory.at("config.db"), log)).toEqual(["ours"]);
  expect(log.lines).toEqual([]);
  expect(readdirSync(directory.path).toSorted()).toEqual(["config.db", "other.db"]);
});

test("a copy of the directory of a killed server is served with its -wal", () => {
  using directory = new TempDirectory();
  using copies = new TempDirectory();
  twoDatabases(directory);
  killed(directory, "");
  mkdirSync(copies.at("copy"));
  cpSync(directory.path, copies.at("copy"), { recursive: true });
  const log = rememberingLog();
  expect(served(copies.at("copy/config.db"), log)).toEqual(["ours"]);
  expect(log.lines).toEqual([]);
});

test("a database that a command replaced after a kill is kept once", () => {
  using directory = new TempDirectory();
  twoDatabases(directory);
  killed(directory, "");
  const restored = restoreDatabase(directory.at("other.db"), directory.at("config.db"));
  expect(restored).toMatchObject({ kept: expect.stringContaining("config.db.bak-") });
  const log = rememberingLog();
  served(directory.at("config.db"), log);
  expect(log.lines).toEqual([]);
});

test("a -wal that another server has used since with the new file stays that one's", () => {
  using directory = new TempDirectory();
  twoDatabases(directory);
  killed(directory, `fs.renameSync("other.db", "config.db");`);
  const file = directory.at("config.db");
  const code = `
    const database = new (require("bun:sqlite").Database)("config.db");
    database.run("INSERT INTO tree VALUES (900, 0, 900, 0, 1, 8, 'later', NULL)");
    process.kill(process.pid, "SIGKILL");`;
  Bun.spawnSync([process.execPath, "-e", code], { cwd: directory.path });
  const later = Date.now() / 1000 + 10;
  utimesSync(`${file}-wal`, later, later);
  const log = rememberingLog();
  expect(served(file, log)).toContain("later");
  expect(log.lines[0]).toContain("another file is in its place since the last server was killed");
  expect(existsSync(`${keptIn(directory)}-wal`)).toBe(false);
});

test("commands leave a database alone that has the -wal of another one", () => {
  using directory = new TempDirectory();
  const theirs = twoDatabases(directory);
  killed(directory, `fs.copyFileSync("other.db", "new"); fs.renameSync("new", "config.db");`);
  const file = directory.at("config.db");
  const before = readdirSync(directory.path).toSorted();
  const refused = expect.stringContaining("run `pmxcfs-ipc config flush` first");
  expect(compactFile(file)).toEqual(refused);
  expect(renameNode(directory.at("config.db"), "pve1", "new")).toEqual(refused);
  const { notes, nodes } = verifyDatabase(file);
  expect(notes.join("\n")).toContain(
    "config.db-wal: it is not read, as it is that of another file",
  );
  expect(nodes).toEqual(["pve1", "pve2"]);
  const { items } = salvage(`${file}.served`);
  expect(items.map(({ name }) => name)).toEqual(["ours"]);
  expect(readdirSync(directory.path).toSorted()).toEqual(before);
  expect(served(file, rememberingLog())).toEqual(theirs);
  expect(renameNode(file, "pve1", "new")).toMatchObject({ guests: 1 });
});
