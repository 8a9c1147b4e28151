/** The recorder of the history: writes complete changes later, and never delays the tree. */
import { Database } from "bun:sqlite";
import { afterEach, describe, expect, spyOn, test } from "bun:test";
import { readdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { silentLog } from "../../src/base/log.ts";
import { History } from "../../src/pmxcfs/history/reader.ts";
import { BATCH_MS, HistoryRecorder } from "../../src/pmxcfs/history/recorder.ts";
import { Memdb, pathOf } from "../../src/pmxcfs/state/memdb.ts";
import { pathIsPrivate } from "../../src/pmxcfs/state/private-path.ts";
import type { TreeCommand } from "../../src/pmxcfs/state/tree-command.ts";
import { MemoryRows } from "../../src/pmxcfs/store/memory-rows.ts";
import { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";
import { eventually } from "../support/eventually.ts";
import { shortSlices } from "../support/short-slices.ts";
import { rememberingLog, TempDirectory } from "./support.ts";

const LIMITS = { bytes: 64 * 1024 * 1024, ageMs: 1_000_000_000 };

const directories: TempDirectory[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) directory[Symbol.dispose]();
});

function place(): string {
  const directory = new TempDirectory();
  directories.push(directory);
  return join(directory.path, "history.db");
}

function recorded(file: string, memdb: Memdb, log = silentLog, limits = LIMITS): HistoryRecorder {
  const options = { isPrivate: pathIsPrivate, keepPrivate: false, limits };
  return new HistoryRecorder({ ...options, file, node: "n1", memdb, log });
}

function storeOf(): TreeStore {
  const memdb = new Memdb();
  memdb.stampRoot({ version: 1, writer: 0, mtime: 0 });
  const entries = new Map();
  return new TreeStore({ memdb, entries, writer: new MemoryRows(), log: silentLog });
}

const create = (path: string): TreeCommand => ({ kind: "create", path });
const remove = (path: string): TreeCommand => ({ kind: "remove", path });

