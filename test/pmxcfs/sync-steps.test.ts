/**
 * The end of a cluster's sync in steps, on a config.db: memory and file have the old tree until the
 * new one is complete; whenever the sync is aborted, both have the same tree; a SIGKILL leaves the
 * old one.
 */
import { expect, mock, spyOn, test } from "bun:test";
import { Database } from "bun:sqlite";
import { statSync } from "node:fs";
import { Errno } from "../../src/base/errno.ts";
import { drained, WAITS, type Steps } from "../../src/base/steps.ts";
import { silentLog } from "../../src/base/log.ts";
import { HistoryCollector } from "../../src/pmxcfs/history/collector.ts";
import { Guests } from "../../src/pmxcfs/state/guests.ts";
import { Versions } from "../../src/pmxcfs/state/versions.ts";
import { openTree } from "../../src/pmxcfs/store/open-tree.ts";
import { TransactionState } from "../../src/pmxcfs/store/transaction-state.ts";
import type { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";
import { eventually } from "../support/eventually.ts";
import { filesOfLeader } from "./leader-files.ts";
import { rememberingLog, TempDirectory } from "./support.ts";

/** More than one step of any part handles, and more pages than are written in one turn. */
const FILES = 1_000;
const ORIGIN = { writer: 1, time: 1000 };

function opened(file: string, log = silentLog): TreeStore {
  const tree = openTree({ file, log });
  if (typeof tree === "string") throw new Error(tree);
  return tree;
}

/** A tree of one file, with the state derived from it. */
function nodeWith(file: string, log = silentLog) {
  const tree = opened(file, log);
  expect(tree.apply({ kind: "create", path: "own" }, ORIGIN)).toBe(0);
  const versions = new Versions({ memdb: tree.memdb });
  return { tree, versions, guests: new Guests({ memdb: tree.memdb, versions }) };
}

/** Inodes in the database, as another process would read them. */
function inFile(file: string): number {
  using database = new Database(file, { readonly: true });
  return Number(database.query("SELECT count(*) FROM tree WHERE inode > 0").values()[0]?.[0]);
}

function seen({ tree, versions, guests }: ReturnType<typeof nodeWith>): string {
  const { entryCount, root } = tree.memdb;
  const counters = versions.observed.map((path) => versions.of(path)).join();
  return `${entryCount} ${root.children.size} ${guests.count} ${versions.vmlist} ${counters}`;
}

const own = (node: ReturnType<typeof nodeWith>): number =>
  [...node.tree.entries()].find(({ name }) => name === "own")!.inode;

const sync = (node: ReturnType<typeof nodeWith>): Steps<unknown> =>
  node.tree.commitSync([own(node)], filesOfLeader(FILES, 600));

test("memory and file have the old tree until the sync is complete; all steps are short", () => {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  const node = nodeWith(file);
  using _tree = node.tree;
  const before = seen(node);
  const steps = sync(node);
  let count = 0;
  for (let step = steps.next(); step.done !== true; step = steps.next()) {
    if (step.value === WAITS) continue;
    count++;
    if (node.tree.memdb.entryCount !== 1) continue;
    expect(seen(node)).toBe(before);
    if (count % 50 === 0) expect(inFile(file)).toBe(1);
  }
  expect([node.tree.memdb.entryCount, inFile(file), node.guests.count]).toEqual([
    FILES + 3,
    FILES + 3,
    FILES / 4,
  ]);
  expect(node.versions.of("storage.cfg")).toBe(2);
  // Rows are collected, sorted, judged, loaded, linked and written, at most 64 in one step.
  expect(count).toBeGreaterThan((6 * FILES) / 64);
});

test("a sync that is aborted leaves one tree, on disk as in memory, and no lock", () => {
  using directory = new TempDirectory();
  const all = { old: 0, new: 0 };
  for (const stopAt of [1, 60, 120, "the last row", "the commit", "the end"] as const) {
    const file = directory.at(`${stopAt}.db`);
    const node = nodeWith(file);
    using _tree = node.tree;
    let settled = 0;
    node.tree.memdb.prepareWith(function* ({ after }) {
      yield undefined;
      after.push(function* () {
        settled++;
        yield undefined;
        settled++;
      });
    });
    const steps = sync(node);
    let rows = 0;
    for (let step = steps.next(), count = 1; step.done !== true; step = steps.next(), count++) {
      if (stopAt === "the end" && settled === 1) break;
      if (step.value !== WAITS && (step.value ?? 1) > 1) rows++;
      if (count === stopAt || (stopAt === "the commit" && step.value === WAITS)) break;
      if (stopAt === "the last row" && rows > FILES / 64) break;
    }
    steps.return(undefined);
    const { entryCount } = node.tree.memdb;
    expect([stopAt, inFile(file)]).toEqual([stopAt, entryCount]);
    expect([stopAt, settled]).toEqual([stopAt, entryCount === 1 ? 0 : 2]);
    all[entryCount === 1 ? "old" : "new"]++;
    expect(node.tree.apply({ kind: "create", path: "after" }, ORIGIN)).toBe(0);
    expect(inFile(file)).toBe(entryCount + 1);
  }
  expect(all.old).toBeGreaterThan(3);
});

/** Runs `action`; returns how long it took, in ms. */
function elapsedMs(action: () => void): number {
  const start = performance.now();
  action();
  return performance.now() - start;
}

test("a sync that waits for another process's lock fails with EBUSY, or is aborted at once", () => {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  const log = rememberingLog();
  const node = nodeWith(file, log);
  using _tree = node.tree;
  using other = new Database(file);
  other.run("BEGIN IMMEDIATE");
  const waitMs = elapsedMs(() => expect(drained(sync(node))).toBe(Errno.EBUSY));
  expect(log.lines).toEqual([expect.stringContaining("another process has the database locked")]);
  const steps = sync(node);
  for (let step = steps.next(); step.value !== WAITS; step = steps.next());
  const abortMs = elapsedMs(() => steps.return(undefined));
  expect(abortMs).toBeLessThan(waitMs / 2);
  other.run("ROLLBACK");
  expect([node.tree.memdb.entryCount, inFile(file)]).toEqual([1, 1]);
});

test("after a sync that was ended while its thread hung, changes wait for its end", async () => {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  const node = nodeWith(file);
  using _tree = node.tree;
  const steps = sync(node);
  // Some rows are given: the thread will roll back, and its end is heard when the test wants.
  let rows = 0;
  for (let step = steps.next(); rows < 3; step = steps.next()) if (Number(step.value) > 1) rows++;
  const { prototype } = TransactionState;
  const real = Object.getOwnPropertyDescriptor(prototype, "outcome") ?? {};
  let heard: TransactionState["outcome"] = "pending";
  Object.defineProperty(prototype, "outcome", { ...real, get: () => heard });
  const wait = spyOn(prototype, "wait").mockImplementation(() => {});
  try {
    steps.return(undefined);
    expect(wait).toHaveBeenCalledTimes(1);
    const create = { kind: "create", path: "after" } as const;
    expect(node.tree.apply(create, ORIGIN)).toBe(Errno.EIO);
    expect(drained(sync(node))).toBe(Errno.EIO);
    heard = "committed";
    expect(node.tree.apply(create, ORIGIN)).toBe(Errno.EIO);
    expect(node.tree.memdb.entryCount).toBe(1);
    heard = "failed";
    await eventually("changes are made again", () => node.tree.apply(create, ORIGIN) === 0);
    expect(inFile(file)).toBe(2);
  } finally {
    mock.restore();
    Object.defineProperty(prototype, "outcome", real);
  }
});

test("a SIGKILL while the rows are being written leaves the old tree", async () => {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  nodeWith(file).tree[Symbol.dispose]();
  const program = new URL("./servers/sync.ts", import.meta.url).pathname;
  const child = Bun.spawn([process.execPath, program, file, "4000", "2000"], {
    stdout: "pipe",
    stderr: "inherit",
  });
  try {
    const { value } = await child.stdout.getReader().read();
    expect(Buffer.from(value ?? "").toString()).toBe("given\n");
    // Pages that do not fit into SQLite's cache are in the log before the commit.
    const logBytes = (): number => statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0;
    await eventually("rows in the -wal", () => logBytes() > 4_000_000, 30_000);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
  using tree = opened(file);
  expect([...tree.entries()].map(({ name }) => name)).toEqual(["own"]);
  using database = new Database(file, { readonly: true });
  expect(database.query("PRAGMA integrity_check").values()).toEqual([["ok"]]);
}, 60_000);

test("the history gets what a sync replaced, also at a version that was given out twice", () => {
  using directory = new TempDirectory();
  const { tree } = nodeWith(directory.at("config.db"));
  using _tree = tree;
  const { memdb } = tree;
  const options = { memdb, isPrivate: () => false, keepPrivate: false, pending: () => {} };
  const collector = new HistoryCollector(options);
  const { inode, version, mtime } = memdb.find("own")!;
  const theirs = { version, writer: 2, mtime, parent: 0, type: 8, data: Buffer.from("theirs") };
  expect(drained(tree.commitSync([], [{ ...theirs, inode, name: "own" }]))).toBe(true);
  expect(collector.waiting).toBe(1);
  collector.close();
});
