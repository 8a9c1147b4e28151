/** Compaction, kept copies, and `config flush`, which writes a journal into its database. */
import { describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync } from "node:fs";
import { drained, WAITS } from "../../src/base/steps.ts";
import { silentLog } from "../../src/base/log.ts";
import type { TreeCommand } from "../../src/pmxcfs/state/tree-command.ts";
import { salvage } from "../../src/pmxcfs/rescue/salvage.ts";
import { openTree, type OpenTreeOptions } from "../../src/pmxcfs/store/open-tree.ts";
import type { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";
import { TransactionState } from "../../src/pmxcfs/store/transaction-state.ts";
import { compactFile } from "../../src/pmxcfs/store/upkeep.ts";
import { eventually } from "../support/eventually.ts";
import { testUnless } from "../support/unless.ts";
import { crash, opened as openedBatched } from "./batched-tree.ts";
import { rememberingLog, TempDirectory, workerThreads } from "./support.ts";
import { rowsIn } from "./tree-rows-of.ts";

const testTraced = testUnless(Bun.which("strace") === null ? "needs strace" : undefined);

/** Holds SQLite's checkpoint lock (byte 121 of the -shm file) for half a second. */
const CHECKPOINT_LOCK = `
import fcntl, sys, time
f = open(sys.argv[1], "r+b")
fcntl.lockf(f, fcntl.LOCK_EX, 1, 121)
print("locked", flush=True)
time.sleep(0.5)
`;

const MIB = 1024 * 1024;
/** No checkpoints: no other thread runs. */
const NEVER = { pages: Infinity, idleMs: 3_600_000 };
const MAIN = new URL("../../src/main.ts", import.meta.url).pathname;

function opened(file: string, more: Partial<OpenTreeOptions> = {}): TreeStore {
  const tree = openTree({ file, log: silentLog, ...more });
  if (typeof tree === "string") throw new Error(tree);
  return tree;
}

const apply = (tree: TreeStore, command: TreeCommand): number =>
  tree.apply(command, { writer: 0, time: 1000 });

function put(tree: TreeStore, path: string, size: number): void {
  apply(tree, { kind: "create", path });
  expect(apply(tree, { kind: "write", path, offset: 0, data: new Uint8Array(size) })).toBe(size);
}

/** A database from which 40 files of a mebibyte were removed. */
function swollen(directory: TempDirectory): string {
  const file = directory.at("config.db");
  // All in one turn of the event loop, in which no checkpoint ends.
  using tree = opened(file, { checkpoints: { longWalBytes: 100 * MIB } });
  put(tree, "kept", 1000);
  for (let round = 0; round < 40; round++) put(tree, `f${round}`, MIB);
  for (let round = 0; round < 40; round++) apply(tree, { kind: "remove", path: `f${round}` });
  return file;
}

/** Runs `config flush` on it. */
function flush(db: string): { readonly exitCode: number; readonly text: string } {
  const words = [process.execPath, MAIN, "config", "flush", "--db", db];
  const { stdout, stderr, exitCode } = Bun.spawnSync(words, { stderr: "pipe" });
  return { exitCode, text: stdout.toString() + stderr.toString() };
}

describe("free pages", () => {
  test("are given back at a start when they are more than half of more than 8 MiB", () => {
    using directory = new TempDirectory();
    const file = swollen(directory);
    const before = rowsIn(file);
    expect(statSync(file).size).toBeGreaterThan(40 * MIB);
    const log = rememberingLog();
    opened(file, { log })[Symbol.dispose]();
    expect(statSync(file).size).toBeLessThan(MIB);
    expect(log.lines.join()).toContain("compacted from");
    expect(rowsIn(file)).toEqual(before);
  });

  test("are given back by compactFile, while a server has it open", () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    using tree = opened(file);
    put(tree, "kept", 1000);
    for (let round = 0; round < 12; round++) put(tree, `f${round}`, MIB);
    for (let round = 0; round < 12; round++) apply(tree, { kind: "remove", path: `f${round}` });
    const compacted = compactFile(file);
    if (typeof compacted === "string") throw new Error(compacted);
    expect(compacted.after).toBeLessThan(MIB);
    expect(statSync(file).size).toBe(compacted.after);
    put(tree, "after", 10);
    expect(rowsIn(file).length).toBe(3);
    using database = new Database(file, { readonly: true });
    expect(database.query("PRAGMA integrity_check").values()).toEqual([["ok"]]);
  });

  test("are given back by compactFile, while another process checkpoints", async () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    using database = new Database(file);
    database.run("PRAGMA journal_mode = WAL");
    database.run("PRAGMA wal_autocheckpoint = 0");
    database.run("CREATE TABLE t (data BLOB)");
    database.run("INSERT INTO t VALUES (zeroblob(1000000))");
    const lock = Bun.spawn(["python3", "-c", CHECKPOINT_LOCK, `${file}-shm`], { stdout: "pipe" });
    await lock.stdout.getReader().read();
    const compacted = compactFile(file);
    if (typeof compacted === "string") throw new Error(compacted);
    expect(await lock.exited).toBe(0);
    expect(statSync(file).size).toBe(compacted.after);
    expect(statSync(`${file}-wal`).size).toBe(0);
  });

  test("stay where they are when the database is small", () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    {
      using tree = opened(file);
      for (const path of ["a", "b"]) put(tree, path, MIB);
      for (const path of ["a", "b"]) apply(tree, { kind: "remove", path });
    }
    const size = statSync(file).size;
    opened(file)[Symbol.dispose]();
    expect(statSync(file).size).toBe(size);
  });
});

