/** Numbers beyond 2^53 in a config.db: what writes it, or a copy, refuses them. Negative ones. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { silentLog } from "../../src/base/log.ts";
import { backupDatabase, restoreDatabase } from "../../src/pmxcfs/rescue/backup.ts";
import { decodeUpdate, encodeUpdate } from "../../src/pmxcfs/replication/dcdb-message.ts";
import { openTree } from "../../src/pmxcfs/store/open-tree.ts";
import { readRows } from "../../src/pmxcfs/store/sqlite-rows.ts";
import { TempDirectory } from "./support.ts";

type Numbers = readonly [inode: bigint, parent: bigint, version: bigint];

/** A new database with files of these numbers: its rows, and why a start refuses it. */
function startedWith(...files: readonly Numbers[]) {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  const made = openTree({ file, log: silentLog });
  if (typeof made === "string") throw new Error(made);
  made[Symbol.dispose]();
  using database = new Database(file, { safeIntegers: true });
  for (const [index, numbers] of files.entries()) {
    const sql = "INSERT INTO tree VALUES (?, ?, ?, 0, 1, 8, ?, NULL)";
    database.run(sql, [...numbers, `f${index}`]);
  }
  const rows = readRows(database).slice(1);
  const tree = openTree({ file, log: silentLog });
  if (typeof tree === "string") return { rows, refusal: tree };
  tree[Symbol.dispose]();
  return { rows, refusal: undefined };
}

const WIDE = 2n ** 60n;

test("two inodes that are one double are two rows, and the database is not written", () => {
  const { rows, refusal } = startedWith([WIDE, 0n, 5n], [WIDE + 1n, 0n, 6n]);
  expect(rows.map(({ wideInode }) => wideInode)).toEqual([WIDE, WIDE + 1n]);
  expect(new Set(rows.map(({ inode }) => inode)).size).toBe(2);
  expect(refusal).toBe("the inode of 'f0' is beyond 2^53: it cannot be written");
});

test("a version after which the next one is the same double is refused", () => {
  for (const version of [2n ** 53n, WIDE, 2n ** 63n - 1n]) {
    expect(startedWith([5n, 0n, version]).refusal).toBe(
      "the version of 'f0' is beyond 2^53: it cannot be written",
    );
  }
});

test("the largest exact numbers are accepted", () => {
  const exact = 2n ** 52n;
  const { rows, refusal } = startedWith([exact, 0n, exact + 1n]);
  expect(rows).toMatchObject([{ inode: Number(exact), version: Number(exact) + 1 }]);
  expect(refusal).toBeUndefined();
});

test("a lock with a negative inode has the digest of C, which takes the inode as unsigned", () => {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  const made = openTree({ file, log: silentLog });
  if (typeof made === "string") throw new Error(made);
  for (const path of ["priv", "priv/lock", "priv/lock/x"]) {
    expect(made.apply({ kind: "mkdir", path }, { writer: 0, time: 9 })).toBe(0);
  }
  made[Symbol.dispose]();
  using database = new Database(file);
  database.run("UPDATE tree SET inode = -7 WHERE name = 'x'");
  const tree = openTree({ file, log: silentLog });
  if (typeof tree === "string") throw new Error(tree);
  using opened = tree;
  const { version, parent } = opened.memdb.find("priv/lock/x")!;
  const head = Buffer.alloc(37);
  head.writeBigInt64LE(-7n, 0);
  head.writeBigUInt64LE(BigInt(version), 8);
  head.writeUInt32LE(9, 20);
  head.writeUInt8(4, 28);
  head.writeBigUInt64LE(BigInt(parent!.inode), 29);
  const digest = new Bun.CryptoHasher("sha256").update(head).update("x").digest();
  expect(opened.lockDigest("priv/lock/x")).toEqual(digest);
});

test("a leader's root is refused with the version that a start refuses", () => {
  const root = { inode: 0, parent: 0, writer: 1, mtime: 5, type: 4, name: "" };
  const taken = (version: number) =>
    decodeUpdate(encodeUpdate({ ...root, version, data: new Uint8Array(0) }))?.version;
  const last = Number.MAX_SAFE_INTEGER;
  expect(startedWith([5n, 0n, BigInt(last)]).refusal).toBeDefined();
  expect(startedWith([5n, 0n, BigInt(last) - 1n]).refusal).toBeUndefined();
  expect([last, last - 1].map(taken)).toEqual([undefined, last - 1]);
});

test("a copy that would have other numbers is neither made nor restored", () => {
  for (const numbers of [
    [WIDE, 0n, 5n],
    [5n, 0n, WIDE + 1n],
  ]) {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    const made = openTree({ file, log: silentLog });
    if (typeof made === "string") throw new Error(made);
    made[Symbol.dispose]();
    using database = new Database(file);
    database.run("INSERT INTO tree VALUES (?, ?, ?, 0, 1, 8, 'f', NULL)", numbers);
    const target = directory.at("copy.db");
    expect(backupDatabase({ database: file, target, keep: undefined })).toContain("beyond 2^53");
    expect(restoreDatabase(file, directory.at("restored.db"))).toContain("beyond 2^53");
    expect(readdirSync(directory.path).filter((name) => !name.startsWith("config.db"))).toEqual([]);
  }
});
