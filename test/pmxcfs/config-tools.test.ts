/**
 * import, export, verify: files imported into a config.db are exported unchanged; our databases
 * equal the C server's where that matters; from a damaged one everything readable is exported.
 */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  openSync,
  closeSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { importDirectory } from "../../src/pmxcfs/rescue/import.ts";
import { verifyDatabase } from "../../src/pmxcfs/rescue/verify.ts";
import { verifyDirectory } from "../../src/pmxcfs/rescue/verify-directory.ts";
import { exportTree } from "../../src/pmxcfs/rescue/export.ts";
import { permissionsOf } from "../../src/pmxcfs/state/modes.ts";
import { salvage } from "../../src/pmxcfs/rescue/salvage.ts";
import { open, plantGolden, TempDirectory, textOf } from "./support.ts";

const PAGE_BYTES = 4096;

/** Every file of a directory tree with its bytes, every directory. */
function contents(directory: string, prefix = ""): Map<string, string> {
  const found = new Map<string, string>();
  for (const entry of readdirSync(join(directory, prefix), { withFileTypes: true })) {
    const path = join(prefix, entry.name);
    if (entry.isDirectory()) {
      found.set(`${path}/`, "");
      for (const [below, bytes] of contents(directory, path)) found.set(below, bytes);
    } else {
      found.set(path, readFileSync(join(directory, path), "base64"));
    }
  }
  return found;
}

function importGolden(directory: TempDirectory): string {
  mkdirSync(directory.at("pve"));
  plantGolden(directory.at("pve"));
  const imported = importDirectory(directory.at("pve"), directory.at("config.db"), {
    replace: false,
  });
  expect(imported).toEqual({ files: 48, directories: 25, leftOut: [], kept: undefined });
  return directory.at("config.db");
}

/** Overwrites pages (the first is 0) with 0xff. */
function damage(file: string, pages: readonly number[]): void {
  const fd = openSync(file, "r+");
  for (const page of pages) {
    writeSync(fd, Buffer.alloc(PAGE_BYTES, 0xff), 0, PAGE_BYTES, page * PAGE_BYTES);
  }
  closeSync(fd);
}

