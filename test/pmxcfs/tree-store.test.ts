/**
 * The writable config.db: random commands against a simple model (rows on disk, memory, errors, the
 * next start), and faults of the C server that ours does not have.
 */
import { describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import fc from "fast-check";
import { statSync } from "node:fs";
import { Errno } from "../../src/base/errno.ts";
import { silentLog } from "../../src/base/log.ts";
import { LocalReplicator } from "../../src/pmxcfs/replication/local.ts";
import { Guests } from "../../src/pmxcfs/state/guests.ts";
import type { TreeCommand } from "../../src/pmxcfs/state/tree-command.ts";
import { Versions } from "../../src/pmxcfs/state/versions.ts";
import { openTree } from "../../src/pmxcfs/store/open-tree.ts";
import { MemoryRows } from "../../src/pmxcfs/store/memory-rows.ts";
import { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";
import { Memdb } from "../../src/pmxcfs/state/memdb.ts";
import { rememberingLog, TempDirectory, textOf } from "./support.ts";
import { anyCommand, applyToBoth, TreeModel } from "./tree-model.ts";
import { rowsIn, rowsOf } from "./tree-rows-of.ts";

const ORIGIN = { writer: 0, time: 1_700_000_000 };
const GUEST = "nodes/n1/qemu-server/100.conf";

function opened(file: string, now: () => number = () => 0): TreeStore {
  const tree = openTree({ file, log: silentLog, now });
  if (typeof tree === "string") throw new Error(tree);
  return tree;
}

function inMemory(now: () => number = () => 0) {
  const rows = new MemoryRows();
  const memdb = new Memdb();
  memdb.stampRoot({ version: 1, writer: 0, mtime: 0 });
  const entries = new Map();
  const log = rememberingLog();
  return { rows, log, store: new TreeStore({ memdb, entries, writer: rows, log, now }) };
}

const made = (store: TreeStore, ...commands: TreeCommand[]): number[] =>
  commands.map((command) => store.apply(command, ORIGIN));

const mkdirs = (...paths: string[]): TreeCommand[] =>
  paths.map((path) => ({ kind: "mkdir", path }));

const guestTree: TreeCommand[] = [
  ...mkdirs("nodes", "nodes/n1", "nodes/n1/qemu-server", "nodes/n1/lxc"),
  { kind: "create", path: GUEST },
];

const write = (path: string, text: string, offset = 0): TreeCommand => ({
  kind: "write",
  path,
  offset,
  data: Buffer.from(text),
});

function locked() {
  let seconds = 0;
  const { store, log } = inMemory(() => seconds);
  const status = { set: (): 0 => 0 };
  const replicator = new LocalReplicator({
    tree: store,
    status,
    clusterLog: { add: () => {} },
    clock: () => 1000 + seconds,
  });
  for (const command of mkdirs("priv", "priv/lock", "priv/lock/a"))
    void replicator.propose(command);
  const ask = (path = "priv/lock/a") => replicator.propose({ kind: "utime", path, mtime: 0 });
  return { store, log, replicator, ask, pass: (more: number) => void (seconds += more) };
}

function watched() {
  const { store, rows } = inMemory();
  made(store, ...guestTree);
  const versions = new Versions({ memdb: store.memdb });
  const guests = new Guests({ memdb: store.memdb, versions });
  const ids = () => Object.keys((JSON.parse(textOf(guests.list())) as { ids: object }).ids);
  return { store, rows, versions, guests, ids };
}

describe("random commands", () => {
  const step = fc.tuple(anyCommand, fc.nat(2), fc.nat(5));
  // About 3,500 commands in all.
  const steps = fc.array(step, { maxLength: 120, size: "max" });

  test("give the answers, rows on disk, memory and next start of the model", () => {
    fc.assert(
      fc.property(steps, (commands) => {
        using directory = new TempDirectory();
        const file = directory.at("config.db");
        const model = new TreeModel();
        {
          using store = opened(file);
          model.mtime = store.memdb.root.mtime;
          for (const drawn of commands) applyToBoth(store, model, drawn);
          expect(rowsIn(file)).toEqual(model.rows());
          expect(rowsOf(store)).toEqual(
            model
              .rows()
              .slice(1)
              .map((row) => row.slice(0, 8)),
          );
          expect(store.version).toBe(model.version);
        }
        using again = opened(file);
        expect(rowsOf(again).length).toBe(model.entries.size);
        expect(again.version).toBe(model.version);
        expect(again.memdb.root.mtime).toBe(model.mtime);
      }),
      { numRuns: 60 },
    );
  }, 60_000);
});

describe("the file", () => {
  test("a new database is private, has C's schema and row 0 with version 1", () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    const store = opened(file);
    const now = store.memdb.root.mtime;
    expect(Math.abs(Date.now() / 1000 - now)).toBeLessThan(30);
    expect(rowsIn(file)).toEqual([[0, 0, 1, 0, now, 8, "__version__", "", "null"]]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    store[Symbol.dispose]();
    using database = new Database(file, { readonly: true });
    const [row] = database.query("SELECT sql FROM sqlite_schema").values();
    expect(String(row?.[0])).toStartWith(
      "CREATE TABLE tree (  inode INTEGER PRIMARY KEY NOT NULL,",
    );
    expect(database.query("PRAGMA journal_mode").values()).toEqual([["wal"]]);
    expect(database.query("PRAGMA page_size").values()).toEqual([[4096]]);
  });

  test("with an old row 0 continues from the highest number in use, and logs that", () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    {
      using store = opened(file);
      made(store, ...mkdirs("a", "b", "c"));
    }
    const database = new Database(file);
    database.run("UPDATE tree SET version = 2 WHERE inode = 0");
    database.close();
    const log = rememberingLog();
    using store = openTree({ file, log }) as TreeStore;
    expect(log.lines.join("\n")).toContain("row 0 has version 2, but 4 is in use");
    expect(made(store, ...mkdirs("d"))).toEqual([0]);
    expect([...store.entries()].map(({ inode }) => inode)).toEqual([2, 3, 4, 5]);
  });

  test("that is no database is refused in C's words", () => {
    using directory = new TempDirectory();
    const file = directory.put("config.db", "this is no database, and longer than a header is");
    expect(openTree({ file, log: silentLog })).toContain(
      "unable to set WAL mode: file is not a database",
    );
  });
});

describe("locks", () => {
  test("a lock is held for 120 s, and released at the first request after that", () => {
    const { store, ask, pass } = locked();
    expect(ask()).toBe(Errno.EACCES);
    pass(120);
    expect(ask()).toBe(Errno.EACCES);
    pass(1);
    expect(ask()).toBe(Errno.ENOENT);
    expect(store.memdb.find("priv/lock/a")).toBeUndefined();
    expect(ask()).toBe(Errno.ENOENT);
  });

  test("a refresh restarts the 120 s; one with an older time is refused", () => {
    const { replicator, ask, pass } = locked();
    pass(100);
    expect(replicator.propose({ kind: "utime", path: "priv/lock/a", mtime: 1100 })).toBe(0);
    expect(replicator.propose({ kind: "utime", path: "priv/lock/a", mtime: 1099 })).toBe(
      Errno.EACCES,
    );
    pass(120);
    expect(ask()).toBe(Errno.EACCES);
    pass(1);
    expect(ask()).toBe(Errno.ENOENT);
  });

  test("a lock that is not empty is not released: ENOTEMPTY", () => {
    const { store, ask, pass } = locked();
    made(store, { kind: "create", path: "priv/lock/a/f" });
    pass(121);
    expect(ask()).toBe(Errno.ENOTEMPTY);
  });

  test("a lock of another node is not refreshed", () => {
    const { store } = locked();
    const other = { writer: 2, time: 5000 };
    expect(store.apply({ kind: "utime", path: "priv/lock/a", mtime: 5000 }, other)).toBe(
      Errno.EACCES,
    );
  });

  test("a directory further below accepts mtime 0, which restarts its timer each time", () => {
    const { store, log, ask, pass } = locked();
    made(store, ...mkdirs("priv/lock/a/b"));
    for (let round = 0; round < 3; round++) {
      expect(ask("priv/lock/a/b")).toBe(0);
      pass(200);
    }
    expect(store.memdb.find("priv/lock/a/b")?.mtime).toBe(0);
    // In the words of the C server.
    const line = "wrong lock csum - reset timeout (priv/lock/a/b)";
    expect(log.lines).toEqual([line, line]);
  });

  test("unlock removes the lock only if it has the digest", () => {
    const { store } = locked();
    const digest = store.lockDigest("priv/lock/a")!;
    made(store, { kind: "utime", path: "priv/lock/a", mtime: 4_000_000_000 });
    expect(store.unlock("priv/lock/a", digest, ORIGIN)).toBe(Errno.EBUSY);
    expect(store.lockExpired("priv/lock/a", digest)).toBe(false);
    expect(store.unlock("priv/lock/a", store.lockDigest("priv/lock/a")!, ORIGIN)).toBe(0);
  });
});

describe("counters and guests", () => {
  test("create, write, rename and rmdir move counters of observed paths, mkdir does not", () => {
    const { store, versions } = watched();
    const count = (...commands: TreeCommand[]): number => {
      const before = versions.of("storage.cfg");
      made(store, ...commands);
      return versions.of("storage.cfg") - before;
    };
    expect(count({ kind: "create", path: "storage.cfg" })).toBe(1);
    expect(count(write("storage.cfg", "x"), write("storage.cfg", "x"))).toBe(2);
    expect(count({ kind: "utime", path: "storage.cfg", mtime: 1 })).toBe(1);
    expect(count({ kind: "create", path: "t" }, write("t", "x"))).toBe(0);
    expect(count({ kind: "rename", path: "t", to: "storage.cfg" })).toBe(1);
    expect(count({ kind: "remove", path: "storage.cfg" })).toBe(1);
    expect(count(...mkdirs("storage.cfg"))).toBe(0);
    expect(count({ kind: "rename", path: "storage.cfg", to: "elsewhere" })).toBe(1);
    expect(count({ kind: "rename", path: "elsewhere", to: "storage.cfg" })).toBe(1);
    expect(count({ kind: "remove", path: "storage.cfg" })).toBe(1);
  });

  test("a guest that moves leaves the list and comes back: two new versions", () => {
    const { store, versions, ids } = watched();
    made(store, ...mkdirs("nodes/n2", "nodes/n2/lxc"));
    const before = versions.vmlist;
    expect(made(store, { kind: "create", path: "nodes/n2/lxc/100.conf" })).toEqual([Errno.EEXIST]);
    expect(made(store, { kind: "rename", path: GUEST, to: "nodes/n2/lxc/100.conf" })).toEqual([0]);
    expect(versions.vmlist - before).toBe(2);
    expect(ids()).toEqual(["100"]);
  });

  test("rmdir of a directory with a guest's name does not remove the guest", () => {
    const { store, ids } = watched();
    const path = "nodes/n1/lxc/100.conf";
    expect(made(store, { kind: "mkdir", path }, { kind: "remove", path })).toEqual([0, 0]);
    expect(ids()).toEqual(["100"]);
    expect(made(store, { kind: "create", path })).toEqual([Errno.EEXIST]);
  });
});

describe("faults of the C server that are not inherited", () => {
  test("truncate of an empty file writes zeros, which are still there after a restart", () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    {
      using tree = opened(file);
      const clusterLog = { add: () => {} };
      const replicator = new LocalReplicator({ tree, status: { set: () => 0 }, clusterLog });
      void replicator.propose({ kind: "create", path: "f" });
      expect(replicator.propose({ kind: "truncate", path: "f", size: 100 })).toBe(0);
      expect(tree.version).toBe(3);
      void replicator.propose(write("f", "abc", 1));
      expect(replicator.propose({ kind: "truncate", path: "f", size: 2 ** 31 })).toBe(Errno.EFBIG);
    }
    using again = opened(file);
    const expected = Buffer.alloc(100);
    expected.write("abc", 1);
    expect(Buffer.from(again.memdb.read("f")!).equals(expected)).toBe(true);
  });

  test("a truncate of an empty file that a C node sent is applied as in C, without a crash", () => {
    const { store, rows } = inMemory();
    made(store, { kind: "create", path: "f" }, { kind: "truncate", path: "f", size: 100 });
    const entry = store.memdb.find("f")!;
    expect([entry.size, entry.bytes.length]).toEqual([100, 0]);
    expect(rows.rows.get(entry.inode)?.data).toBeNull();
    expect(store.memdb.fileBytes).toBe(100);
    expect(store.index.encode().length).toBe(32 + 2 * 40);
    made(store, write("f", "abc"));
    expect([entry.size, entry.bytes.length, store.memdb.fileBytes]).toEqual([3, 3, 3]);
  });

  test("a rename of a full directory onto an empty one leaves both as they were", () => {
    const { store } = inMemory();
    made(store, ...mkdirs("full", "full/x", "empty"));
    const before = rowsOf(store);
    expect(made(store, { kind: "rename", path: "full", to: "empty" })).toEqual([Errno.ENOTEMPTY]);
    expect(made(store, { kind: "rename", path: "empty", to: "full" })).toEqual([Errno.ENOTEMPTY]);
    expect(rowsOf(store)).toEqual(before);
  });

  test("a file in the place of a guest directory does not prevent the next start", () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    {
      using store = opened(file);
      made(store, ...mkdirs("nodes", "nodes/n1"), { kind: "create", path: "nodes/n1/qemu-server" });
    }
    using again = opened(file);
    expect(again.memdb.read("nodes/n1/qemu-server")).toBeDefined();
  });

  test("a failed commit is EIO for one change, logged once, and the next one succeeds", () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    const log = rememberingLog();
    using store = openTree({ file, log }) as TreeStore;
    made(store, ...mkdirs("a"));
    // A table that refuses rows of some inodes: stands for any error of SQLite.
    const other = new Database(file);
    other.run(
      "CREATE TRIGGER refuse BEFORE INSERT ON tree WHEN new.name = 'b' " +
        "BEGIN SELECT raise(ABORT, 'disk I/O error'); END",
    );
    expect(made(store, ...mkdirs("b", "b"))).toEqual([Errno.EIO, Errno.EIO]);
    expect(rowsOf(store).length).toBe(1);
    expect(made(store, ...mkdirs("c"))).toEqual([0]);
    expect(made(store, ...mkdirs("b"))).toEqual([Errno.EIO]);
    other.run("DROP TRIGGER refuse");
    other.close();
    expect(made(store, ...mkdirs("b"))).toEqual([0]);
    expect(rowsIn(file).length).toBe(4);
    expect(store.version).toBe(4);
    expect(log.lines.filter((line) => line.includes("was not written")).length).toBe(2);
    expect(log.lines.at(-1)).toContain("changes are written again");
  });

  test("a database that another process is writing to is EBUSY, and nothing has changed", () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    using store = opened(file);
    const other = new Database(file);
    other.run("BEGIN IMMEDIATE");
    expect(made(store, ...mkdirs("b"))).toEqual([Errno.EBUSY]);
    expect(rowsOf(store).length).toBe(0);
    other.run("ROLLBACK");
    other.close();
    expect(made(store, ...mkdirs("b"))).toEqual([0]);
  });
});
