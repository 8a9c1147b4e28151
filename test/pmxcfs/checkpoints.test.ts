/**
 * config.db, its WAL and its path while it is served: checkpoints, readers that block them, another
 * file at the path, another writer.
 */
import { describe, expect, spyOn, test } from "bun:test";
import { Database } from "bun:sqlite";
import {
  copyFileSync,
  existsSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { Errno } from "../../src/base/errno.ts";
import type { Log } from "../../src/base/log.ts";
import { LocalReplicator } from "../../src/pmxcfs/replication/local.ts";
import type { TreeCommand } from "../../src/pmxcfs/state/tree-command.ts";
import { openTree, type OpenTreeOptions } from "../../src/pmxcfs/store/open-tree.ts";
import type { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";
import { eventually } from "../support/eventually.ts";
import { rememberingLog, TempDirectory, workerThreads } from "./support.ts";

const QUICK = { idleMs: 50, retryMs: 20 };

function opened(file: string, log: Log, more: Partial<OpenTreeOptions> = {}): TreeStore {
  const tree = openTree({ file, log, checkpoints: QUICK, ...more });
  if (typeof tree === "string") throw new Error(tree);
  return tree;
}

function replicatorOf(tree: TreeStore): LocalReplicator {
  return new LocalReplicator({ tree, status: { set: () => 0 }, clusterLog: { add: () => {} } });
}

const write = (path: string, size: number, offset = 0): TreeCommand => ({
  kind: "write",
  path,
  offset,
  data: new Uint8Array(size).fill(120),
});

const apply = (tree: TreeStore, command: TreeCommand): number =>
  tree.apply(command, { writer: 0, time: 1000 });

const checkpointsOf = (tree: TreeStore): number => tree.storage.figures?.checkpoints ?? 0;

/** Names in the root of a config.db, read from the file alone, without its WAL. */
function namesIn(file: string): string[] {
  using database = new Database(file, { readonly: true });
  const rows = database.query("SELECT name FROM tree WHERE inode > 0 ORDER BY name").values();
  return rows.map(([name]) => String(name));
}

/** Names in a copy of the file alone, as `cp config.db` makes it. */
function namesInCopy(directory: TempDirectory, file: string): string[] {
  // In a process of its own: closing the file here would drop SQLite's locks.
  const copy = directory.at("copy.db");
  Bun.spawnSync(["cp", file, copy]);
  try {
    return namesIn(copy);
  } catch {
    return [];
  } finally {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(copy + suffix, { force: true });
  }
}

function kept(directory: TempDirectory): string[] {
  return readdirSync(directory.path).filter((name) => /\.replaced-\d+T\d+Z$/.test(name));
}

describe("checkpoints", () => {
  test("make a copy of config.db alone complete, soon after the last change", async () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    using tree = opened(file, rememberingLog());
    apply(tree, { kind: "create", path: "a" });
    apply(tree, write("a", 100_000));
    expect(namesInCopy(directory, file)).toEqual([]);
    await eventually("a is in config.db", () => namesInCopy(directory, file).length === 1);
    apply(tree, { kind: "create", path: "b" });
    await eventually("b is too", () => namesInCopy(directory, file).length === 2);
  });

  test("do not wait for a pause under steady changes", async () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    const checkpoints = { idleMs: 60_000, pages: 100 };
    using tree = opened(file, rememberingLog(), { checkpoints });
    apply(tree, { kind: "create", path: "a" });
    await eventually("a is in config.db", () => {
      apply(tree, write("a", 8192));
      return namesInCopy(directory, file).length === 1;
    });
  });

  test("empty a long WAL under changes without a pause, and no reader is blamed", async () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    const log = rememberingLog();
    const checkpoints = { pages: 50, longWalBytes: 2 ** 20, keptWalBytes: 2 ** 18 };
    using tree = opened(file, log, { checkpoints });
    const replicator = replicatorOf(tree);
    expect(replicator.propose({ kind: "create", path: "a" })).toBe(0);
    let emptied = 0;
    let before = 0;
    let most = 0;
    const deadline = performance.now() + 30_000;
    while (emptied < 3 && performance.now() < deadline) {
      for (let round = 0; round < 16; round++) {
        expect(await replicator.propose(write("a", 8192))).toBe(8192);
      }
      const { size } = statSync(`${file}-wal`);
      if (size < before) emptied++;
      before = size;
      most = Math.max(most, size);
      await new Promise(setImmediate);
    }
    expect(emptied).toBe(3);
    // However late the thread is: pages of changes are estimated, and two checkpoints may follow.
    expect(most).toBeLessThan(8 * checkpoints.longWalBytes);
    expect(log.lines.filter((line) => line.includes("-wal has"))).toEqual([]);
  });

  test("are made by one thread, which ends after a pause", async () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    const log = rememberingLog();
    const before = workerThreads();
    using tree = opened(file, log, { checkpoints: { pages: 1, threadMs: 2_000 } });
    const seen = new Set<string>();
    for (let change = 1; change <= 20; change++) {
      apply(tree, { kind: "create", path: `a${change}` });
      await eventually("it is in config.db", () => {
        for (const thread of workerThreads()) if (!before.includes(thread)) seen.add(thread);
        return checkpointsOf(tree) >= change;
      });
    }
    expect(seen.size).toBe(1);
    await eventually("it has ended", () => workerThreads().every((one) => before.includes(one)));
  });

  test("add no listener to the thread each time", async () => {
    using directory = new TempDirectory();
    const added = spyOn(Worker.prototype, "addEventListener");
    using tree = opened(directory.at("config.db"), rememberingLog(), { checkpoints: { pages: 1 } });
    for (let change = 1; change <= 10; change++) {
      apply(tree, { kind: "create", path: `a${change}` });
      await eventually("it is in config.db", () => checkpointsOf(tree) >= change);
    }
    expect(added.mock.calls.length).toBe(2);
    added.mockRestore();
  });

  test("are made by another thread after one has crashed", async () => {
    using directory = new TempDirectory();
    const log = rememberingLog();
    const added = spyOn(Worker.prototype, "addEventListener");
    using tree = opened(directory.at("config.db"), log, { checkpoints: { pages: 1, retryMs: 20 } });
    const thread = added.mock.contexts[0] as Worker;
    added.mockRestore();
    await eventually("row 0 is in config.db", () => checkpointsOf(tree) === 1);
    apply(tree, { kind: "create", path: "a" });
    thread.dispatchEvent(new ErrorEvent("error", { message: "crashed" }));
    thread.terminate();
    await eventually("a is too", () => checkpointsOf(tree) === 2);
    expect(log.lines.join()).toContain("checkpoint failed (crashed)");
  });

  test("that run at the stop are awaited, and the last connection removes the WAL", () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    {
      using tree = opened(file, rememberingLog(), { checkpoints: { pages: 1 } });
      apply(tree, { kind: "create", path: "a" });
    }
    expect(readdirSync(directory.path)).toEqual(["config.db"]);
  });

  test("name a reader with an open transaction in the log, and shrink the WAL later", async () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    const log = rememberingLog();
    const checkpoints = { ...QUICK, longWalBytes: 2 ** 20, keptWalBytes: 2 ** 18 };
    using tree = opened(file, log, { checkpoints });
    apply(tree, { kind: "create", path: "a" });
    const script =
      "import { Database } from 'bun:sqlite';" +
      "globalThis.database = new Database(process.argv[1], { readonly: true });" +
      "database.run('BEGIN'); database.query('SELECT count(*) FROM tree').values();" +
      "process.stdout.write('reading'); process.stdin.on('data', () => process.exit(0));";
    const reader = Bun.spawn([process.execPath, "-e", script, file], {
      stdin: "pipe",
      stdout: "pipe",
    });
    const { value } = await reader.stdout.getReader().read();
    expect(Buffer.from(value!).toString()).toBe("reading");
    // As requests do: a change waits while a checkpoint holds the lock.
    const replicator = replicatorOf(tree);
    const change = write("a", 50_000);
    for (let round = 0; round < 40; round++) expect(await replicator.propose(change)).toBe(50_000);
    await eventually("the reader is named", () =>
      log.lines.some((line) => line.includes(`pid ${reader.pid} (`)),
    );
    expect(statSync(`${file}-wal`).size).toBeGreaterThan(2 ** 20);
    void reader.stdin.write("end");
    void reader.stdin.end();
    await reader.exited;
    await eventually("the WAL is short", () => statSync(`${file}-wal`).size <= 2 ** 18);
    const { walBytes, checkpoints: done, checkpointedAt, ...rest } = tree.storage.figures ?? {};
    expect(walBytes).toBe(statSync(`${file}-wal`).size);
    expect(done).toBeGreaterThan(0);
    expect(Date.now() - (checkpointedAt ?? 0)).toBeLessThan(60_000);
    expect(rest).toEqual({
      waiting: 0,
      journalBytes: 0,
      checkpointFailures: 0,
      commitFailures: 0,
    });
    expect(await replicator.propose(write("a", 10))).toBe(10);
  });
});