describe("import", () => {
  test("gives a database from which the same files are exported", () => {
    using directory = new TempDirectory();
    const file = importGolden(directory);
    const { items, moved } = salvage(file);
    expect(moved).toEqual([]);
    expect(exportTree(items, directory.at("out"))).toEqual({
      files: 48,
      directories: 25,
      failures: [],
    });
    expect(contents(directory.at("out"))).toEqual(contents(directory.at("pve")));
  });

  test("gives a database that is served like the directory", () => {
    using directory = new TempDirectory();
    const file = importGolden(directory);
    using db = open({ db: file });
    using dir = open({ dir: directory.at("pve") });
    for (const path of contents(directory.at("pve")).keys()) {
      const name = Buffer.from(path, "utf8").toString("latin1");
      const [a, b] = [db.memdb.read(name), dir.memdb.read(name)];
      expect([path, a && Buffer.compare(a, b ?? new Uint8Array(1))]).toEqual([path, b && 0]);
    }
    expect(JSON.parse(textOf(db.guests.list())).version).toBe(1);
  });

  test("makes the database as the C server does", () => {
    using directory = new TempDirectory();
    const file = importGolden(directory);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory.path).toSorted()).toEqual(["config.db", "pve"]);
    using database = new Database(file, { readonly: true });
    const all = (sql: string): unknown[][] => database.query(sql).values();
    const pragma = (name: string): unknown => all(`PRAGMA ${name}`)[0]?.[0];
    expect(pragma("journal_mode")).toBe("wal");
    expect(pragma("page_size")).toBe(4096);
    expect(pragma("user_version")).toBe(0);
    expect(pragma("application_id")).toBe(0);
    expect(pragma("auto_vacuum")).toBe(0);
    expect(all("SELECT type, name FROM sqlite_schema")).toEqual([["table", "tree"]]);
    expect(all("SELECT * FROM tree WHERE inode = 0")).toEqual([
      [0, 0, 74, 0, expect.any(Number), 8, "__version__", null],
    ]);
    expect(all("SELECT count(*) FROM tree WHERE inode <> 0 AND inode <> version")).toEqual([[0]]);
    expect(all("SELECT data FROM tree WHERE name = 'empty' OR type = 4 GROUP BY data")).toEqual([
      [null],
    ]);
    expect(all("SELECT count(*) FROM tree WHERE typeof(name) <> 'text'")).toEqual([[0]]);
  });

  test("replaces a database only if asked to, and keeps that one with its -wal and changes", () => {
    using directory = new TempDirectory();
    const file = importGolden(directory);
    const before = readFileSync(file);
    expect(importDirectory(directory.at("pve"), file, { replace: false })).toBe(
      `${file} already exists`,
    );
    directory.put("config.db-wal", "somebody's");
    directory.put("config.db.changes", "answered");
    const copies: string[] = [];
    for (let round = 0; round < 3; round++) {
      const imported = importDirectory(directory.at("pve"), file, { replace: true });
      if (typeof imported === "string") throw new Error(imported);
      expect(imported).toMatchObject({ files: 48, directories: 25 });
      copies.push(imported.kept ?? "");
    }
    // In the same second: each gets another name.
    expect(new Set(copies).size).toBe(3);
    for (const copy of copies) expect(copy).toStartWith(`${file}.bak-20`);
    expect(readFileSync(copies[0] ?? "").equals(before)).toBe(true);
    expect(readFileSync(`${copies[0]}-wal`, "utf8")).toBe("somebody's");
    expect(readFileSync(`${copies[0]}.changes`, "utf8")).toBe("answered");
    expect(readdirSync(directory.path)).toHaveLength(7);
    expect(verifyDatabase(file)).toMatchObject({ problems: [], files: 48 });
  });

  test("refuses to make a database beside a -wal that has none", () => {
    using directory = new TempDirectory();
    directory.put("pve/a", "1");
    const file = directory.at("config.db");
    directory.put("config.db-wal", "somebody's");
    expect(importDirectory(directory.at("pve"), file, { replace: false })).toContain(
      "-wal already",
    );
    expect(existsSync(file)).toBe(false);
  });

  test("a file that the first look does not show is not replaced", () => {
    using directory = new TempDirectory();
    directory.put("pve/a", "1");
    const file = directory.at("config.db");
    // As with a database that is made while the directory is read.
    symlinkSync(directory.at("unmounted.db"), file);
    expect(importDirectory(directory.at("pve"), file, { replace: false })).toBe(
      `${file} already exists`,
    );
    expect(readlinkSync(file)).toBe(directory.at("unmounted.db"));
    expect(readdirSync(directory.path).toSorted()).toEqual(["config.db", "pve"]);
  });

  test("refuses two guests of one number, and reports what it left out", () => {
    using directory = new TempDirectory();
    directory.put("pve/nodes/a/lxc/100.conf");
    symlinkSync("/etc/passwd", directory.at("pve", "link"));
    const file = directory.at("config.db");
    expect(importDirectory(directory.at("pve"), file, { replace: false })).toMatchObject({
      leftOut: [{ path: "link", reason: "a symlink" }],
    });
    directory.put("pve/nodes/b/qemu-server/100.conf");
    expect(importDirectory(directory.at("pve"), file, { replace: true })).toStartWith(
      "detected duplicate VMID 100",
    );
  });
});