test("a checkpoint that another process's checkpoint keeps out is made later", async () => {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  using tree = opened(file, { checkpoints: { idleMs: 20, retryMs: 20 } });
  apply(tree, { kind: "create", path: "a" });
  const other = Bun.spawn(["python3", "-c", CHECKPOINT_LOCK, `${file}-shm`], { stdout: "pipe" });
  await other.stdout.getReader().read();
  apply(tree, { kind: "create", path: "b" });
  await other.exited;
  await eventually("the file alone has the change", () => {
    // In a process of its own: closing the file here would drop SQLite's locks.
    Bun.spawnSync(["cp", file, directory.at("copy.db")]);
    return salvage(directory.at("copy.db")).items.some(({ name }) => name === "b");
  });
});

describe("a copy that is kept", () => {
  test("is complete and private, and the newest five of one reason stay", () => {
    for (const commit of ["each", "batched"] as const) {
      using directory = new TempDirectory();
      using tree = opened(directory.at("config.db"), { commit });
      const paths: string[] = [];
      for (let round = 0; round < 7; round++) {
        put(tree, `f${round}`, 100);
        const copy = drained(tree.storage.keepCopy("before-sync"));
        if ("problem" in copy) throw new Error(copy.problem);
        expect(statSync(copy.path).mode & 0o777).toBe(0o600);
        expect(rowsIn(copy.path).length).toBe(round + 2);
        paths.push(copy.path);
        // The name has the time in milliseconds.
        for (const until = Date.now() + 2; Date.now() < until;);
      }
      const kept = readdirSync(directory.at("backup")).filter((name) => !/-(wal|shm)$/.test(name));
      expect(kept.map((name) => directory.at("backup", name)).toSorted()).toEqual(paths.slice(2));
    }
  });

  test("stays itself, although older ones have later names after the clock went back", () => {
    using directory = new TempDirectory();
    using tree = opened(directory.at("config.db"), { checkpoints: NEVER });
    for (let day = 1; day <= 6; day++) {
      directory.put(`backup/config.db.before-sync-2999010${day}T000000000Z`, "of a wrong clock");
    }
    const copy = drained(tree.storage.keepCopy("before-sync"));
    if ("problem" in copy) throw new Error(copy.problem);
    expect(rowsIn(copy.path).length).toBe(1);
    expect(readdirSync(directory.at("backup"))).toHaveLength(5);
  });

  test("is made by a thread: the event loop waits for it, and may abandon it at once", async () => {
    using directory = new TempDirectory();
    using tree = opened(directory.at("config.db"), { checkpoints: NEVER });
    put(tree, "f", MIB);
    const steps = tree.storage.keepCopy("x");
    expect(steps.next().value).toBe(WAITS);
    steps.return({ problem: "abandoned" });
    expect(existsSync(directory.at("backup"))).toBe(false);
    // The next one waits for the thread of the one before.
    const copy = drained(tree.storage.keepCopy("y"));
    expect(copy).toHaveProperty("path");
    await eventually("the threads have ended", () => workerThreads().length === 0);
    expect(readdirSync(directory.at("backup"))).toEqual([
      expect.stringMatching(/^config\.db\.y-\w+$/),
    ]);
  });

  test("that is abandoned while it is written leaves nothing, and delays nothing", async () => {
    using directory = new TempDirectory();
    using tree = opened(directory.at("config.db"), { checkpoints: NEVER });
    for (let round = 0; round < 40; round++) put(tree, `f${round}`, MIB);
    const names = (): string[] => {
      const backup = directory.at("backup");
      return existsSync(backup) ? readdirSync(backup) : [];
    };
    let wasWaitedFor = true;
    // The copy may be complete before this thread runs again.
    for (let round = 0; round < 20 && wasWaitedFor; round++) {
      const steps = tree.storage.keepCopy("x");
      while (names().length === 0) expect(steps.next().value).toBe(WAITS);
      steps.return({ problem: "abandoned" });
      wasWaitedFor = names().every((name) => !name.endsWith(".new"));
      await eventually("the thread has ended", () => workerThreads().length === 0);
      if (!wasWaitedFor) expect(names()).toEqual([]);
      for (const name of names()) rmSync(directory.at("backup", name));
    }
    expect(wasWaitedFor).toBe(false);
  });

  test("that is abandoned at the stop is waited for: no WAL is left", () => {
    using directory = new TempDirectory();
    {
      using tree = opened(directory.at("config.db"), { checkpoints: NEVER });
      for (let round = 0; round < 10; round++) put(tree, `f${round}`, MIB);
      const steps = tree.storage.keepCopy("x");
      while (!existsSync(directory.at("backup"))) expect(steps.next().value).toBe(WAITS);
      steps.return({ problem: "abandoned" });
    }
    const left = readdirSync(directory.path).filter((name) => name !== "backup");
    expect(left).toEqual(["config.db"]);
    expect(readdirSync(directory.at("backup")).filter((name) => name.endsWith(".new"))).toEqual([]);
  });

  test("removes the draft of a server that was killed", () => {
    using directory = new TempDirectory();
    using tree = opened(directory.at("config.db"), { checkpoints: NEVER });
    directory.put("backup/config.db.overruled-20260101T000000000Z.new", "half");
    directory.put("backup/other.new", "not ours");
    drained(tree.storage.keepCopy("x"));
    const drafts = readdirSync(directory.at("backup")).filter((name) => name.endsWith(".new"));
    expect(drafts).toEqual(["other.new"]);
  });

  test("is reported under a path of any length that the kernel takes", () => {
    const state = new TransactionState();
    const path = `/${"é".repeat(2000)}`;
    state.end("committed", path);
    expect(new TransactionState(state.shared).text).toBe(path);
  });

  test("that cannot be written is reported, and leaves no file", () => {
    using directory = new TempDirectory();
    using tree = opened(directory.at("config.db"), { checkpoints: NEVER });
    directory.put("backup");
    expect(drained(tree.storage.keepCopy("x"))).toHaveProperty("problem");
    expect(readdirSync(directory.path).filter((name) => name.includes(".new"))).toEqual([]);
  });
});

