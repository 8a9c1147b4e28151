/**
 * `--commit batched`: rows, versions and memory are those of `--commit each`; a crash at any moment
 * loses no answered change; a journal is never written into a database that it does not belong to;
 * and a C server does not start without it.
 */
import { describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import fc from "fast-check";
import {
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { Errno } from "../../src/base/errno.ts";
import type { TreeCommand } from "../../src/pmxcfs/state/tree-command.ts";
import {
  decodeJournal,
  encodeBase,
  encodeRecord,
  type JournalRecord,
} from "../../src/pmxcfs/store/journal-format.ts";
import { salvage } from "../../src/pmxcfs/rescue/salvage.ts";
import { verifyDatabase } from "../../src/pmxcfs/rescue/verify.ts";
import { eventually } from "../support/eventually.ts";
import { apply, crash, LATER, mkdir, nameOfRoot, opened } from "./batched-tree.ts";
import { open, rememberingLog, TempDirectory } from "./support.ts";
import { anyCommand, applyToBoth, TreeModel } from "./tree-model.ts";
import { rowsIn, rowsOf } from "./tree-rows-of.ts";

/** The files of a killed server: "before" in the database, `changes` in the journal. */
function left(changes: readonly TreeCommand[]) {
  using directory = new TempDirectory();
  const copies = new TempDirectory();
  using tree = opened(directory.at("config.db"));
  apply(tree, mkdir("before"));
  tree.storage.flush();
  for (const command of changes) apply(tree, command);
  return { copies, file: crash(directory.at("config.db"), copies) };
}

/** A record whose data can be compared. */
function plain({ command, origin }: JournalRecord): unknown {
  const data = command.kind === "write" ? [...command.data] : undefined;
  return { ...command, data, origin };
}

describe("random commands in batches", () => {
  const step = fc.tuple(anyCommand, fc.nat(2), fc.nat(5), fc.integer({ min: 0, max: 9 }));
  const steps = fc.array(step, { maxLength: 120, size: "max" });

  test("leave the rows of `--commit each` after a crash at any moment, and after a stop", () => {
    fc.assert(
      fc.property(steps, fc.nat(119), (commands, crashAt) => {
        using directory = new TempDirectory();
        using copies = new TempDirectory();
        const file = directory.at("config.db");
        const model = new TreeModel();
        {
          using store = opened(file, { batches: { flushMs: LATER, changes: 20 } });
          model.mtime = store.memdb.root.mtime;
          for (const [index, drawn] of commands.entries()) {
            applyToBoth(store, model, drawn);
            const [, , , flush] = drawn;
            if (flush === 0) expect(store.storage.flush()).toBe(0);
            if (index !== crashAt) continue;
            const copy = crash(file, copies);
            opened(copy, { commit: "each" })[Symbol.dispose]();
            expect(rowsIn(copy)).toEqual(model.rows());
            expect(readdirSync(copies.path).filter((name) => name.includes("changes"))).toEqual([]);
          }
          expect(rowsOf(store).length).toBe(model.entries.size);
        }
        expect(rowsIn(file)).toEqual(model.rows());
        expect(readdirSync(directory.path).filter((name) => name.includes("changes"))).toEqual([]);
      }),
      { numRuns: 25 },
    );
  }, 60_000);

  test("records are read back as they were written, and a torn end is dropped", () => {
    const origin = fc.record({ writer: fc.nat(2 ** 31), time: fc.nat(2 ** 31) });
    const records = fc.array(fc.record({ command: anyCommand, origin }), { minLength: 1 });
    fc.assert(
      fc.property(records, fc.nat(), fc.nat(2 ** 20), (given, cut, version) => {
        const base = { version, fingerprint: Buffer.alloc(32, 7) };
        const bytes = Buffer.concat([encodeBase(base), ...given.map(encodeRecord)]);
        const decoded = decodeJournal(bytes);
        expect(decoded?.base).toEqual(base);
        expect(decoded?.records.map(encodeRecord)).toEqual(given.map(encodeRecord));
        expect(decoded?.records.map(plain)).toEqual(given.map(plain));
        const torn = decodeJournal(bytes.subarray(0, cut % bytes.length));
        expect((torn?.records.length ?? 0) < given.length).toBe(true);
      }),
    );
  });

  test("arbitrary bytes are no journal, or a short one, and never throw", () => {
    const head = encodeBase({ version: 3, fingerprint: Buffer.alloc(32) });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        decodeJournal(Buffer.from(bytes));
        expect(decodeJournal(Buffer.concat([head, bytes]))?.records).toEqual([]);
      }),
    );
  });
});

