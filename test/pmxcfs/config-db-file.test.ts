/** The file of a config.db: never written, refused with a reason, replaced while it is served. */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
} from "node:fs";
import { compactTime } from "../../src/base/compact-time.ts";
import { connectNew } from "../../src/pmxcfs/store/config-db-connection.ts";
import { openBackend } from "../../src/pmxcfs/store/open.ts";
import { openTree } from "../../src/pmxcfs/store/open-tree.ts";
import { silentLog } from "../../src/base/log.ts";
import { eventually } from "../support/eventually.ts";
import { apply, crash, mkdir } from "./batched-tree.ts";
import {
  item,
  makeDb,
  open,
  rememberingLog,
  seen,
  TempDirectory,
  textOf,
  Writer,
} from "./support.ts";

describe("the file itself", () => {
  test("is not written, and no file is made beside it while no other process has it open", () => {
    using directory = new TempDirectory();
    const file = makeDb(directory);
    const before = readFileSync(file);
    {
      using backend = open({ db: file });
      backend.refresh();
      expect(readdirSync(directory.path)).toEqual(["config.db"]);
    }
    expect(readdirSync(directory.path)).toEqual(["config.db"]);
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  test("rows that only the -wal has are served", () => {
    using directory = new TempDirectory();
    using writer = new Writer(makeDb(directory));
    writer.write("storage.cfg", "dir: wal\n");
    expect(existsSync(directory.at("config.db-wal"))).toBe(true);
    using backend = open({ db: directory.at("config.db") });
    expect(textOf(backend.memdb.read("storage.cfg")!)).toBe("dir: wal\n");
  });

  test("through a symlink: SQLite has the -wal beside the file that it leads to", async () => {
    using directory = new TempDirectory();
    using links = new TempDirectory();
    using other = new TempDirectory();
    using writer = new Writer(makeDb(directory));
    writer.write("storage.cfg", "dir: wal\n");
    symlinkSync(directory.at("config.db"), links.at("link.db"));
    using backend = open({ db: links.at("link.db") });
    expect(textOf(backend.memdb.read("storage.cfg")!)).toBe("dir: wal\n");
    writer.write("storage.cfg", "dir: later\n");
    expect(seen(backend, "storage.cfg")[0]).toBe(2);
    using second = new Writer(makeDb(other));
    second.write("storage.cfg", "dir: other\n");
    symlinkSync(other.at("config.db"), links.at("new.db"));
    renameSync(links.at("new.db"), links.at("link.db"));
    await eventually("the other database", () => {
      backend.refresh();
      return textOf(backend.memdb.read("storage.cfg")!) === "dir: other\n";
    });
  });

  test("the directory above is replaced: a change is in the next answer again", async () => {
    using above = new TempDirectory();
    mkdirSync(above.at("db"));
    mkdirSync(above.at("new"));
    renameSync(makeDb(above), above.at("db/config.db"));
    renameSync(makeDb(above), above.at("new/config.db"));
    const log = rememberingLog();
    using backend = open({ db: above.at("db/config.db"), log });
    renameSync(above.at("db"), above.at("old"));
    renameSync(above.at("new"), above.at("db"));
    await eventually("the other file", () => {
      backend.refresh();
      return log.lines.join().includes("another file is in its place");
    });
    using writer = new Writer(above.at("db/config.db"));
    writer.write("storage.cfg", "dir: one\n");
    await eventually("its change", () => seen(backend, "storage.cfg")[0] === 2);
    // No check without an event is due for 100 ms after one that found nothing.
    const until = performance.now() + 350;
    await eventually("a quiet time", () => {
      backend.refresh();
      return performance.now() > until;
    });
    for (let count = 3; count < 6; count++) {
      writer.write("storage.cfg", `dir: ${count}\n`);
      expect(seen(backend, "storage.cfg")[0]).toBe(count);
    }
  });

  test("a database in rollback mode is followed as well", () => {
    using directory = new TempDirectory();
    const file = makeDb(directory);
    using database = new Database(file);
    database.run("PRAGMA journal_mode = DELETE");
    using backend = open({ db: file });
    database.run("UPDATE tree SET data = 'x' WHERE name = 'storage.cfg'");
    expect(seen(backend, "storage.cfg")[0]).toBe(2);
  });

  test("replaced by another database: that is served from then on, with one line", async () => {
    using directory = new TempDirectory();
    using other = new TempDirectory();
    const log = rememberingLog();
    using backend = open({ db: makeDb(directory), log });
    makeDb(other, [item("user.cfg", "user:root@pam\n")]);
    renameSync(other.at("config.db"), directory.at("config.db"));
    await eventually("the other file", () => seen(backend, "user.cfg")[0] === 2);
    expect(textOf(backend.memdb.read("user.cfg")!)).toBe("user:root@pam\n");
    expect(seen(backend, "storage.cfg")).toEqual([1, 1, 1]);
    expect(log.lines).toHaveLength(1);
    expect(log.lines[0]).toContain("another file is in its place: 1 entry new or changed");
  });

  test("replaced by garbage: the last good state is still served, with one line", async () => {
    using directory = new TempDirectory();
    const log = rememberingLog();
    using backend = open({ db: makeDb(directory), log });
    directory.put("rubbish", "this is no database at all, however long one looks at it");
    renameSync(directory.at("rubbish"), directory.at("config.db"));
    await eventually("a log line", () => {
      backend.refresh();
      return log.lines.length > 0;
    });
    expect(log.lines).toEqual([expect.stringContaining("cannot be read (file is not a database)")]);
    expect(textOf(backend.memdb.read("storage.cfg")!)).toBe("dir: local\n");
    rmSync(directory.at("config.db"));
    makeDb(directory, [item("user.cfg", "back")]);
    await eventually("the other file", () => seen(backend, "user.cfg")[0] === 2);
  });

  test("removed: the last state is still served, with one line", async () => {
    using directory = new TempDirectory();
    const log = rememberingLog();
    using backend = open({ db: makeDb(directory), log });
    rmSync(directory.at("config.db"));
    await eventually("a log line", () => {
      backend.refresh();
      return log.lines.length > 0;
    });
    backend.refresh();
    expect(log.lines).toEqual([expect.stringContaining("it is gone")]);
    expect(textOf(backend.memdb.read("storage.cfg")!)).toBe("dir: local\n");
  });
});

function fifoIn(directory: TempDirectory): string {
  Bun.spawnSync(["mkfifo", directory.at("config.db")]);
  return directory.at("config.db");
}

function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

describe("refused at the start, with nothing loaded", () => {
  const SQL: readonly (readonly [what: string, sql: string, reason: string])[] = [
    [
      "a duplicate name",
      "INSERT INTO tree VALUES (99, 0, 99, 0, 1, 8, 'storage.cfg', NULL)",
      "found entry with duplicate name 'storage.cfg'",
    ],
    [
      "a missing parent",
      "INSERT INTO tree VALUES (99, 7777, 99, 0, 1, 8, 'x', NULL)",
      "missing directory inode (inode = 0000000000001E61)",
    ],
    [
      "a parent that is a file",
      "INSERT INTO tree SELECT 99, inode, 99, 0, 1, 8, 'x', NULL FROM tree " +
        "WHERE name = 'storage.cfg'",
      "parent is not a directory",
    ],
    [
      "a duplicate VMID",
      "INSERT INTO tree SELECT 99, inode, 99, 0, 1, 8, '100.conf', x'61' FROM tree " +
        "WHERE name = 'lxc'",
      "detected duplicate VMID 100",
    ],
    [
      "a directory with data",
      "UPDATE tree SET data = x'61' WHERE name = 'ha'",
      "directory inode contains data (inode = 000000000000000C)",
    ],
    [
      "row 0 with another name",
      "UPDATE tree SET name = 'version' WHERE inode = 0",
      "root inode has unexpected name 'version'",
    ],
    [
      "an unknown type",
      "UPDATE tree SET type = 10 WHERE name = 'ha'",
      "inode has unknown type (inode = 000000000000000C, type = 10)",
    ],
    ["no name", "UPDATE tree SET name = '' WHERE name = 'ha'", "inode has no name"],
  ];

  test.each(SQL)("%s", (_, sql, reason) => {
    using directory = new TempDirectory();
    const file = makeDb(directory);
    {
      using database = new Database(file);
      database.run(sql);
    }
    expect(openBackend({ db: file, nodeName: "pve1", log: silentLog })).toStartWith(
      `unable to open database '${file}': ${reason}`,
    );
  });

  const FILES: readonly (readonly [
    what: string,
    make: (d: TempDirectory) => string,
    reason: string,
  ])[] = [
    ["no file", (directory) => directory.at("config.db"), "no such file"],
    ["a directory", (directory) => directory.path, "it is a directory"],
    ["a FIFO", (directory) => fifoIn(directory), "it is a FIFO"],
    ["a device", () => "/dev/zero", "it is a device"],
    ["text", (directory) => directory.put("config.db", "x".repeat(5000)), "file is not a database"],
    [
      "half a database",
      (directory) => {
        const file = makeDb(directory, [item("big", "x".repeat(100_000))]);
        truncateSync(file, 8192);
        return file;
      },
      "database disk image is malformed",
    ],
  ];

  test.each(FILES)("%s", (_, make, reason) => {
    using directory = new TempDirectory();
    const file = make(directory);
    expect(openBackend({ db: file, nodeName: "pve1", log: silentLog })).toBe(
      `unable to open database '${file}': ${reason}`,
    );
  });

  test("no descriptor stays open", () => {
    using directory = new TempDirectory();
    const file = directory.put("config.db", "x".repeat(5000));
    const before = openDescriptors();
    for (let at = 0; at < 20; at++) openBackend({ db: file, nodeName: "pve1", log: silentLog });
    expect(openDescriptors()).toBe(before);
  });
});

test("names that are not UTF-8, and names that C truncates at a NUL, are served", () => {
  using directory = new TempDirectory();
  const file = makeDb(directory);
  {
    using database = new Database(file);
    database.run("INSERT INTO tree VALUES (98, 0, 98, 0, 1, 8, CAST(x'e9ff' AS TEXT), x'61')");
    database.run("INSERT INTO tree VALUES (99, 0, 99, 0, 1, 8, CAST(x'6e0063' AS TEXT), x'62')");
  }
  using backend = open({ db: file });
  expect(textOf(backend.memdb.read("\xe9\xff")!)).toBe("a");
  expect(textOf(backend.memdb.read("n")!)).toBe("b");
});

test("a database that may be read but has no -shm beside its -wal, where none can be made", () => {
  using directory = new TempDirectory();
  using source = new TempDirectory();
  using writer = new Writer(makeDb(source));
  writer.write("storage.cfg", "dir: wal\n");
  for (const name of ["config.db", "config.db-wal"]) {
    copyFileSync(source.at(name), directory.at(name));
  }
  // Root may write anywhere: as root this tests the usual case, with the same result.
  chmodSync(directory.path, 0o500);
  using backend = open({ db: directory.at("config.db") });
  expect(textOf(backend.memdb.read("storage.cfg")!)).toBe("dir: wal\n");
  chmodSync(directory.path, 0o700);
});

test.each([
  ["removed", () => {}],
  [
    "replaced by that of another database",
    (wal: string, theirs: string) => renameSync(`${theirs}-wal`, wal),
  ],
] as const)("a -wal that is %s while it is served costs no change", async (_what, replace) => {
  using directory = new TempDirectory();
  using others = new TempDirectory();
  using copies = new TempDirectory();
  using writer = new Writer(makeDb(others));
  writer.write("storage.cfg", "dir: theirs\n");
  const file = directory.at("config.db");
  const log = rememberingLog();
  const checkpoints = { pages: Infinity, idleMs: 3_600_000 };
  const tree = openTree({ file, log, checkpoints });
  if (typeof tree === "string") throw new Error(tree);
  using opened = tree;
  apply(opened, mkdir("before"));
  for (const suffix of ["-wal", "-shm"]) rmSync(file + suffix);
  replace(`${file}-wal`, others.at("config.db"));
  await eventually("it is noticed", () => log.lines.length > 0);
  expect(log.lines).toEqual([expect.stringContaining("-wal or -shm of")]);
  apply(opened, mkdir("after"));
  const left = openTree({ file: crash(file, copies), log: silentLog });
  if (typeof left === "string") throw new Error(left);
  using again = left;
  expect([...again.entries()].map(({ name }) => name)).toEqual(["before", "after"]);
});

test("a database that cannot be copied is kept by name at the stop, with its -wal", () => {
  using directory = new TempDirectory();
  using others = new TempDirectory();
  const theirs = makeDb(others);
  const file = directory.at("config.db");
  const tree = openTree({ file, log: silentLog });
  if (typeof tree === "string") throw new Error(tree);
  apply(tree, mkdir("ours"));
  renameSync(theirs, file);
  // Directories under the names that ours would get stand for a full disk.
  for (let second = 0; second < 60; second++)
    mkdirSync(`${file}.replaced-${compactTime(Date.now() + 1000 * second)}`);
  tree[Symbol.dispose]();
  const files = readdirSync(directory.path, { withFileTypes: true }).filter((each) =>
    each.isFile(),
  );
  const names = files.map(({ name }) => name).toSorted();
  expect(names).toEqual([
    "config.db",
    expect.stringMatching(/^config\.db\.replaced-\w+-2$/),
    expect.stringMatching(/^config\.db\.replaced-\w+-2-wal$/),
  ]);
  const kept = openTree({ file: directory.at(names[1] ?? ""), log: silentLog });
  if (typeof kept === "string") throw new Error(kept);
  using again = kept;
  expect([...again.entries()].map(({ name }) => name)).toEqual(["ours"]);
  using backend = open({ db: file });
  expect(textOf(backend.memdb.read("storage.cfg")!)).toBe("dir: local\n");
});

function fullDisk(): never {
  throw new Error("database or disk is full");
}

test("a database that is kept by name is not removed when the next copy fails at once", () => {
  using directory = new TempDirectory();
  const kept = makeDb(directory);
  const before = readFileSync(kept);
  expect(() => connectNew(kept, "normal", fullDisk)).toThrow("file exists");
  expect(readFileSync(kept).equals(before)).toBe(true);
});

test("a copy is not made where a link leads that leads nowhere yet", () => {
  using directory = new TempDirectory();
  const link = directory.at("kept.db");
  symlinkSync("elsewhere", link);
  expect(() => connectNew(link, "normal", fullDisk)).toThrow("file exists");
  expect(readdirSync(directory.path)).toEqual(["kept.db"]);
});