describe("config flush", () => {
  test("writes the journal of a killed server into the database, not of a running one", () => {
    using directory = new TempDirectory();
    using copies = new TempDirectory();
    const file = directory.at("config.db");
    using tree = opened(file, { commit: "batched" });
    apply(tree, { kind: "mkdir", path: "a" });
    mkdirSync(copies.at("left"));
    Bun.spawnSync(["sh", "-c", `cp ${file}* ${copies.at("left")}; rm ${copies.at("left")}/*-shm`]);
    const left = copies.at("left", "config.db");
    const done = flush(left);
    expect(done.text).toContain("1 change replayed");
    expect(done.text).toContain("no pending changes, version 2");
    expect(done.exitCode).toBe(0);
    expect(rowsIn(left)[0]?.[6]).toBe("__version__");
    expect(readdirSync(copies.at("left")).filter((name) => name.includes("changes"))).toEqual([]);
    symlinkSync(file, copies.at("config.db"));
    for (const path of [file, copies.at("config.db")]) {
      const served = flush(path);
      expect(served.text).toContain(`process ${process.pid} has it open`);
      expect(served.exitCode).toBe(1);
    }
  });

  testTraced("has the changes on the disk before their journal is removed", () => {
    using directory = new TempDirectory();
    using copies = new TempDirectory();
    using tree = openedBatched(directory.at("config.db"));
    apply(tree, { kind: "mkdir", path: "a" });
    const left = crash(directory.at("config.db"), copies);
    const calls = "trace=pwrite64,write,writev,fsync,fdatasync,unlink,unlinkat";
    const words = ["strace", "-f", "-y", "-qq", "-e", calls, process.execPath, MAIN];
    const { stderr } = Bun.spawnSync([...words, "config", "flush", "--db", left]);
    const lines = stderr.toString("latin1").split("\n");
    const removed = lines.findIndex((line) => /unlink.*config\.db\.changes/.test(line));
    expect(removed).toBeGreaterThan(0);
    const before = lines.slice(0, removed).filter((line) => line.includes("config.db-wal>"));
    expect(before.at(-1)).toMatch(/sync\(/);
  });
});