describe("another process that writes", () => {
  test("makes changes wait in order, without blocking the event loop", async () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    using tree = opened(file, rememberingLog());
    const replicator = replicatorOf(tree);
    const other = new Database(file);
    other.run("BEGIN IMMEDIATE");
    const answers = [
      replicator.propose({ kind: "mkdir", path: "a" }),
      replicator.propose({ kind: "create", path: "a/b" }),
      replicator.propose(write("a/b", 5)),
    ];
    expect(answers.every((answer) => answer instanceof Promise)).toBe(true);
    expect(tree.memdb.find("a")).toBeUndefined();
    other.run("ROLLBACK");
    other.close();
    expect([await answers[0], await answers[1], await answers[2]]).toEqual([0, 0, 5]);
    expect(replicator.propose({ kind: "mkdir", path: "c" })).toBe(0);
  });

  test("makes a write wait with its own bytes: the next request reuses the memory", async () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    using tree = opened(file, rememberingLog());
    const replicator = replicatorOf(tree);
    expect(replicator.propose({ kind: "create", path: "a" })).toBe(0);
    const other = new Database(file);
    other.run("BEGIN IMMEDIATE");
    // As the mount has it: a view of the buffer that requests are read into.
    const request = Buffer.from("first", "latin1");
    const data = request.subarray();
    const answer = replicator.propose({ kind: "write", path: "a", offset: 0, data });
    request.fill("x");
    other.run("ROLLBACK");
    other.close();
    expect(await answer).toBe(5);
    expect(Buffer.from(tree.memdb.find("a")!.bytes).toString("latin1")).toBe("first");
  });

  test("checkpoints repeatedly without making a change fail", async () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    using tree = opened(file, rememberingLog());
    const replicator = replicatorOf(tree);
    expect(replicator.propose({ kind: "create", path: "a" })).toBe(0);
    const script =
      "import { Database } from 'bun:sqlite';" +
      "const database = new Database(process.argv[1]); process.stdout.write('at work');" +
      "for (;;) { database.query('PRAGMA wal_checkpoint(TRUNCATE)').values(); await Bun.sleep(1); }";
    const other = Bun.spawn([process.execPath, "-e", script, file], { stdout: "pipe" });
    try {
      await other.stdout.getReader().read();
      for (let round = 0; round < 300; round++) {
        expect(await replicator.propose(write("a", 2000))).toBe(2000);
      }
    } finally {
      other.kill("SIGKILL");
      await other.exited;
    }
  });

  test("for over three seconds makes one change fail with EIO, not the next", async () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    using tree = opened(file, rememberingLog());
    const replicator = replicatorOf(tree);
    const other = new Database(file);
    other.run("BEGIN IMMEDIATE");
    const abort = new AbortController();
    const failing = replicator.propose({ kind: "mkdir", path: "a" });
    const interrupted = replicator.propose({ kind: "mkdir", path: "b" }, undefined, abort.signal);
    abort.abort();
    expect(await interrupted).toBe(Errno.EINTR);
    const late = replicator.propose({ kind: "mkdir", path: "c" }, undefined, abort.signal);
    expect(await late).toBe(Errno.EINTR);
    expect(await failing).toBe(Errno.EIO);
    other.run("ROLLBACK");
    other.close();
    expect(await replicator.propose({ kind: "mkdir", path: "a" })).toBe(0);
    expect([...tree.entries()].map(({ name }) => name)).toEqual(["a"]);
  });
});

