/**
 * The history of the tree: random changes against a simple model (every version's content, the tree
 * at every moment), joined changes, limits, and a database that cannot be used.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import fc from "fast-check";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLog } from "../../src/base/log.ts";
import { drained } from "../../src/base/steps.ts";
import type { HistoryChange } from "../../src/pmxcfs/history/change.ts";
import { HistoryCollector } from "../../src/pmxcfs/history/collector.ts";
import { History } from "../../src/pmxcfs/history/reader.ts";
import { HistoryWriter } from "../../src/pmxcfs/history/writer.ts";
import { pathIsPrivate } from "../../src/pmxcfs/state/private-path.ts";
import { Memdb, pathOf } from "../../src/pmxcfs/state/memdb.ts";
import type { TreeCommand } from "../../src/pmxcfs/state/tree-command.ts";
import { MemoryRows } from "../../src/pmxcfs/store/memory-rows.ts";
import { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";
import { TempDirectory } from "./support.ts";
import { anyCommand } from "./tree-model.ts";

const LIMITS = { bytes: 64 * 1024 * 1024, ageMs: 1_000_000_000 };
const HOUR = 3_600_000;

const directories: TempDirectory[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) directory[Symbol.dispose]();
});

function place(name = "history.db"): string {
  const directory = new TempDirectory();
  directories.push(directory);
  return join(directory.path, name);
}

/** A tree in memory, its history, and a clock that the test sets. */
class Rig {
  readonly store: TreeStore;
  readonly collector: HistoryCollector;
  readonly writer: HistoryWriter;
  readonly file: string;
  nowMs = 1_700_000_000_000;

  constructor(options: { keepPrivate?: boolean; limits?: typeof LIMITS; file?: string } = {}) {
    this.file = options.file ?? place();
    const memdb = new Memdb();
    memdb.stampRoot({ version: 1, writer: 0, mtime: 0 });
    const entries = new Map();
    this.store = new TreeStore({ memdb, entries, writer: new MemoryRows(), log: silentLog });
    this.collector = new HistoryCollector({
      memdb,
      isPrivate: pathIsPrivate,
      keepPrivate: options.keepPrivate ?? false,
      pending: () => {},
      now: () => this.nowMs,
    });
    const limits = options.limits ?? LIMITS;
    this.writer = HistoryWriter.open({ file: this.file, node: "n1", limits });
  }

  apply(command: TreeCommand, pid = 7): number {
    const author = { pid, uid: 0, command: "test" };
    const origin = { writer: 0, time: Math.floor(this.nowMs / 1000) };
    return this.collector.by(author, [command.path], () => this.store.apply(command, origin));
  }

  /** Ends a batch: writes the waiting changes. */
  written(): HistoryChange[] {
    const changes: HistoryChange[] = [];
    while (this.collector.waiting > 0) changes.push(...this.collector.take(1024 * 1024));
    this.writer.write(changes);
    return changes;
  }

  read(): History {
    const history = History.open(this.file);
    if (typeof history === "string") throw new Error(history);
    return history;
  }
}

const write = (path: string, text: string, offset = 0): TreeCommand => {
  return { kind: "write", path, offset, data: Buffer.from(text) };
};

/** Content by path; a directory has a trailing slash and "". */
function treeOf(memdb: Memdb): Record<string, string> {
  const all: Record<string, string> = {};
  for (const entry of memdb.entries()) {
    const isDirectory = entry.kind === "directory";
    const text = Buffer.from(entry.bytes).toString("latin1");
    all[pathOf(entry) + (isDirectory ? "/" : "")] = isDirectory ? "" : text;
  }
  return all;
}

function treeAt(history: History, ms: number): Record<string, string> {
  const all: Record<string, string> = {};
  for (const [path, change] of history.treeAt(ms)) {
    const isDirectory = change.type === "directory";
    const text = Buffer.from(history.content(change) ?? "").toString("latin1");
    all[path + (isDirectory ? "/" : "")] = isDirectory ? "" : text;
  }
  return all;
}