describe("export", () => {
  test.each([
    ["storage.cfg", "file", 0o640],
    ["nodes", "directory", 0o755],
    ["nodes/a/lxc/100.conf", "file", 0o640],
    ["nodes/a/qemu-server/100.conf", "file", 0o640],
    ["nodes/a/openvz/101.start", "file", 0o740],
    ["vps.mount", "file", 0o740],
    ["priv", "directory", 0o700],
    ["priv/x/y", "file", 0o600],
    ["nodes/a/priv", "directory", 0o700],
    ["nodes/a/priv/ssl.key", "file", 0o600],
    ["private.txt", "file", 0o640],
    ["nodes/priv/x", "file", 0o640],
  ] as const)("mode of %s", (path, kind, mode) => {
    expect(permissionsOf(path, kind).toString(8)).toBe(mode.toString(8));
  });

  test("sets modes and times of the files", () => {
    using directory = new TempDirectory();
    const file = importGolden(directory);
    exportTree(salvage(file).items, directory.at("out"));
    const at = (...names: string[]) => statSync(directory.at("out", ...names));
    expect(at("priv", "token.cfg").mode & 0o777).toBe(0o600);
    expect(at("priv").mode & 0o777).toBe(0o700);
    expect(at("storage.cfg").mode & 0o777).toBe(0o640);
    const before = Math.floor(statSync(directory.at("pve", "storage.cfg")).mtimeMs / 1000);
    expect(at("storage.cfg").mtimeMs / 1000).toBe(before);
  });

  test("writes only into an empty directory", () => {
    using directory = new TempDirectory();
    const file = importGolden(directory);
    const { items } = salvage(file);
    expect(exportTree(items, directory.at("pve"))).toContain("is not empty");
    expect(exportTree(items, file)).toContain("EEXIST");
    symlinkSync("elsewhere", directory.at("link"));
    mkdirSync(directory.at("elsewhere"));
    expect(exportTree(items, directory.at("link"))).toContain("is not a directory");
    expect(readdirSync(directory.at("elsewhere"))).toEqual([]);
  });

  test("keeps names that lead elsewhere inside, under another name", () => {
    using directory = new TempDirectory();
    const file = importGolden(directory);
    {
      using database = new Database(file);
      for (const [inode, name] of ["..", ".", "../escaped", "/absolute", "a/../../b"].entries()) {
        database.run("INSERT INTO tree VALUES (?, 0, 900, 0, 1, 8, ?, x'61')", [900 + inode, name]);
      }
      database.run("INSERT INTO tree VALUES (910, 0, 900, 0, 1, 4, '..', NULL)");
      database.run("INSERT INTO tree VALUES (911, 910, 900, 0, 1, 8, 'inner', x'62')");
    }
    const exported = exportTree(salvage(file).items, directory.at("out", "deep"));
    expect(exported).toMatchObject({ files: 54, directories: 26, failures: [] });
    expect(readdirSync(directory.at("out"))).toEqual(["deep"]);
    expect(readdirSync(directory.path).toSorted()).toEqual(["config.db", "out", "pve"]);
    const odd = readdirSync(directory.at("out", "deep")).filter((name) => name.startsWith("0000"));
    expect(odd.toSorted()).toEqual([
      "0000000000000384-..",
      "0000000000000385-.",
      "0000000000000386-.._escaped",
      "0000000000000387-_absolute",
      "0000000000000388-a_.._.._b",
      "000000000000038E-..",
    ]);
    expect(existsSync(directory.at("out", "deep", "000000000000038E-..", "inner"))).toBe(true);
  });
});

/** Files of the golden tree whose bytes are in some exported file. */
function rescued(directory: TempDirectory, file: string): { ratio: number; problems: string } {
  const { items, database } = salvage(file);
  exportTree(items, directory.at("out"));
  const bytes = new Set(contents(directory.at("out")).values());
  const all = [...contents(directory.at("pve")).values()];
  return {
    ratio: all.filter((each) => bytes.has(each)).length / all.length,
    problems: database.problem?.text ?? "",
  };
}

