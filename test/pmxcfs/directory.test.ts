/**
 * A directory as a source: every kind of change of a file is in the next answer; changes that
 * inotify does not report are seen within a second.
 */
import { describe, expect, test } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { DirectorySource } from "../../src/pmxcfs/store/directory.ts";
import { Memdb } from "../../src/pmxcfs/state/memdb.ts";
import { silentLog } from "../../src/base/log.ts";
import { eventually } from "../support/eventually.ts";
import { GUEST, open, plant, seen, TempDirectory, textOf } from "./support.ts";

/** The target of a link in /proc; "" when it is gone. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

interface Change {
  readonly does: string;
  readonly path: string;
  readonly by: (at: (name: string) => string) => void;
  readonly moves: readonly [path: number, vmlist: number, guest: number | "gone"];
}

const CHANGES: readonly Change[] = [
  {
    does: "create",
    path: "user.cfg",
    by: (at) => writeFileSync(at("user.cfg"), ""),
    moves: [1, 0, 0],
  },
  {
    does: "overwrite",
    path: "storage.cfg",
    by: (at) => writeFileSync(at("storage.cfg"), "dir: other\n"),
    moves: [1, 0, 0],
  },
  {
    does: "write the same bytes again",
    path: "storage.cfg",
    by: (at) => writeFileSync(at("storage.cfg"), "dir: local\n"),
    moves: [1, 0, 0],
  },
  {
    does: "append",
    path: "storage.cfg",
    by: (at) => appendFileSync(at("storage.cfg"), "x"),
    moves: [1, 0, 0],
  },
  {
    does: "truncate",
    path: "storage.cfg",
    by: (at) => truncateSync(at("storage.cfg"), 0),
    moves: [1, 0, 0],
  },
  {
    does: "write a temporary file and rename it over the target",
    path: "storage.cfg",
    by: (at) => {
      writeFileSync(at("storage.cfg.tmp.1"), "dir: local\n");
      renameSync(at("storage.cfg.tmp.1"), at("storage.cfg"));
    },
    moves: [1, 0, 0],
  },
  {
    does: "rename away",
    path: "storage.cfg",
    by: (at) => renameSync(at("storage.cfg"), at("storage.old")),
    moves: [1, 0, 0],
  },
  {
    does: "rename to an observed name",
    path: "user.cfg",
    by: (at) => renameSync(at("storage.cfg"), at("user.cfg")),
    moves: [1, 0, 0],
  },
  {
    does: "unlink",
    path: "storage.cfg",
    by: (at) => unlinkSync(at("storage.cfg")),
    moves: [1, 0, 0],
  },
  {
    does: "mkdir of an observed name",
    path: "ceph.conf",
    by: (at) => mkdirSync(at("ceph.conf")),
    moves: [0, 0, 0],
  },
  {
    does: "utime",
    path: "storage.cfg",
    by: (at) => utimesSync(at("storage.cfg"), 12_345, 12_345),
    moves: [1, 0, 0],
  },
  {
    does: "chmod",
    path: "storage.cfg",
    by: (at) => chmodSync(at("storage.cfg"), 0o600),
    moves: [0, 0, 0],
  },
  {
    does: "open for writing and write nothing",
    path: "storage.cfg",
    by: (at) => closeSync(openSync(at("storage.cfg"), "r+")),
    moves: [0, 0, 0],
  },
  {
    does: "a lock's mkdir",
    path: "storage.cfg",
    by: (at) => mkdirSync(at("priv/lock/file-user_cfg")),
    moves: [0, 0, 0],
  },
  {
    does: "write a guest",
    path: "storage.cfg",
    by: (at) => writeFileSync(at(GUEST), "name: other\n"),
    moves: [0, 1, 1],
  },
  {
    does: "write a guest's bytes again",
    path: "storage.cfg",
    by: (at) => writeFileSync(at(GUEST), "name: web\n"),
    moves: [0, 1, 1],
  },
  {
    does: "utime of a guest",
    path: "storage.cfg",
    by: (at) => utimesSync(at(GUEST), 12_345, 12_345),
    moves: [0, 0, 0],
  },
  {
    does: "create another guest",
    path: "storage.cfg",
    by: (at) => writeFileSync(at("nodes/pve2/qemu-server/200.conf"), ""),
    moves: [0, 1, 0],
  },
  {
    does: "replace a guest's configuration the PVE way",
    path: "storage.cfg",
    by: (at) => {
      writeFileSync(at(`${GUEST}.tmp.1`), "name: x\n");
      renameSync(at(`${GUEST}.tmp.1`), at(GUEST));
    },
    moves: [0, 1, 1],
  },
  {
    does: "migrate a guest",
    path: "storage.cfg",
    by: (at) => renameSync(at(GUEST), at("nodes/pve2/qemu-server/100.conf")),
    moves: [0, 2, 1],
  },
  {
    does: "remove a guest",
    path: "storage.cfg",
    by: (at) => unlinkSync(at(GUEST)),
    moves: [0, 1, "gone"],
  },
];

describe("any program changes the directory", () => {
  test.each(CHANGES)("$does", ({ path, by, moves }) => {
    using directory = new TempDirectory();
    plant(directory);
    using backend = open({ dir: directory.path });
    const [observed = 0, vmlist = 0, guest = 0] = seen(backend, path);
    by((name) => directory.at(name));
    const [byPath, byList, byGuest] = moves;
    const version = byGuest === "gone" ? undefined : guest + byGuest;
    expect(seen(backend, path)).toEqual([observed + byPath, vmlist + byList, version]);
    expect(seen(backend, path)).toEqual([observed + byPath, vmlist + byList, version]);
  });

  test("every change of a quick sequence is in the next answer", () => {
    using directory = new TempDirectory();
    plant(directory);
    using backend = open({ dir: directory.path });
    for (let at = 0; at < 200; at++) {
      writeFileSync(directory.at("storage.cfg"), `dir: ${at % 7}\n`);
      expect(seen(backend, "storage.cfg")[0]).toBe(at + 2);
      expect(textOf(backend.memdb.read("storage.cfg")!)).toBe(`dir: ${at % 7}\n`);
    }
  });

  test("a change by another process is in the next answer", () => {
    using directory = new TempDirectory();
    plant(directory);
    using backend = open({ dir: directory.path });
    const script = "echo x > storage.cfg && mkdir -p ha/a/b && echo y > ha/a/b/c && rm -r priv";
    Bun.spawnSync(["sh", "-c", script], { cwd: directory.path });
    expect(seen(backend, "storage.cfg")[0]).toBe(2);
    expect(textOf(backend.memdb.read("ha/a/b/c")!)).toBe("y\n");
    expect(backend.memdb.find("priv")).toBeUndefined();
  });

  test("a directory that moves keeps its files, and later changes in it are seen", () => {
    using directory = new TempDirectory();
    plant(directory);
    directory.put("a/b/c.cfg", "1");
    using backend = open({ dir: directory.path });
    renameSync(directory.at("a"), directory.at("z"));
    backend.refresh();
    expect(backend.memdb.find("a")).toBeUndefined();
    expect(textOf(backend.memdb.read("z/b/c.cfg")!)).toBe("1");
    directory.put("z/b/c.cfg", "2");
    directory.put("z/b/d.cfg", "3");
    backend.refresh();
    expect(textOf(backend.memdb.read("z/b/c.cfg")!)).toBe("2");
    expect(textOf(backend.memdb.read("z/b/d.cfg")!)).toBe("3");
  });

  test("a file replaces a directory, and a directory a file", () => {
    using directory = new TempDirectory();
    directory.put("a/b", "1");
    using backend = open({ dir: directory.path });
    rmSync(directory.at("a"), { recursive: true });
    directory.put("a", "file");
    backend.refresh();
    expect(textOf(backend.memdb.read("a")!)).toBe("file");
    rmSync(directory.at("a"));
    directory.put("a/b", "2");
    backend.refresh();
    expect(textOf(backend.memdb.read("a/b")!)).toBe("2");
    expect(backend.memdb.entryCount).toBe(2);
  });

  test("more events than the kernel queues: everything is read again", async () => {
    using directory = new TempDirectory();
    plant(directory);
    using backend = open({ dir: directory.path });
    const fd = openSync(directory.at("flood"), "w");
    const other = openSync(directory.at("flood2"), "w");
    // The kernel merges equal events in a row; events of two files in turn are kept.
    for (let at = 0; at < 10_000; at++) {
      writeSync(fd, "x");
      writeSync(other, "x");
    }
    closeSync(fd);
    closeSync(other);
    directory.put("storage.cfg", "after\n");
    mkdirSync(directory.at("late"));
    directory.put("late/file", "late");
    // Only changes that fit into a slice are in the next answer; so many events do not.
    await eventually("all of it", () => {
      backend.refresh();
      return backend.memdb.read("late/file") !== undefined && backend.reloads.behindMs === 0;
    });
    expect(seen(backend, "storage.cfg")[0]).toBe(2);
    expect(textOf(backend.memdb.read("late/file")!)).toBe("late");
    expect(backend.memdb.read("flood")!.length).toBe(10_000);
  });
});

describe("without inotify", () => {
  test("an idle source keeps only the root open, wherever its sweep has stopped", async () => {
    using directory = new TempDirectory();
    for (let file = 0; file < 300; file++) directory.put(`sub${file % 3}/${file}`, "x");
    const found = DirectorySource.open({
      directory: directory.path,
      memdb: new Memdb(),
      log: silentLog,
      watch: false,
    });
    if (typeof found === "string") throw new Error(found);
    using source = found;
    const held = (): number => {
      const links = readdirSync("/proc/self/fd").map((fd) => linkOf(`/proc/self/fd/${fd}`));
      return links.filter((link) => link.startsWith(directory.path)).length;
    };
    for (let round = 0; round < 60; round++) {
      const asked = performance.now();
      source.refresh();
      await eventually("only the root is open", () => held() === 1);
      await eventually("a sweep is due", () => performance.now() - asked > 10);
    }
  });

  test("a change is seen within a second", async () => {
    using directory = new TempDirectory();
    plant(directory);
    const memdb = new Memdb();
    using source = DirectorySource.open({
      directory: directory.path,
      memdb,
      log: silentLog,
      watch: false,
    }) as DirectorySource;
    const changes: string[] = [];
    memdb.subscribe(({ kind, path }) => changes.push(`${kind} ${path}`));
    directory.put("storage.cfg", "dir: new\n");
    directory.put("new/file", "new");
    rmSync(directory.at(GUEST));
    await eventually("all three changes", () => {
      source.refresh();
      return changes.length >= 4;
    });
    expect(changes.toSorted()).toEqual([
      "placed new",
      "placed new/file",
      `removed ${GUEST}`,
      "written storage.cfg",
    ]);
  });

  test("a change through a hard link elsewhere is seen without an event", async () => {
    using directory = new TempDirectory();
    using elsewhere = new TempDirectory();
    plant(directory);
    linkSync(directory.at("storage.cfg"), elsewhere.at("link"));
    using backend = open({ dir: directory.path });
    elsewhere.put("link", "dir: linked\n");
    await eventually("the change", () => seen(backend, "storage.cfg")[0] === 2);
  });
});