test("the tree of every moment can be rebuilt after random changes", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(anyCommand, fc.boolean()), { maxLength: 60 }), (steps) => {
      const rig = new Rig({ keepPrivate: true });
      using _writer = rig.writer;
      const moments: [number, Record<string, string>][] = [];
      for (const [command, ends] of steps) {
        rig.apply(command);
        if (!ends) continue;
        rig.written();
        moments.push([rig.nowMs, treeOf(rig.store.memdb)]);
        rig.nowMs += 1000;
      }
      using history = rig.read();
      for (const [ms, tree] of moments) expect(treeAt(history, ms)).toEqual(tree);
    }),
    { numRuns: 40 },
  );
});

describe("changes that belong together are one", () => {
  test("PVE's way to write: temporary file, write, rename", () => {
    const rig = new Rig();
    using _writer = rig.writer;
    rig.apply({ kind: "create", path: "storage.cfg" });
    rig.written();
    const first = rig.store.version + 1;
    rig.apply({ kind: "create", path: "storage.cfg.tmp.7" });
    rig.apply(write("storage.cfg.tmp.7", "dir: local\n"));
    rig.apply({ kind: "rename", path: "storage.cfg.tmp.7", to: "storage.cfg" });
    const changes = rig.written();
    expect(changes).toHaveLength(1);
    expect(changes[0]).toMatchObject({
      kind: "replace",
      path: "storage.cfg",
      to: undefined,
      firstVersion: first,
      version: first + 2,
      size: 11,
      author: { pid: 7, command: "test" },
    });
  });

  test("a file written in pieces by one process, and not by two", () => {
    const rig = new Rig();
    using _writer = rig.writer;
    rig.apply({ kind: "create", path: "f" });
    for (let at = 0; at < 5; at++) rig.apply(write("f", "x", at));
    rig.apply(write("f", "y", 5), 8);
    const [made, other] = rig.written();
    expect([made?.kind, made?.size, other?.kind, other?.size]).toEqual(["create", 5, "write", 6]);
  });

  test("a rename of an existing file stays a rename", () => {
    const rig = new Rig();
    using _writer = rig.writer;
    rig.apply({ kind: "create", path: "a" });
    rig.written();
    rig.apply({ kind: "rename", path: "a", to: "b" });
    expect(rig.written()).toMatchObject([{ kind: "rename", path: "a", to: "b" }]);
  });

  test("mtimes of locks are not recorded", () => {
    const rig = new Rig();
    using _writer = rig.writer;
    for (const path of ["priv", "priv/lock", "priv/lock/x"]) rig.apply({ kind: "mkdir", path });
    rig.written();
    rig.apply({ kind: "utime", path: "priv/lock/x", mtime: 1_900_000_000 });
    expect(rig.written()).toEqual([]);
  });
});

test("contents of private files are kept only on request, and the change is marked", () => {
  for (const keepPrivate of [false, true]) {
    const rig = new Rig({ keepPrivate });
    using _writer = rig.writer;
    rig.apply({ kind: "mkdir", path: "priv" });
    rig.apply({ kind: "create", path: "priv/token.cfg" });
    rig.apply(write("priv/token.cfg", "SECRET-VALUE"));
    rig.written();
    using history = rig.read();
    const state = history.stateAt("priv/token.cfg");
    expect(state).toMatchObject({ isPrivate: true, size: 12 });
    expect(history.content(state!) !== undefined).toBe(keepPrivate);
  }
});

test("a sync of the cluster is recorded as what it changed", () => {
  const rig = new Rig();
  using _writer = rig.writer;
  for (const path of ["keep", "go", "change"]) rig.apply({ kind: "create", path });
  rig.written();
  const gone = rig.store.memdb.find("go")!;
  const changed = rig.store.memdb.find("change")!;
  const stamp = { version: 50, writer: 2, mtime: 1_700_000_100 };
  const data = Buffer.from("by the leader");
  const steps = rig.store.commitSync([gone.inode], [
    { ...stamp, inode: 0, parent: 0, type: 4, name: "", data: Buffer.alloc(0), size: 0 },
    { ...stamp, inode: changed.inode, parent: 0, type: 8, name: "change", data, size: 13 },
  ] as never);
  expect(drained(steps)).toBe(true);
  expect(rig.written()).toMatchObject([
    { kind: "remove", cause: "sync", path: "go" },
    { kind: "replace", cause: "sync", path: "change", writer: 2, version: 50, size: 13 },
  ]);
});

