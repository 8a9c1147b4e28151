/**
 * config.db as a source: every kind of change, made by another SQLite writer, with the counters
 * that clients see afterwards; changes after which the rows are no valid tree.
 */
import { describe, expect, test } from "bun:test";
import { pathOf } from "../../src/pmxcfs/state/memdb.ts";
import type { Backend } from "../../src/pmxcfs/store/open.ts";
import {
  GUEST,
  item,
  makeDb,
  open,
  rememberingLog,
  seen,
  TempDirectory,
  textOf,
  Writer,
} from "./support.ts";

interface Change {
  readonly does: string;
  readonly path: string;
  readonly by: (writer: Writer) => void;
  /** By how much the versions of the observed path, the guest list and guest 100 grow. */
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
    moves: [0, 0, 0],
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

  test("changes by the sqlite3 shell, which sets no version, are followed too", () => {
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

  test("a renamed directory keeps its content", () => {
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

test("directories that swap names keep their content", () => {
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

test("nested directories swap places between two refreshes", () => {
  using directory = new TempDirectory();
  const more = [item("a"), item("a/b"), item("a/b/c"), item("a/b/c/x", "X"), item("a/y", "Y")];
  using backend = open({ db: makeDb(directory, more) });
  using writer = new Writer(directory.at("config.db"));
  // a/b/c becomes c/b/a, each by renames that pmxcfs allows.
  writer.rename("a/b/c", "c");
  writer.rename("a/b", "c/b");
  writer.rename("a", "c/b/a");
  backend.refresh();
  expect(textOf(backend.memdb.read("c/x")!)).toBe("X");
  expect(textOf(backend.memdb.read("c/b/a/y")!)).toBe("Y");
  expect(backend.memdb.find("a")).toBeUndefined();
  expect(backend.memdb.entryCount).toBe(16);
});

describe("a change after which the rows are no valid tree is not applied", () => {
  test("a duplicate name: the last state is served, with one line, until it is repaired", () => {
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

  test("a table that was dropped", () => {
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

function pathsOf({ memdb }: Backend): string[] {
  return [...memdb.entries()].map(pathOf).toSorted();
}

describe("between two refreshes", () => {
  /** Files and directories before the first refresh. */
  const DIRECTORIES = ["d", "d/s", "d/s/t", "e"];
  const CASES: Readonly<Record<string, (writer: Writer) => void>> = {
    "a directory takes the place of the one above it, with a new file below it": (writer) => {
      writer.create("d/s/t/new");
      writer.rename("d/s", "d");
    },
    "a directory takes the place of the one two levels above it": (writer) => {
      writer.create("d/s/t/new");
      writer.rename("d/s/t", "t");
      writer.remove("d/s");
      writer.rename("t", "d");
    },
    "a directory takes the place of one whose content moved elsewhere": (writer) => {
      writer.create("d/s/t/new");
      writer.rename("d/s", "kept");
      writer.rename("e", "d");
    },
    "two directories swap places, and each gets a new file": (writer) => {
      writer.create("d/s/new");
      writer.create("e/new");
      writer.rename("d", "x");
      writer.rename("e", "d");
      writer.rename("x", "e");
    },
  };
  test.each(Object.entries(CASES))("%s", (_, change) => {
    using directory = new TempDirectory();
    using backend = open({ state: directory.path });
    using writer = new Writer(directory.at("config.db"));
    const look = (): void => {
      do backend.refresh();
      while (backend.reloads.isReading);
    };
    for (const path of DIRECTORIES) writer.create(path, 4);
    look();
    change(writer);
    look();
    using fresh = open({ state: directory.path });
    expect(pathsOf(backend)).toEqual(pathsOf(fresh));
    expect(backend.memdb.entryCount).toBe(fresh.memdb.entryCount);
  });
});
