/** Reading a database while a server writes it: the result is one of its states, or a problem. */
import { Database } from "bun:sqlite";
import { afterEach, expect, spyOn, test } from "bun:test";
import { copyFileSync, existsSync } from "node:fs";
import { backupDatabase } from "../../src/pmxcfs/rescue/backup.ts";
import { compareDatabases } from "../../src/pmxcfs/rescue/compare.ts";
import { readAtRest } from "../../src/pmxcfs/rescue/read-at-rest.ts";
import { salvage } from "../../src/pmxcfs/rescue/salvage.ts";
import { verifyDatabase } from "../../src/pmxcfs/rescue/verify.ts";
import { item, makeDb, TempDirectory, Writer } from "./support.ts";

/** On many pages. */
const FILES = 200;
/** Rows of makeDb, row 0 among them. */
const OTHERS = 12;
const contentOf = (at: number): string => `${at}`.padEnd(300, "x");

/**
 * Writes file `at`, unchanged, as the first change after a complete checkpoint: that begins the
 * -wal anew, with the file's page where the page of another file was.
 */
function restartLog(writer: Writer, at: number): void {
  writer.database.run("PRAGMA wal_checkpoint(PASSIVE)");
  writer.write(`f${at}`, contentOf(at));
}

let restore = (): void => {};
afterEach(() => restore());

/** Calls `change` in the middle of each of the next reads, of `most` at most. */
function duringReads(change: () => void, most = Infinity): void {
  restore();
  const original = Database.deserialize.bind(Database);
  const spied = spyOn(Database, "deserialize");
  restore = () => spied.mockRestore();
  let reads = 0;
  spied.mockImplementation(((...given: Parameters<typeof original>) => {
    reads++;
    if (reads <= most) change();
    return original(...given);
  }) as typeof Database.deserialize);
}

function written(directory: TempDirectory): string {
  const files = Array.from({ length: FILES }, (_, at) => item(`f${at}`, contentOf(at)));
  return makeDb(directory, files);
}

test("a database whose -wal is restarted during a read is read again", () => {
  using directory = new TempDirectory();
  const file = written(directory);
  const copy = directory.at("copy.db");
  copyFileSync(file, copy);
  using writer = new Writer(file);
  restartLog(writer, 150);
  duringReads(() => restartLog(writer, 50), 1);
  const inodes = new Set(readAtRest(file).rows.map(({ inode }) => inode));
  expect(inodes.size).toBe(FILES + OTHERS);
  duringReads(() => restartLog(writer, 150), 1);
  expect(compareDatabases(file, copy, { times: false })).toEqual({ differences: [], problems: [] });
});

test("a database that is changed during each read is a problem, and no copy is made", () => {
  using directory = new TempDirectory();
  const file = written(directory);
  using writer = new Writer(file);
  let at = 0;
  duringReads(() => restartLog(writer, ++at % FILES));
  const text = "it was changed during each of 20 reads: try again";
  const { items, database } = salvage(file, readAtRest);
  expect([items, database.problem?.text]).toEqual([[], text]);
  expect(verifyDatabase(file).problems).toEqual([{ kind: "unreadable", text }]);
  const target = directory.at("copy.db");
  expect(backupDatabase({ database: file, target, keep: undefined })).toBe(text);
  expect(existsSync(target)).toBe(false);
});