describe("limits", () => {
  test("of age: superseded changes are deleted, and the rest still gives the tree", () => {
    const rig = new Rig({ limits: { bytes: 2 ** 40, ageMs: HOUR } });
    using _writer = rig.writer;
    for (const path of ["stays", "f", "gone"]) rig.apply({ kind: "create", path });
    for (let step = 0; step < 1200; step++) {
      rig.apply(write("f", `content ${step}`));
      rig.written();
      rig.nowMs += 10_000;
    }
    rig.apply({ kind: "rename", path: "gone", to: "moved" });
    rig.apply({ kind: "remove", path: "moved" });
    rig.written();
    const kept = treeOf(rig.store.memdb);
    const end = rig.nowMs;
    let slices = 0;
    while (rig.writer.prune(rig.nowMs + 2 * HOUR)) slices++;
    expect(slices).toBeGreaterThan(1);
    using history = rig.read();
    expect(treeAt(history, end)).toEqual(kept);
    expect(history.changes().map(({ path }) => path)).toEqual(["stays", "f"]);
  });

  test("of age: what a recent change superseded is kept, however old it is", () => {
    const rig = new Rig({ limits: { bytes: 2 ** 40, ageMs: HOUR } });
    using _writer = rig.writer;
    rig.apply({ kind: "create", path: "f" });
    rig.apply(write("f", "old"));
    for (const path of ["removed", "moved", "early"]) rig.apply({ kind: "create", path });
    rig.written();
    const before = treeOf(rig.store.memdb);
    const mid = (rig.nowMs += 100 * HOUR) - HOUR / 2;
    rig.apply(write("f", "new"));
    rig.apply({ kind: "remove", path: "removed" });
    rig.apply({ kind: "rename", path: "moved", to: "there" });
    rig.written();
    while (rig.writer.prune(rig.nowMs));
    using history = rig.read();
    expect(treeAt(history, mid)).toEqual(before);
    expect(history.completeFromMs).toBeUndefined();
    while (rig.writer.prune(rig.nowMs + 2 * HOUR));
    expect(history.changes().map(({ path }) => path)).toEqual(["early", "f", "moved"]);
    expect(history.completeFromMs).toBe(rig.nowMs);
    const target = `${rig.file}.tree`;
    const words = ["history", "tree", `@${mid / 1000}`, "export", target, "--history", rig.file];
    const main = join(import.meta.dir, "../../src/main.ts");
    const { exitCode, stderr } = Bun.spawnSync([process.execPath, main, ...words]);
    expect(stderr.toString()).toContain("older states were deleted");
    expect([exitCode, ...readdirSync(target)]).toEqual([1, "early"]);
  });

  test("of size: the oldest contents are deleted until it fits", () => {
    const rig = new Rig({ limits: { bytes: 600 * 1024, ageMs: 1e12 } });
    using _writer = rig.writer;
    rig.apply({ kind: "create", path: "f" });
    for (let step = 0; step < 200; step++) {
      const data = crypto.getRandomValues(new Uint8Array(10_000));
      rig.apply({ kind: "write", path: "f", offset: 0, data });
      rig.written();
    }
    while (rig.writer.prune(rig.nowMs));
    using history = rig.read();
    const contents = history.changes().filter((change) => history.content(change) !== undefined);
    expect(contents.length).toBeGreaterThan(0);
    expect(contents.length).toBeLessThan(80);
    expect(history.completeFromMs).toBe(rig.nowMs);
    expect(treeAt(history, rig.nowMs)).toEqual(treeOf(rig.store.memdb));
  });

  test("of memory: first contents, then changes are dropped and counted", () => {
    const memdb = new Memdb();
    const entries = new Map();
    const store = new TreeStore({ memdb, entries, writer: new MemoryRows(), log: silentLog });
    const collector = new HistoryCollector({
      memdb,
      isPrivate: () => false,
      keepPrivate: false,
      pending: () => {},
      limits: { changes: 10, bytes: 100 },
    });
    for (let file = 0; file < 20; file++) {
      store.apply({ kind: "create", path: `f${file}` }, { writer: 0, time: 1 });
      store.apply(write(`f${file}`, "x".repeat(60)), { writer: 0, time: 1 });
    }
    expect(collector.waiting).toBe(10);
    expect(collector.lostContents).toBeGreaterThan(5);
    expect(collector.lostChanges).toBeGreaterThan(5);
  });
});

