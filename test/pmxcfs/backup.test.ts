/** `config backup` and `config restore`: which copies are removed, and what a failure leaves. */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { basename } from "node:path";
import { backupDatabase } from "../../src/pmxcfs/rescue/backup.ts";
import { replaceDatabase } from "../../src/pmxcfs/rescue/import.ts";
import { writeConfigDb, type TreeItem } from "../../src/pmxcfs/store/config-writer.ts";
import { makeDb, open, TempDirectory, textOf, Writer } from "./support.ts";

/** The name of a copy that was made with `--keep`. */
function kept(directory: TempDirectory, keep: number): string {
  const database = directory.at("config.db");
  const made = backupDatabase({ database, target: directory.at("copies"), keep });
  if (typeof made === "string") throw new Error(made);
  return basename(made.file);
}

describe("--keep", () => {
  test("never removes the copy that was just made, although the clock went back", () => {
    using directory = new TempDirectory();
    makeDb(directory);
    directory.put("copies/config-29991231T000000Z.db", "of a wrong clock");
    directory.put("copies/config-29991231T000000Z-2.db", "of a wrong clock");
    const made = kept(directory, 2);
    expect(readdirSync(directory.at("copies")).toSorted()).toEqual([
      made,
      "config-29991231T000000Z-2.db",
    ]);
  });

  test("removes the older one of two that were made in one second", () => {
    using directory = new TempDirectory();
    makeDb(directory);
    for (const end of ["Z", "Z-2", "Z-10"])
      directory.put(`copies/config-20260101T000000${end}.db`, "");
    const made = kept(directory, 2);
    expect(readdirSync(directory.at("copies")).toSorted()).toEqual([
      "config-20260101T000000Z-10.db",
      made,
    ]);
  });
});

test("through a symlink: what is only in the -wal beside the database is copied", () => {
  using directory = new TempDirectory();
  using links = new TempDirectory();
  using writer = new Writer(makeDb(directory));
  writer.write("storage.cfg", "dir: wal\n");
  symlinkSync(directory.at("config.db"), links.at("config.db"));
  mkdirSync(links.at("copies"));
  using copy = open({ db: links.at("copies", kept(links, 1)) });
  expect(textOf(copy.memdb.read("storage.cfg")!)).toBe("dir: wal\n");
});

test("a file whose content is too large to be read is not copied as an empty one", () => {
  using directory = new TempDirectory();
  const file = makeDb(directory);
  {
    using database = new Database(file);
    database.run("INSERT INTO tree VALUES (900, 0, 900, 0, 1, 8, 'big', zeroblob(?))", [
      129 * 1024 * 1024,
    ]);
  }
  const target = directory.at("copy.db");
  expect(backupDatabase({ database: file, target, keep: undefined })).toContain(
    "'big' are not read",
  );
  expect(existsSync(target)).toBe(false);
  const main = new URL("../../src/main.ts", import.meta.url).pathname;
  const words = [process.execPath, main, "config", "cat", "--db", file, "big"];
  const { exitCode, stderr } = Bun.spawnSync(words);
  expect([exitCode, stderr.toString()]).toEqual([1, expect.stringContaining("not read")]);
});

describe("a failure", () => {
  test("of the last step leaves the old database with its -wal, journals and changes", () => {
    using directory = new TempDirectory();
    const file = makeDb(directory);
    for (const suffix of ["-wal", "-journal", ".changes"])
      directory.put(`config.db${suffix}`, suffix);
    const state = (): unknown =>
      readdirSync(directory.path)
        .toSorted()
        .map((name) => [name, readFileSync(directory.at(name)).toString("latin1")]);
    const before = state();
    expect(() => replaceDatabase(directory.at("no draft"), file)).toThrow("ENOENT");
    expect(state()).toEqual(before);
  });

  test("to move the rows from the WAL into a new database leaves no file", () => {
    using directory = new TempDirectory();
    const file = directory.at("new.db");
    let reader: Database | undefined;
    function* items(): Generator<TreeItem> {
      yield { path: ["a"], bytes: Buffer.from("1"), mtime: 1 };
      // Reads the state before: stands for a disk on which the WAL fits, and the file does not.
      const draft = readdirSync(directory.path).find((name) => /\.new-\w+$/.test(name));
      reader = new Database(directory.at(draft ?? ""));
      reader.run("BEGIN");
      reader.run("SELECT count(*) FROM tree");
    }
    expect(writeConfigDb(file, items())).toContain("another process has it open");
    reader?.close();
    expect(readdirSync(directory.path)).toEqual([]);
  });
});
