/**
 * config.db as a source: every row of CONFIG-DB's table done by another SQLite writer, with the
 * counters clients see afterwards; what is refused and with which words; files that change hands.
 */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
} from "node:fs";
import { writeConfigDb, type TreeItem } from "../../src/backend/config-writer.ts";
import { openBackend, type Backend } from "../../src/backend/open.ts";
import { silentLog } from "../../src/log.ts";
import { eventually } from "../support/eventually.ts";
import { open, rememberingLog, TempDirectory, textOf, Writer } from "./support.ts";

const GUEST = "nodes/pve1/qemu-server/100.conf";

function item(path: string, content?: string): TreeItem {
  const bytes = content === undefined ? undefined : Buffer.from(content);
  return { path: path.split("/"), bytes, mtime: 1_700_000_000 };
}

function makeDb(directory: TempDirectory, extra: readonly TreeItem[] = []): string {
  const file = directory.at("config.db");
  const problem = writeConfigDb(file, [
    item("priv"),
    item("priv/lock"),
    item("nodes"),
    item("nodes/pve1"),
    item("nodes/pve1/qemu-server"),
    item("nodes/pve1/lxc"),
    item("nodes/pve2"),
    item("nodes/pve2/qemu-server"),
    item(GUEST, "name: web\n"),
    item("storage.cfg", "dir: local\n"),
    item("ha"),
    ...extra,
  ]);
  if (problem !== undefined) throw new Error(problem);
  return file;
}

/** What a client sees: one observed path, the guest list's version, the guest's version. */
function seen(backend: Backend, path: string, vmid = 100) {
  backend.refresh();
  const list = JSON.parse(textOf(backend.guests.list())) as {
    version: number;
    ids?: Record<string, { version: number; node: string }>;
  };
  const { versions } = backend;
  return [versions.of(path), list.version, list.ids?.[vmid]?.version];
}

interface Change {
  readonly does: string;
  readonly path: string;
  readonly by: (writer: Writer) => void;
  /** What the observed path, the guest list and guest 100 move by. */
  readonly moves: readonly [path: number, vmlist: number, guest: number | "gone"];
}

const CHANGES: readonly Change[] = [
  {
    does: "create",
    path: "user.cfg",
    by: (writer) => writer.create("user.cfg"),
    moves: [1, 0, 0],
  },
  {
    does: "write",
    path: "storage.cfg",
    by: (writer) => writer.write("storage.cfg", "dir: other\n"),
    moves: [1, 0, 0],
  },
  {
    does: "write the same bytes again",
    path: "storage.cfg",
    by: (writer) => writer.write("storage.cfg", "dir: local\n"),
    moves: [1, 0, 0],
  },
  {
    does: "truncate",
    path: "storage.cfg",
    by: (writer) => writer.write("storage.cfg", ""),
    moves: [1, 0, 0],
  },
  {
    does: "write a temporary file and rename it over the target",
    path: "storage.cfg",
    by: (writer) => {
      writer.create("storage.cfg.tmp.1");
      writer.write("storage.cfg.tmp.1", "dir: new\n");
      writer.rename("storage.cfg.tmp.1", "storage.cfg");
    },
    moves: [1, 0, 0],
  },
  {
    does: "rename away",
    path: "storage.cfg",
    by: (writer) => writer.rename("storage.cfg", "storage.old"),
    moves: [1, 0, 0],
  },
  {
    does: "rename to an observed name",
    path: "user.cfg",
    by: (writer) => writer.rename("storage.cfg", "user.cfg"),
    moves: [1, 0, 0],
  },
  {
    does: "unlink",
    path: "storage.cfg",
    by: (writer) => writer.remove("storage.cfg"),
    moves: [1, 0, 0],
  },
  {
    does: "mkdir of an observed name",
    path: "ceph.conf",
    by: (writer) => writer.create("ceph.conf", 4),
    moves: [1, 0, 0],
  },
  {
    does: "utime",
    path: "storage.cfg",
    by: (writer) => writer.utime("storage.cfg", 12_345),
    moves: [1, 0, 0],
  },
  {
    does: "a lock's mkdir",
    path: "storage.cfg",
    by: (writer) => writer.create("priv/lock/file-user_cfg", 4),
    moves: [0, 0, 0],
  },
  {
    does: "write a guest",
    path: "storage.cfg",
    by: (writer) => writer.write(GUEST, "name: other\n"),
    moves: [0, 1, 1],
  },
  {
    does: "write a guest's bytes again",
    path: "storage.cfg",
    by: (writer) => writer.write(GUEST, "name: web\n"),
    moves: [0, 1, 1],
  },
  {
    does: "create another guest",
    path: "storage.cfg",
    by: (writer) => writer.create("nodes/pve1/lxc/200.conf"),
    moves: [0, 1, 0],
  },
  {
    does: "replace a guest's configuration the PVE way",
    path: "storage.cfg",
    by: (writer) => {
      writer.create(`${GUEST}.tmp.1`);
      writer.write(`${GUEST}.tmp.1`, "name: x\n");
      writer.rename(`${GUEST}.tmp.1`, GUEST);
    },
    moves: [0, 1, 1],
  },
  {
    does: "migrate a guest",
    path: "storage.cfg",
    by: (writer) => writer.rename(GUEST, "nodes/pve2/qemu-server/100.conf"),
    moves: [0, 2, 1],
  },
  {
    does: "remove a guest",
    path: "storage.cfg",
    by: (writer) => writer.remove(GUEST),
    moves: [0, 1, "gone"],
  },
  {
    does: "utime of a guest",
    path: "storage.cfg",
    by: (writer) => writer.utime(GUEST, 12_345),
    moves: [0, 0, 0],
  },
];

