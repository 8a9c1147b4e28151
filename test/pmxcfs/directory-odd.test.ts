/** Odd directories: names that are left out, never opened or followed; names that vanish. */
import { describe, expect, test } from "bun:test";
import {
  closeSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { pathOf } from "../../src/pmxcfs/state/memdb.ts";
import { openBackend } from "../../src/pmxcfs/store/open.ts";
import { CfsLimits } from "../../src/base/limits.ts";
import { silentLog } from "../../src/base/log.ts";
import { withDescriptors } from "../support/descriptors.ts";
import { eventually } from "../support/eventually.ts";
import {
  open,
  plant,
  plantGolden,
  rememberingLog,
  seen,
  TempDirectory,
  textOf,
} from "./support.ts";

describe("names that are left out", () => {
  test("FIFOs, sockets, symlinks, pmxcfs's own files, large files: one line lists them", () => {
    using directory = new TempDirectory();
    using elsewhere = new TempDirectory();
    plant(directory);
    const secret = elsewhere.put("secret", "not yours");
    Bun.spawnSync(["mkfifo", directory.at("fifo")]);
    symlinkSync(secret, directory.at("link"));
    symlinkSync(elsewhere.path, directory.at("linked"));
    symlinkSync("nodes/pve1", directory.at("local"));
    directory.put(".version", "{}");
    directory.put("big", Buffer.alloc(CfsLimits.fileBytes + 1));
    directory.put("fits", Buffer.alloc(CfsLimits.fileBytes));
    using socket = Bun.listen({ unix: directory.at("socket"), socket: { data: () => {} } });
    const log = rememberingLog();
    using backend = open({ dir: directory.path, log });
    expect(socket.unix).toBe(directory.at("socket"));
    const names = ["fifo", "link", "linked/secret", "local/priv", ".version", "big", "socket"];
    for (const name of names) expect(backend.memdb.find(name)).toBeUndefined();
    expect(backend.memdb.read("fits")!.length).toBe(CfsLimits.fileBytes);
    expect(log.lines).toHaveLength(1);
    for (const words of [
      "fifo (a FIFO)",
      "link (a symlink)",
      "linked (a symlink)",
      "local (a symlink)",
      ".version (pmxcfs generates it)",
      "big (1048577 bytes, more than 1048576)",
      "socket (a socket)",
    ]) {
      expect(log.lines[0]).toContain(words);
    }
  });

  test("a FIFO is never opened: its writer still waits", () => {
    using directory = new TempDirectory();
    Bun.spawnSync(["mkfifo", directory.at("fifo")]);
    using backend = open({ dir: directory.path });
    utimesSync(directory.at("fifo"), 1, 1);
    backend.refresh();
    const probe = Bun.spawnSync(["sh", "-c", "timeout 0.2 sh -c 'echo x > fifo'"], {
      cwd: directory.path,
    });
    expect(probe.exitCode).toBe(124);
  });

  test("a file that grows past the limit is removed, and comes back when it shrinks", () => {
    using directory = new TempDirectory();
    const log = rememberingLog();
    directory.put("storage.cfg", "small");
    using backend = open({ dir: directory.path, log });
    const fd = openSync(directory.at("storage.cfg"), "r+");
    ftruncateSync(fd, CfsLimits.fileBytes + 1);
    backend.refresh();
    expect(backend.memdb.read("storage.cfg")).toBeUndefined();
    expect(log.lines).toEqual([expect.stringContaining("storage.cfg (1048577 bytes")]);
    ftruncateSync(fd, 5);
    closeSync(fd);
    backend.refresh();
    expect(textOf(backend.memdb.read("storage.cfg")!)).toBe("small");
    expect(backend.versions.of("storage.cfg")).toBe(3);
  });

  test("a regular file that becomes a symlink is removed", () => {
    using directory = new TempDirectory();
    using elsewhere = new TempDirectory();
    directory.put("a.cfg", "mine");
    using backend = open({ dir: directory.path });
    rmSync(directory.at("a.cfg"));
    symlinkSync(elsewhere.put("secret", "not yours"), directory.at("a.cfg"));
    backend.refresh();
    expect(backend.memdb.read("a.cfg")).toBeUndefined();
  });

  test("a directory that becomes a symlink is not followed", () => {
    using directory = new TempDirectory();
    using elsewhere = new TempDirectory();
    directory.put("d/secret", "mine");
    using backend = open({ dir: directory.path });
    elsewhere.put("secret", "not yours");
    renameSync(directory.at("d"), directory.at("e"));
    symlinkSync(elsewhere.path, directory.at("d"));
    backend.refresh();
    expect(backend.memdb.find("d")).toBeUndefined();
    expect(textOf(backend.memdb.read("e/secret")!)).toBe("mine");
  });
});

test("names that are not UTF-8, and names of 255 bytes, are served", () => {
  using directory = new TempDirectory();
  const odd = Buffer.concat([Buffer.from(directory.at("caf")), Buffer.from([0xe9])]);
  writeFileSync(odd, "latin");
  const long = "n".repeat(255);
  directory.put(long, "long");
  directory.put("utf8-ä", "utf8");
  using backend = open({ dir: directory.path });
  expect(textOf(backend.memdb.read("caf\xe9")!)).toBe("latin");
  expect(textOf(backend.memdb.read(long)!)).toBe("long");
  expect(textOf(backend.memdb.read("utf8-\xc3\xa4")!)).toBe("utf8");
  writeFileSync(odd, "again");
  backend.refresh();
  expect(textOf(backend.memdb.read("caf\xe9")!)).toBe("again");
});

test("a directory whose path is longer than PATH_MAX is served, and stays", async () => {
  using directory = new TempDirectory();
  const names = Array.from({ length: 20 }, (_, level) => `${level}`.padEnd(250, "d"));
  // One component at a time: no call of the kernel's takes the whole path.
  const script = 'cd "$0"; for name; do mkdir "$name" && cd "$name"; done; echo one > file';
  Bun.spawnSync(["bash", "-c", script, directory.path, ...names]);
  const path = [...names, "file"].join("/");
  const log = rememberingLog();
  using backend = open({ dir: directory.path, log });
  expect(textOf(backend.memdb.read(path)!)).toBe("one\n");
  const append = 'cd "$0"; for name; do cd "$name"; done; echo two >> file';
  Bun.spawnSync(["bash", "-c", append, directory.path, ...names]);
  backend.refresh();
  expect(textOf(backend.memdb.read(path)!)).toBe("one\ntwo\n");
  const end = performance.now() + 1500;
  await eventually("a round over all stamps", () => {
    backend.refresh();
    return performance.now() > end;
  });
  expect(textOf(backend.memdb.read(path)!)).toBe("one\ntwo\n");
  expect(log.lines).toEqual([]);
});

describe("no descriptor is left", () => {
  test("a directory with a change keeps its last content until it can be opened", async () => {
    using directory = new TempDirectory();
    directory.put("d/e/file", "one");
    const log = rememberingLog();
    using backend = open({ dir: directory.path, log });
    const version = backend.memdb.find("d/e")!.version;
    directory.put("d/e/file", "two");
    await withDescriptors(0, () => {
      backend.refresh();
      expect(textOf(backend.memdb.read("d/e/file")!)).toBe("one");
    });
    await eventually("the change", () => {
      backend.refresh();
      return textOf(backend.memdb.read("d/e/file")!) === "two";
    });
    expect(backend.memdb.find("d/e")!.version).toBe(version);
    expect(log.lines).toEqual([expect.stringContaining("left out: d/e/. (not readable (EMFILE))")]);
  });

  test("a new file of the root comes later, and no other directory is reported", async () => {
    using directory = new TempDirectory();
    const log = rememberingLog();
    using backend = open({ dir: directory.path, log });
    directory.put("file", "one");
    await withDescriptors(1, () => {
      backend.refresh();
      expect(backend.memdb.find("file")).toBeUndefined();
    });
    await eventually("the file", () => {
      backend.refresh();
      return backend.memdb.find("file") !== undefined;
    });
    expect(log.lines).toEqual([expect.stringContaining("file (not readable (EMFILE))")]);
  });
});

describe("the directory itself", () => {
  test("a file is in the place of the directory above: the last content is served", async () => {
    using above = new TempDirectory();
    above.put("srv/pve/storage.cfg", "one");
    const log = rememberingLog();
    using backend = open({ dir: above.at("srv/pve"), log });
    renameSync(above.at("srv"), above.at("away"));
    above.put("srv", "a file");
    await eventually("a log line", () => {
      backend.refresh();
      return log.lines.length > 0;
    });
    expect(log.lines).toEqual([expect.stringContaining("it is gone (ENOTDIR")]);
    expect(backend.reloads.failures).toBe(0);
    expect(textOf(backend.memdb.read("storage.cfg")!)).toBe("one");
  });

  test("removed: its last content is served, with one line; recreated: it is served", async () => {
    using above = new TempDirectory();
    above.put("pve/storage.cfg", "one");
    const log = rememberingLog();
    using backend = open({ dir: above.at("pve"), log });
    renameSync(above.at("pve"), above.at("away"));
    await eventually("a log line", () => {
      backend.refresh();
      return log.lines.length > 0;
    });
    expect(textOf(backend.memdb.read("storage.cfg")!)).toBe("one");
    expect(log.lines).toEqual([expect.stringContaining("it is gone")]);
    above.put("pve/storage.cfg", "two");
    await eventually("the new directory", () => seen(backend, "storage.cfg")[0] === 2);
    expect(textOf(backend.memdb.read("storage.cfg")!)).toBe("two");
  });

  test.each([
    ["missing: an error", "missing", "no such file or directory"],
    ["a file: an error", "file", "not a directory"],
  ])("%s", (_, name, reason) => {
    using directory = new TempDirectory();
    directory.put("file");
    const dir = directory.at(name);
    const opened = openBackend({ dir, nodeName: "pve1", log: silentLog });
    expect(typeof opened === "string" && opened.toLowerCase()).toContain(reason);
  });
});

test("directories that vanish while they are read leave a consistent tree", async () => {
  using directory = new TempDirectory();
  plant(directory);
  const script =
    "for i in $(seq 40); do mkdir -p v/a/b/c; echo $i > v/a/b/c/f; echo x > v/a/g; rm -rf v; done";
  const child = Bun.spawn(["sh", "-c", script], { cwd: directory.path });
  using backend = open({ dir: directory.path });
  await eventually("the end of the script", () => {
    backend.refresh();
    return child.exitCode !== null;
  });
  backend.refresh();
  expect([...backend.memdb.entries()].map(pathOf).filter((path) => path.startsWith("v"))).toEqual(
    [],
  );
  expect(backend.memdb.entryCount).toBe([...backend.memdb.entries()].length);
});

test("no descriptor and no watch stays open", () => {
  using directory = new TempDirectory();
  plantGolden(directory.path);
  const open1 = (): string[] =>
    readdirSync("/proc/self/fd").flatMap((fd) => {
      try {
        const target = readlinkSync(`/proc/self/fd/${fd}`);
        return target.includes("inotify") || target.startsWith(directory.path) ? [target] : [];
      } catch {
        return [];
      }
    });
  {
    using backend = open({ dir: directory.path });
    backend.refresh();
    expect(open1().toSorted()).toEqual([directory.path, "anon_inode:inotify"].toSorted());
  }
  expect(open1()).toEqual([]);
});