describe("when changes go into the database", () => {
  test("after some time, in one transaction, after which the journal is empty", async () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    using tree = opened(file, { batches: { flushMs: 50 } });
    for (let round = 0; round < 20; round++) apply(tree, mkdir(`d${round}`));
    expect(rowsIn(file).length).toBe(1);
    expect(statSync(`${file}.changes`).size).toBeGreaterThan(500);
    await eventually("they are in the database", () => rowsIn(file).length === 21);
    expect(statSync(`${file}.changes`).size).toBe(0);
    expect(nameOfRoot(file)).toBe("__version__");
  });

  test("when the limit of changes wait, at a flush (fsync), and at the stop", () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    {
      using tree = opened(file, { batches: { flushMs: LATER, changes: 5 } });
      for (const name of ["a", "b", "c", "d"]) apply(tree, mkdir(name));
      expect(rowsIn(file).length).toBe(1);
      apply(tree, mkdir("e"));
      expect(rowsIn(file).length).toBe(6);
      apply(tree, mkdir("f"));
      expect(tree.storage.flush()).toBe(0);
      expect(rowsIn(file).length).toBe(7);
      apply(tree, mkdir("g"));
    }
    expect(rowsIn(file).length).toBe(8);
    expect(existsSync(`${file}.changes`)).toBe(false);
  });

  test("when their content is more than a transaction of 2 ms takes", () => {
    using directory = new TempDirectory();
    using tree = opened(directory.at("config.db"));
    let most = 0;
    for (let at = 0; at < 40; at++) {
      const path = `f${at % 8}`;
      if (at < 8) expect(apply(tree, { kind: "create", path })).toBe(0);
      const data = Buffer.alloc(300_000, 65 + (at % 26));
      apply(tree, { kind: "write", path, offset: 0, data });
      // 1 MiB is three of them, which were created before.
      most = Math.max(most, tree.storage.figures?.waiting ?? Infinity);
    }
    expect(most).toBeLessThanOrEqual(2 * 3);
    // Repeated writes to one file count once.
    expect(tree.storage.flush()).toBe(0);
    const data = Buffer.alloc(300_000, 48);
    for (let at = 0; at < 20; at++) apply(tree, { kind: "write", path: "f0", offset: 0, data });
    expect(tree.storage.figures?.waiting).toBe(20);
  });

  test("when another process opens it", async () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    using tree = opened(file, { batches: { flushMs: LATER, openedCheckMs: 5 } });
    apply(tree, mkdir("a"));
    expect(statSync(`${file}.changes`).size).toBeGreaterThan(0);
    Bun.spawnSync(["head", "-c", "16", file]);
    await eventually("it is in the database", () => statSync(`${file}.changes`).size === 0);
    expect(rowsIn(file).length).toBe(2);
  });

  test("when a locked database is free again; they are answered before", async () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    for (const commit of ["batched", "each"] as const) {
      using tree = opened(file, { batches: { flushMs: 20, retryMs: 20 }, commit });
      if (commit === "each") tree.enterCluster();
      const before = tree.version;
      const other = new Database(file);
      other.run("BEGIN IMMEDIATE");
      expect(apply(tree, mkdir(`a${before}`))).toBe(0);
      expect(apply(tree, mkdir(`b${before}`))).toBe(0);
      other.run("ROLLBACK");
      other.close();
      await eventually("they are in it", () => rowsIn(file).at(-1)?.[2] === before + 2);
    }
  });

  test("or fail with EIO when the journal has reached its limit, until they can be written", () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    using tree = opened(file, { batches: { flushMs: LATER, journalBytes: 200 } });
    const other = new Database(file);
    other.run("BEGIN IMMEDIATE");
    const answers = ["a", "b", "c", "d", "e", "f"].map((name) => apply(tree, mkdir(name)));
    expect(answers).toContain(0);
    expect(answers.at(-1)).toBe(Errno.EIO);
    other.run("ROLLBACK");
    other.close();
    expect(tree.storage.flush()).toBe(0);
    expect(apply(tree, mkdir("f"))).toBe(0);
  });
});