describe("another file in the place of config.db", () => {
  test("of a symlink's target: no -wal of ours stays beside it", async () => {
    using directory = new TempDirectory();
    using links = new TempDirectory();
    const [file, other] = [directory.at("config.db"), directory.at("other.db")];
    {
      using tree = opened(other, rememberingLog());
      apply(tree, { kind: "create", path: "theirs" });
    }
    opened(file, rememberingLog())[Symbol.dispose]();
    symlinkSync(file, links.at("config.db"));
    {
      using tree = opened(links.at("config.db"), rememberingLog());
      apply(tree, { kind: "create", path: "ours" });
      renameSync(other, file);
      await eventually("the database has moved", () => kept(links).length === 1);
    }
    expect(readdirSync(directory.path)).toEqual(["config.db"]);
    expect(namesIn(file)).toEqual(["theirs"]);
  });

  test("is not changed; the served database continues in config.db.replaced-TIME", async () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    const other = directory.at("other.db");
    {
      using tree = opened(other, rememberingLog());
      apply(tree, { kind: "create", path: "theirs" });
    }
    const log = rememberingLog();
    {
      using tree = opened(file, log);
      apply(tree, { kind: "create", path: "ours" });
      renameSync(other, file);
      apply(tree, { kind: "create", path: "meanwhile" });
      await eventually("it is noticed", () =>
        log.lines.some((line) => line.includes("was replaced")),
      );
      expect(existsSync(`${file}-wal`)).toBe(false);
      apply(tree, { kind: "create", path: "later" });
    }
    expect(namesIn(file)).toEqual(["theirs"]);
    const [name = ""] = kept(directory);
    expect(namesIn(directory.at(name))).toEqual(["later", "meanwhile", "ours"]);
    expect(statSync(directory.at(name)).mode & 0o777).toBe(0o600);
    using again = opened(file, log);
    expect([...again.entries()].map((entry) => entry.name)).toEqual(["theirs"]);
  });

  test("is noticed at the stop, too", () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    const other = directory.at("other.db");
    {
      using tree = opened(file, rememberingLog());
      apply(tree, { kind: "create", path: "theirs" });
    }
    copyFileSync(file, other);
    rmSync(file);
    {
      using tree = opened(file, rememberingLog());
      apply(tree, { kind: "create", path: "ours" });
      renameSync(other, file);
    }
    expect(existsSync(`${file}-wal`)).toBe(false);
    expect(namesIn(file)).toEqual(["theirs"]);
    expect(kept(directory).map((name) => namesIn(directory.at(name)))).toEqual([["ours"]]);
  });

  test("is not looked for on a path that the kernel refuses: it is logged once", async () => {
    using directory = new TempDirectory();
    const log = rememberingLog();
    directory.put("node/x");
    using tree = opened(directory.at("node/config.db"), log, { checkpoints: QUICK });
    apply(tree, { kind: "create", path: "a" });
    renameSync(directory.at("node"), directory.at("moved"));
    symlinkSync("node", directory.at("node"));
    const said = (): string[] => log.lines.filter((line) => line.includes("cannot be checked"));
    await eventually("it is logged", () => said().length > 0);
    expect(tree.storage.figures?.walBytes).toBe(0);
    expect(apply(tree, { kind: "create", path: "b" })).toBe(0);
    rmSync(directory.at("node"));
    renameSync(directory.at("moved"), directory.at("node"));
    await eventually("b is in config.db", () => checkpointsOf(tree) > 0);
    expect(said()).toEqual([expect.stringContaining("ELOOP")]);
    expect(kept(directory)).toEqual([]);
  });
});