describe("the recorder", () => {
  test("writes after the changes, and at the next start adds those that it missed", async () => {
    const file = place();
    const store = storeOf();
    const origin = { writer: 0, time: 1_700_000_000 };
    store.apply({ kind: "create", path: "before" }, origin);
    const first = recorded(file, store.memdb);
    store.apply({ kind: "create", path: "during" }, origin);
    await first.close();
    store.apply({ kind: "create", path: "between" }, origin);
    store.apply({ kind: "remove", path: "before" }, origin);
    const second = recorded(file, store.memdb);
    await eventually("four changes", () => second.counters.written >= 2);
    await second.close();
    using history = History.open(file) as History;
    const shown = history.changes().map(({ kind, cause, path }) => [kind, cause, path].join(" "));
    expect(shown.toSorted()).toEqual([
      "create change during",
      "create start before",
      "create start between",
      "remove start before",
    ]);
  });

  test("adds a removal once that it has collected before the history was open", async () => {
    const file = place();
    const store = storeOf();
    const origin = { writer: 0, time: 1_700_000_000 };
    for (const path of ["a", "b"]) store.apply({ kind: "create", path }, origin);
    await using first = recorded(file, store.memdb);
    await eventually("both are written", () => first.counters.written === 2);
    await first.close();
    await using second = recorded(file, store.memdb);
    store.apply({ kind: "remove", path: "a" }, origin);
    store.apply({ kind: "rename", path: "b", to: "c" }, origin);
    await eventually("both changes are written", () => second.counters.written >= 2);
    await second.close();
    using history = History.open(file) as History;
    const shown = history.changes().map(({ kind, cause, path }) => [kind, cause, path].join(" "));
    expect(shown.toSorted()).toEqual([
      "create start a",
      "create start b",
      "remove change a",
      "rename change b",
    ]);
  });

  test("has the tree also when it changes between all slices of its start", async () => {
    const file = place();
    const store = storeOf();
    const origin = { writer: 0, time: 1_700_000_000 };
    const change = (...commands: TreeCommand[]): void => {
      for (const command of commands) expect(store.apply(command, origin)).toBe(0);
    };
    const numbers = Array.from({ length: 40 }, (_, number) => number);
    change({ kind: "mkdir", path: "d" }, { kind: "mkdir", path: "e" });
    change(...numbers.flatMap((number) => [create(`d/${number}`), create(`e/${number}`)]));
    const first = recorded(file, store.memdb);
    await eventually("all is written", () => first.counters.written === store.memdb.entryCount);
    await first.close();
    // What the recorder missed: half of a directory is gone, as many entries are new.
    change(...numbers.slice(0, 20).flatMap((n) => [remove(`d/${n}`), create(`d/new${n}`)]));
    const entries = store.memdb.entryCount;
    // The search lists the entries, compares them, then looks for what is gone: 20 or more.
    const steps = new Map<number, () => void>();
    for (const [at, n] of numbers.slice(0, 10).entries()) {
      steps.set(at, () => change({ kind: "rename", path: `e/${39 - n}`, to: `d/from${n}` }));
      steps.set(entries - 15 + at, () => change(remove(`d/new${n}`), remove(`e/${n}`)));
      steps.set(entries + at, () => change(create(`d/${19 - n}`), create(`e/more${n}`)));
      steps.set(2 * entries + at, () => change(remove(`d/${19 - n}`)));
    }
    using _slices = shortSlices((count) => {
      steps.get(count - 1)?.();
      steps.delete(count - 1);
    });
    await using recorder = recorded(file, store.memdb);
    await eventually("all is written", () => steps.size === 0 && recorder.counters.waiting === 0);
    await recorder.close();
    using history = History.open(file) as History;
    const kept = [...history.treeAt(Date.now() + 1000)].map(([path, { version }]) => {
      return `${path} ${version}`;
    });
    const there = [...store.entries()].map((entry) => `${pathOf(entry)} ${entry.version}`);
    expect(kept.toSorted()).toEqual(there.toSorted());
    const removals = history.changes().filter(({ kind }) => kind === "remove");
    expect(removals.map(({ path }) => path).toSorted()).toEqual(
      [
        ...numbers.slice(0, 20).map((n) => `d/${n}`),
        ...numbers.slice(0, 10).flatMap((n) => [`d/new${n}`, `e/${n}`]),
      ].toSorted(),
    );
  });

  test("writes again after its thread has crashed", async () => {
    const file = place();
    const store = storeOf();
    const log = rememberingLog();
    const origin = { writer: 0, time: 1_700_000_000 };
    const added = spyOn(Worker.prototype, "addEventListener");
    await using recorder = recorded(file, store.memdb, log);
    const thread = added.mock.contexts[0] as Worker;
    added.mockRestore();
    store.apply({ kind: "create", path: "a" }, origin);
    await eventually("the first change", () => recorder.counters.written === 1);
    thread.dispatchEvent(new ErrorEvent("error", { message: "crashed" }));
    thread.terminate();
    store.apply({ kind: "create", path: "b" }, origin);
    await eventually("the second change", () => recorder.counters.written === 2);
  });

  test("leaves no -wal of its own beside a file that took its place before the stop", async () => {
    const [file, other] = [place(), place()];
    const store = storeOf();
    await recorded(other, store.memdb).close();
    const recorder = recorded(file, store.memdb);
    store.apply({ kind: "create", path: "ours" }, { writer: 0, time: 1_700_000_000 });
    await eventually("it is written", () => recorder.counters.written === 1);
    renameSync(other, file);
    await recorder.close();
    expect(readdirSync(dirname(file))).toEqual(["history.db"]);
    using history = History.open(file) as History;
    expect(history.changes()).toEqual([]);
  });

  test("does not split changes that belong together when a batch is due between them", async () => {
    const file = place();
    const store = storeOf();
    const origin = { writer: 0, time: 1_700_000_000 };
    const recorder = recorded(file, store.memdb);
    /** True when a file created just before a batch is due, and renamed after it, is one change. */
    const isWhole = async (name: string): Promise<boolean> => {
      const before = recorder.counters.written;
      const started = performance.now();
      const passed = (ms: number) => () => performance.now() - started > ms;
      store.apply({ kind: "create", path: `${name}.first` }, origin);
      await eventually("the batch is nearly due", passed(BATCH_MS - 100));
      while (!passed(BATCH_MS - 10)());
      store.apply({ kind: "create", path: `${name}.tmp` }, origin);
      await eventually("the batch was due", passed(BATCH_MS + 8));
      store.apply({ kind: "rename", path: `${name}.tmp`, to: name }, origin);
      const written = (): number => recorder.counters.written - before;
      await eventually("all is written", () => written() > 1 && recorder.counters.waiting === 0);
      return written() === 2;
    };
    // On a busy machine the steps may come too late.
    let whole = false;
    for (let round = 0; round < 20 && !whole; round++) whole = await isWhole(`file${round}`);
    expect(whole).toBe(true);
    await recorder.close();
  }, 60_000);

  test("delays no change while the history cannot be written, and logs one line", async () => {
    const file = place();
    const store = storeOf();
    const log = rememberingLog();
    const recorder = recorded(file, store.memdb, log);
    const origin = { writer: 0, time: 1_700_000_000 };
    store.apply({ kind: "create", path: "a" }, origin);
    await eventually("the first change", () => recorder.counters.written === 1);
    // Another connection holds the lock: stands for a disk that cannot be written.
    const other = new Database(file);
    other.run("BEGIN EXCLUSIVE");
    store.apply({ kind: "create", path: "b" }, origin);
    await eventually("a failure", () => recorder.counters.failures > 0);
    expect(store.apply({ kind: "create", path: "c" }, origin)).toBe(0);
    other.run("COMMIT");
    other.close();
    await eventually("all three", () => recorder.counters.written >= 3, 20_000);
    await recorder.close();
    expect(log.lines.filter((line) => line.includes("cannot be written"))).toHaveLength(1);
    using history = History.open(file) as History;
    expect(history.changes().map(({ path }) => path)).toEqual(["a", "b", "c"]);
  });

  test("adds once what it found at the start, however often that cannot be written", async () => {
    const file = place();
    const store = storeOf();
    await recorded(file, store.memdb).close();
    const origin = { writer: 0, time: 1_700_000_000 };
    const paths = Array.from({ length: 600 }, (_, at) => `f${at}`);
    for (const path of paths) store.apply({ kind: "create", path }, origin);
    const other = new Database(file);
    other.run("BEGIN IMMEDIATE");
    const recorder = recorded(file, store.memdb);
    await eventually("two failures", () => recorder.counters.failures >= 2, 20_000);
    expect(recorder.counters.waiting).toBe(paths.length);
    other.run("COMMIT");
    other.close();
    await eventually("all are written", () => recorder.counters.waiting === 0, 20_000);
    await recorder.close();
    using history = History.open(file) as History;
    expect(history.changes().map(({ path }) => path)).toEqual(paths);
  }, 60_000);

  test("ends after three seconds while the disk does not answer", async () => {
    const store = storeOf();
    const recorder = recorded(place(), store.memdb);
    store.apply({ kind: "create", path: "a" }, { writer: 0, time: 1_700_000_000 });
    await eventually("the first change", () => recorder.counters.written === 1);
    // The thread takes no job: stands for one that sleeps in a system call.
    const posted = spyOn(Worker.prototype, "postMessage").mockImplementation(() => {});
    const started = performance.now();
    try {
      await recorder.close();
    } finally {
      posted.mockRestore();
    }
    expect(performance.now() - started).toBeLessThan(10_000);
  }, 20_000);

  test("ends at once when its file could not be opened", async () => {
    const store = storeOf();
    const recorder = recorded(join(place(), "below-no-directory"), store.memdb);
    store.apply({ kind: "create", path: "a" }, { writer: 0, time: 1_700_000_000 });
    await eventually("a failure", () => recorder.counters.failures > 0);
    const started = performance.now();
    await recorder.close();
    expect(performance.now() - started).toBeLessThan(2_500);
  });

  test("logs that old changes cannot be deleted", async () => {
    const file = place();
    const store = storeOf();
    const log = rememberingLog();
    await using recorder = recorded(file, store.memdb, log, { ...LIMITS, bytes: 0 });
    const origin = { writer: 0, time: 1_700_000_000 };
    store.apply({ kind: "create", path: "a" }, origin);
    store.apply({ kind: "remove", path: "a" }, origin);
    await eventually("both changes", () => recorder.counters.written === 2);
    using other = new Database(file);
    other.run(`CREATE TRIGGER refuse BEFORE DELETE ON change BEGIN
      SELECT RAISE(FAIL, 'refused by the test'); END`);
    await eventually("a failure", () => recorder.counters.failures > 0, 30_000);
    expect(log.lines).toHaveLength(1);
    expect(log.lines[0]).toMatch(/old changes cannot be deleted .*refused by the test/);
  }, 60_000);
});