describe("a server that was killed", () => {
  test("leaves a database that a C server refuses, with a row 0 that says what to do", () => {
    const { copies, file } = left([mkdir("a")]);
    using _copies = copies;
    expect(String(nameOfRoot(file))).toContain("pmxcfs-ipc config flush");
    const log = rememberingLog();
    opened(file, { commit: "each" }, log)[Symbol.dispose]();
    expect(log.lines).toEqual([`${file}: 1 change replayed from config.db.changes`]);
    expect(nameOfRoot(file)).toBe("__version__");
    expect(rowsIn(file).length).toBe(3);
  });

  test("leaves a database that commands read with the changes applied, and a note", () => {
    const { copies, file } = left([mkdir("a"), { kind: "create", path: "a/f" }]);
    using _copies = copies;
    const { problems, notes, version } = verifyDatabase(file);
    expect(problems).toEqual([]);
    expect(notes.join("\n")).toContain(
      "2 changes in config.db.changes beside it, shown as applied",
    );
    expect(version).toBe(4);
    const paths = salvage(file).items.map(({ path }) => path.join("/"));
    expect(paths).toEqual(["before", "a", "a/f"]);
    expect(existsSync(`${file}.changes`)).toBe(true);
    using served = open({ db: file });
    expect(served.memdb.find("before")).toBeDefined();
    expect(served.memdb.find("a")).toBeUndefined();
  });

  test("with rows that a failed rename left loses no entry that takes their place", () => {
    using directory = new TempDirectory();
    using copies = new TempDirectory();
    using tree = opened(directory.at("config.db"));
    const cluster = (command: TreeCommand) => tree.apply(command, { writer: 2, time: 1000 });
    for (const path of ["full", "full/x", "empty"]) cluster(mkdir(path));
    const failed = cluster({ kind: "rename", path: "full", to: "empty" });
    expect([failed, tree.memdb.find("empty")]).toEqual([Errno.ENOTEMPTY, undefined]);
    expect(cluster({ kind: "create", path: "empty" })).toBe(0);
    expect(cluster({ kind: "create", path: "full/y" })).toBe(0);
    using again = opened(crash(directory.at("config.db"), copies));
    expect(rowsOf(again)).toEqual(rowsOf(tree));
  });

  test("loses a change whose record is torn, which was not answered", () => {
    const { copies, file } = left([mkdir("a"), mkdir("b")]);
    using _copies = copies;
    truncateSync(`${file}.changes`, readFileSync(`${file}.changes`).length - 1);
    using tree = opened(file);
    expect([...tree.entries()].map(({ name }) => name)).toEqual(["before", "a"]);
  });

  test("has its journal set aside, and logged, when the database was changed meanwhile", () => {
    const { copies, file } = left([mkdir("a")]);
    using _copies = copies;
    const other = new Database(file);
    other.run("UPDATE tree SET name = 'edited' WHERE name = 'before'");
    other.close();
    const log = rememberingLog();
    using tree = opened(file, {}, log);
    expect([...tree.entries()].map(({ name }) => name)).toEqual(["edited"]);
    expect(log.lines.join("\n")).toContain("its 1 change, to a, are kept in");
    expect(readdirSync(copies.path).some((name) => /changes\.set-aside-\d+T/.test(name))).toBe(
      true,
    );
  });

  test("has its journal removed when the database has its changes already", () => {
    const { copies, file } = left([mkdir("a")]);
    using _copies = copies;
    const journal = readFileSync(`${file}.changes`);
    opened(file)[Symbol.dispose]();
    writeFileSync(`${file}.changes`, journal);
    const log = rememberingLog();
    using tree = opened(file, {}, log);
    expect([...tree.entries()].map(({ name }) => name)).toEqual(["before", "a"]);
    expect(log.lines).toEqual([]);
  });

  test("has its changes logged as lost when its journal is missing", () => {
    const { copies, file } = left([mkdir("a")]);
    using _copies = copies;
    rmSync(`${file}.changes`);
    const log = rememberingLog();
    using tree = opened(file, {}, log);
    expect(tree.version).toBe(2);
    expect(log.lines.join("\n")).toContain("changes after version 2 waited in config.db.changes");
  });
});