describe("a damaged database", () => {
  test("without its header: all rows, from loose pages", () => {
    using directory = new TempDirectory();
    const file = importGolden(directory);
    damage(file, [0]);
    const { ratio, problems } = rescued(directory, file);
    expect(problems).toContain("file is not a database");
    expect(ratio).toBe(1);
  });

  test("without a page in the middle: the other rows, with orphans under lost+found", () => {
    using directory = new TempDirectory();
    const file = importGolden(directory);
    damage(file, [2]);
    const { ratio, problems } = rescued(directory, file);
    expect(problems).toContain("malformed");
    expect(ratio).toBeGreaterThan(0.3);
    expect(ratio).toBeLessThan(1);
  });

  test("cut in half: the rows that are left", () => {
    using directory = new TempDirectory();
    const file = importGolden(directory);
    truncateSync(file, Math.floor(statSync(file).size / 2));
    expect(rescued(directory, file).ratio).toBeGreaterThan(0.3);
  });

  test("random bytes, or no file: a problem, nothing thrown, nothing written", () => {
    using directory = new TempDirectory();
    for (let round = 0; round < 20; round++) {
      const noise = Buffer.alloc(20_000, 0);
      for (let at = 0; at < noise.length; at++)
        noise[at] = (at * 31 + round * 7919 + (at >> 3)) & 0xff;
      for (let page = 0; page < noise.length; page += 512) noise[page] = 0x0d;
      writeFileSync(directory.at("noise"), noise);
      expect(salvage(directory.at("noise")).database.problem?.kind).toBe("not-a-database");
    }
    expect(salvage(directory.at("missing"))).toMatchObject({ items: [], database: { rows: [] } });
  });

  test("rows without a directory, and two of one name: all are exported", () => {
    using directory = new TempDirectory();
    const file = importGolden(directory);
    {
      using database = new Database(file);
      database.run("INSERT INTO tree VALUES (900, 7777, 900, 0, 1, 8, 'orphan', x'61')");
      database.run("INSERT INTO tree VALUES (901, 0, 900, 0, 1, 8, 'storage.cfg', x'62')");
    }
    const { items, moved } = salvage(file);
    expect(moved).toHaveLength(2);
    exportTree(items, directory.at("out"));
    const got = contents(directory.at("out"));
    expect(got.get("lost+found/0000000000000384-orphan")).toBe("YQ==");
    expect(got.get("0000000000000385-storage.cfg")).toBe("Yg==");
    expect(got.get("storage.cfg")).not.toBe("Yg==");
  });
});

describe("verify", () => {
  test("a database of ours is sound", () => {
    using directory = new TempDirectory();
    const file = importGolden(directory);
    expect(verifyDatabase(file)).toMatchObject({
      problems: [],
      notes: [],
      wal: undefined,
      format: "database",
      nodes: ["bad_node", "pve1", "pve2"],
      version: 74,
      files: 48,
      directories: 25,
      bytes: 2_627_318,
    });
  });

  test.each([
    [
      "INSERT INTO tree SELECT 900, inode, 9, 0, 1, 8, '100.conf', NULL FROM tree " +
        "WHERE name = 'lxc' LIMIT 1",
      "detected duplicate VMID 100",
    ],
    ["INSERT INTO tree VALUES (900, 7777, 1, 0, 1, 8, 'x', NULL)", "missing directory inode"],
    ["UPDATE tree SET data = x'61' WHERE name = 'ha'", "directory inode contains data"],
  ])("%s", (sql, problem) => {
    using directory = new TempDirectory();
    const file = importGolden(directory);
    {
      using database = new Database(file);
      database.run(sql);
    }
    expect(verifyDatabase(file).problems[0]?.text).toContain(problem);
  });

  test("notes: no row 0, an older row 0, a large file", () => {
    using directory = new TempDirectory();
    const file = importGolden(directory);
    using database = new Database(file);
    database.run("UPDATE tree SET version = 1 WHERE inode = 0");
    expect(verifyDatabase(file).notes.join()).toContain("row 0 has version 1, but version 74");
    database.run("DELETE FROM tree WHERE inode = 0");
    database.run("UPDATE tree SET data = zeroblob(1048577) WHERE name = 'empty'");
    const { notes, problems } = verifyDatabase(file);
    expect(problems).toEqual([]);
    expect(notes.join("\n")).toContain("no row 0");
    expect(notes.join("\n")).toContain("lab/empty: 1048577 bytes");
  });

  test("a directory: what would be left out", () => {
    using directory = new TempDirectory();
    directory.put("pve/a", "1");
    Bun.spawnSync(["mkfifo", directory.at("pve", "fifo")]);
    expect(verifyDirectory(directory.at("pve"))).toEqual({
      problems: [],
      notes: ["left out: fifo (a FIFO)"],
      files: 1,
      directories: 0,
      bytes: 1,
    });
    expect(verifyDirectory(directory.at("missing"))).toContain("ENOENT");
  });
});