describe("a database that cannot be used is renamed", () => {
  const cases: [string, (file: string) => void, RegExp][] = [
    ["damaged", (file) => writeFileSync(file, "x".repeat(5000)), /not a database/],
    [
      "of another kind",
      (file) => new Database(file).run("CREATE TABLE t (a)"),
      /it is not a history database/,
    ],
    [
      "of another node",
      (file) => HistoryWriter.open({ file, node: "n2", limits: LIMITS })[Symbol.dispose](),
      /it is the history of node "n2"/,
    ],
    [
      "of a newer format",
      (file) => {
        HistoryWriter.open({ file, node: "n1", limits: LIMITS })[Symbol.dispose]();
        new Database(file).run("PRAGMA user_version = 99");
      },
      /its format is 99, and this program knows up to 1/,
    ],
  ];
  test.each(cases)("%s", (_, make, notice) => {
    const file = place();
    make(file);
    using writer = HistoryWriter.open({ file, node: "n1", limits: LIMITS });
    expect(writer.notice).toMatch(notice);
    const names = readdirSync(join(file, ".."));
    expect(names.filter((name) => /^history\.db\.set-aside-\d{8}T\d{6}Z$/.test(name))).toHaveLength(
      1,
    );
    using history = History.open(file) as History;
    expect(history.changes()).toEqual([]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });
});

test("the changes below a path are not those below its name in other letters", () => {
  const rig = new Rig();
  using _writer = rig.writer;
  for (const path of ["sdn", "SDN"]) rig.apply({ kind: "mkdir", path });
  for (const path of ["sdn/a", "SDN/b", "sdn0"]) rig.apply({ kind: "create", path });
  rig.written();
  using history = rig.read();
  expect(history.changes({ path: "sdn" }).map(({ path }) => path)).toEqual(["sdn", "sdn/a"]);
});

test("reading the history of a server that has ended makes no file and changes none", () => {
  const file = place("a history?.db#1%20");
  HistoryWriter.open({ file, node: "n1", limits: LIMITS })[Symbol.dispose]();
  const before = readFileSync(file);
  {
    using history = History.open(file) as History;
    expect(history.node).toBe("n1");
    expect(readdirSync(join(file, ".."))).toEqual(["a history?.db#1%20"]);
  }
  expect(readdirSync(join(file, ".."))).toEqual(["a history?.db#1%20"]);
  expect(readFileSync(file).equals(before)).toBe(true);
});

describe("a history that cannot be opened now is left as it is", () => {
  const CHILD = new URL("./servers/full-history.ts", import.meta.url).pathname;
  /** The outcomes of three tries in a process whose files cannot grow, as on a full disk. */
  const tried = (file: string): string => {
    const script = "trap '' XFSZ; ulimit -f 0; exec \"$@\"";
    const words = ["sh", "-c", script, "sh", process.execPath, CHILD, file, "3"];
    return Bun.spawnSync(words, { stderr: "inherit" }).stdout.toString();
  };

  test("a new one on a full disk leaves no file", () => {
    const file = place();
    expect(tried(file)).toBe("failed\n".repeat(3));
    expect(readdirSync(join(file, ".."))).toEqual([]);
  });

  test("one that is there is continued when there is room", () => {
    const file = place();
    HistoryWriter.open({ file, node: "n1", limits: LIMITS })[Symbol.dispose]();
    expect(tried(file)).toBe("failed\n".repeat(3));
    using writer = HistoryWriter.open({ file, node: "n1", limits: LIMITS });
    expect(writer.notice).toBeUndefined();
  });

  test("one that another process has locked is not renamed", () => {
    const file = place();
    HistoryWriter.open({ file, node: "n1", limits: LIMITS })[Symbol.dispose]();
    using other = new Database(file);
    other.run("PRAGMA locking_mode = EXCLUSIVE");
    other.run("BEGIN EXCLUSIVE");
    expect(() => HistoryWriter.open({ file, node: "n1", limits: LIMITS })).toThrow("locked");
    other.run("ROLLBACK");
    expect(readdirSync(join(file, "..")).filter((name) => name.includes("aside"))).toEqual([]);
  });
});