describe("another process changes the database", () => {
  test.each(CHANGES)("$does", ({ path, by, moves }) => {
    using directory = new TempDirectory();
    using backend = open({ db: makeDb(directory) });
    using writer = new Writer(directory.at("config.db"));
    const [observed = 0, vmlist = 0, guest = 0] = seen(backend, path);
    by(writer);
    const [byPath, byList, byGuest] = moves;
    const version = byGuest === "gone" ? undefined : guest + byGuest;
    expect(seen(backend, path)).toEqual([observed + byPath, vmlist + byList, version]);
    expect(seen(backend, path)).toEqual([observed + byPath, vmlist + byList, version]);
  });

  test("every change of a sequence is in the next answer", () => {
    using directory = new TempDirectory();
    using backend = open({ db: makeDb(directory) });
    using writer = new Writer(directory.at("config.db"));
    for (let at = 0; at < 50; at++) {
      writer.write("storage.cfg", `dir: ${at}\n`);
      expect(seen(backend, "storage.cfg")[0]).toBe(at + 2);
      expect(textOf(backend.memdb.read("storage.cfg")!)).toBe(`dir: ${at}\n`);
    }
  });

  test("the sqlite3 shell, which counts nothing, is followed too", () => {
    using directory = new TempDirectory();
    const file = makeDb(directory);
    using backend = open({ db: file });
    const shell = (sql: string): void => {
      const { exitCode, stderr } = Bun.spawnSync(["sqlite3", file, sql]);
      if (exitCode !== 0) throw new Error(stderr.toString());
    };
    shell("UPDATE tree SET data = 'abc' WHERE name = 'storage.cfg'");
    expect(seen(backend, "storage.cfg")[0]).toBe(2);
    expect(textOf(backend.memdb.read("storage.cfg")!)).toBe("abc");
    shell("UPDATE tree SET data = 'xyz' WHERE name = 'storage.cfg'");
    expect(seen(backend, "storage.cfg")[0]).toBe(3);
    shell("DELETE FROM tree WHERE name = 'storage.cfg'");
    expect(seen(backend, "storage.cfg")[0]).toBe(4);
    expect(backend.memdb.read("storage.cfg")).toBeUndefined();
  });

  test("a renamed directory takes what is below along", () => {
    using directory = new TempDirectory();
    using backend = open({ db: makeDb(directory, [item("ha/resources.cfg", "vm: 100\n")]) });
    using writer = new Writer(directory.at("config.db"));
    writer.rename("ha", "hb");
    expect(seen(backend, "ha/resources.cfg")[0]).toBe(2);
    expect(textOf(backend.memdb.read("hb/resources.cfg")!)).toBe("vm: 100\n");
    expect(backend.memdb.find("ha")).toBeUndefined();
  });

  test("rows that swap names", () => {
    using directory = new TempDirectory();
    using backend = open({ db: makeDb(directory, [item("a", "A"), item("b", "B")]) });
    using writer = new Writer(directory.at("config.db"));
    const [a, b] = [writer.inode("a"), writer.inode("b")];
    writer.commit((version) => {
      const sql = "UPDATE tree SET name = ?, version = ? WHERE inode = ?";
      writer.database.run(sql, ["b", version, a]);
      writer.database.run(sql, ["a", version, b]);
    });
    backend.refresh();
    expect([textOf(backend.memdb.read("a")!), textOf(backend.memdb.read("b")!)]).toEqual([
      "B",
      "A",
    ]);
    expect(backend.memdb.entryCount).toBe(13);
  });
});

test("directories that swap names keep what is in them", () => {
  using directory = new TempDirectory();
  const more = [item("a"), item("a/x", "A"), item("b"), item("b/y", "B")];
  using backend = open({ db: makeDb(directory, more) });
  using writer = new Writer(directory.at("config.db"));
  const [a, b] = [writer.inode("a"), writer.inode("b")];
  writer.commit((version) => {
    const sql = "UPDATE tree SET name = ?, version = ? WHERE inode = ?";
    writer.database.run(sql, ["b", version, a]);
    writer.database.run(sql, ["a", version, b]);
  });
  backend.refresh();
  expect([textOf(backend.memdb.read("a/y")!), textOf(backend.memdb.read("b/x")!)]).toEqual([
    "B",
    "A",
  ]);
  expect(backend.memdb.find("a/x")).toBeUndefined();
  expect(backend.memdb.entryCount).toBe(15);
});

describe("a change that leaves no sound tree is not taken over", () => {
  test("a duplicate name: the state before it is served, one line says so, then on", () => {
    using directory = new TempDirectory();
    const log = rememberingLog();
    using backend = open({ db: makeDb(directory), log });
    using writer = new Writer(directory.at("config.db"));
    writer.commit((version) => {
      const sql = "INSERT INTO tree VALUES (?, 0, ?, 0, 1, 8, 'storage.cfg', x'61')";
      writer.database.run(sql, [version, version]);
    });
    writer.write("nodes/pve1/qemu-server/100.conf", "name: late\n");
    expect(seen(backend, "storage.cfg")).toEqual([1, 1, 1]);
    backend.refresh();
    expect(log.lines).toHaveLength(1);
    expect(log.lines[0]).toContain("found entry with duplicate name 'storage.cfg'");
    writer.commit(() => writer.database.run("DELETE FROM tree WHERE data = x'61'"));
    expect(seen(backend, "storage.cfg")).toEqual([1, 2, 2]);
    expect(textOf(backend.memdb.read(GUEST)!)).toBe("name: late\n");
  });

  test("a table that is gone", () => {
    using directory = new TempDirectory();
    const log = rememberingLog();
    using backend = open({ db: makeDb(directory), log });
    using writer = new Writer(directory.at("config.db"));
    writer.database.run("DROP TABLE tree");
    expect(seen(backend, "storage.cfg")).toEqual([1, 1, 1]);
    expect(log.lines).toHaveLength(1);
    expect(textOf(backend.memdb.read("storage.cfg")!)).toBe("dir: local\n");
  });
});

describe("the file itself", () => {
  test("nothing is written, nothing is made beside it while nobody else has it open", () => {
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

  test("what only the -wal holds is served", () => {
    using directory = new TempDirectory();
    using writer = new Writer(makeDb(directory));
    writer.write("storage.cfg", "dir: wal\n");
    expect(existsSync(directory.at("config.db-wal"))).toBe(true);
    using backend = open({ db: directory.at("config.db") });
    expect(textOf(backend.memdb.read("storage.cfg")!)).toBe("dir: wal\n");
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

  test("another database in its place: served from then on, with one line", async () => {
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
    expect(log.lines[0]).toContain("another file is in its place: 1 entries new or changed");
  });

  test("rubbish in its place: the last good state is served, with one line", async () => {
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

  test("no file in its place: the last state is served, with one line", async () => {
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

function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

describe("what is refused at the start, and nothing half loaded", () => {
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
      "INSERT INTO tree SELECT 99, inode, 99, 0, 1, 8, 'x', NULL FROM tree WHERE name = 'storage.cfg'",
      "parent is not a directory",
    ],
    [
      "a duplicate VMID",
      "INSERT INTO tree SELECT 99, inode, 99, 0, 1, 8, '100.conf', x'61' FROM tree WHERE name = 'lxc'",
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
    [
      "a directory in itself",
      "UPDATE tree SET parent = inode WHERE name = 'ha'",
      "directory is within itself",
    ],
    ["no table", "DROP TABLE tree", "no such table: tree"],
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
    ["a directory", (directory) => directory.path, "it is no regular file"],
    ["text", (directory) => directory.put("config.db", "x".repeat(5000)), "file is not a database"],
    ["an empty file", (directory) => directory.put("config.db"), "no such table: tree"],
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

test("names that are not UTF-8, and names that C cuts at a NUL", () => {
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
  // Root may write anywhere: for root this is the usual way, and shows the same.
  chmodSync(directory.path, 0o500);
  using backend = open({ db: directory.at("config.db") });
  expect(textOf(backend.memdb.read("storage.cfg")!)).toBe("dir: wal\n");
  chmodSync(directory.path, 0o700);
});
