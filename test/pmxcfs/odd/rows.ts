/** Undamaged files whose table or rows are odd. */
import { Database } from "bun:sqlite";
import { SCHEMA } from "../../../src/pmxcfs/store/config-writer.ts";
import {
  type OddDatabase,
  T,
  PLAIN_ROWS,
  LOOSE_SCHEMA,
  file,
  build,
  altered,
  insert,
  nestedRows,
  wide,
} from "./making.ts";

export const ROWS: readonly OddDatabase[] = [
  { name: "no-table", make: (d) => build(d, { after: ["DROP TABLE tree"] }) },
  { name: "table-empty", make: (d) => build(d, { rows: [] }) },
  {
    name: "other-table-only",
    make: (d) => build(d, { after: ["ALTER TABLE tree RENAME TO trees"] }),
  },
  {
    name: "tree-is-a-view",
    make: (d) =>
      build(d, { after: ["ALTER TABLE tree RENAME TO t", "CREATE VIEW tree AS SELECT * FROM t"] }),
  },
  { name: "without-rowid", make: (d) => build(d, { schema: `${LOOSE_SCHEMA} WITHOUT ROWID` }) },
  {
    name: "index-and-trigger",
    make: altered(
      "CREATE INDEX i ON tree (parent, name)",
      "CREATE TRIGGER t AFTER INSERT ON tree BEGIN SELECT 1; END",
    ),
  },
  { name: "column-missing", make: altered("ALTER TABLE tree DROP COLUMN writer") },
  {
    name: "extra-columns",
    make: altered(
      "ALTER TABLE tree ADD COLUMN note TEXT DEFAULT 'x'",
      "ALTER TABLE tree ADD COLUMN more",
    ),
  },
  {
    name: "columns-in-another-order",
    make(directory) {
      build(directory);
      const database = new Database(file(directory));
      database.run("ALTER TABLE tree RENAME TO old");
      database.run(
        "CREATE TABLE tree (name TEXT, data BLOB, type INTEGER, mtime INTEGER, writer INTEGER, version INTEGER, parent INTEGER, inode INTEGER PRIMARY KEY)",
      );
      database.run(
        "INSERT INTO tree SELECT name, data, type, mtime, writer, version, parent, inode FROM old",
      );
      database.run("DROP TABLE old");
      database.close();
    },
  },
  {
    name: "inode-no-key",
    make: (d) =>
      build(d, {
        schema: "CREATE TABLE tree (inode, parent, version, writer, mtime, type, name, data)",
        rows: PLAIN_ROWS.toReversed(),
      }),
  },
  {
    name: "text-columns",
    make: altered(
      "UPDATE tree SET parent = CAST(parent AS TEXT), version = CAST(version AS TEXT), writer = CAST(writer AS TEXT), mtime = CAST(mtime AS TEXT), type = CAST(type AS TEXT)",
    ),
  },
  {
    name: "text-columns-with-rubbish",
    make: altered(
      "UPDATE tree SET mtime = ' 1700000001abc', parent = parent || '.9x' WHERE inode IN (8, 9)",
    ),
  },
  {
    name: "real-columns",
    make: altered("UPDATE tree SET parent = parent + 0.0, type = type + 0.4, mtime = 1.7e9 + 0.9"),
  },
  { name: "null-parents", make: altered("UPDATE tree SET parent = NULL WHERE parent = 0") },
  {
    name: "null-version-and-mtime",
    make: altered(
      "UPDATE tree SET version = NULL, mtime = NULL, writer = NULL WHERE inode IN (2, 3)",
    ),
  },
  { name: "null-type", make: altered("UPDATE tree SET type = NULL WHERE inode = 2") },
  { name: "null-name", make: altered("UPDATE tree SET name = NULL WHERE inode = 2") },
  { name: "number-as-name", make: altered("UPDATE tree SET name = 42 WHERE inode = 2") },
  { name: "blob-as-name", make: altered("UPDATE tree SET name = x'737461' WHERE inode = 2") },
  { name: "text-as-data", make: altered("UPDATE tree SET data = 'text: yes' WHERE inode = 2") },
  { name: "number-as-data", make: altered("UPDATE tree SET data = 12345 WHERE inode = 2") },
  { name: "no-row-0", make: altered("DELETE FROM tree WHERE inode = 0") },
  { name: "row-0-version-0", make: altered("UPDATE tree SET version = 0 WHERE inode = 0") },
  { name: "row-0-negative-version", make: altered("UPDATE tree SET version = -5 WHERE inode = 0") },
  {
    name: "row-0-older-than-entries",
    make: altered("UPDATE tree SET version = 3 WHERE inode = 0"),
  },
  {
    name: "row-0-with-another-name",
    make: altered("UPDATE tree SET name = 'version' WHERE inode = 0"),
  },
  { name: "row-0-with-a-parent", make: altered("UPDATE tree SET parent = 5 WHERE inode = 0") },
  { name: "row-0-a-directory", make: altered("UPDATE tree SET type = 4 WHERE inode = 0") },
  { name: "row-0-with-data", make: altered("UPDATE tree SET data = x'61' WHERE inode = 0") },
  { name: "empty-name", make: altered("UPDATE tree SET name = '' WHERE inode = 13") },
  { name: "type-0", make: altered("UPDATE tree SET type = 0 WHERE inode = 13") },
  { name: "type-10", make: altered("UPDATE tree SET type = 10 WHERE inode = 13") },
  { name: "type-264", make: altered("UPDATE tree SET type = 264 WHERE inode = 13") },
  { name: "type-negative", make: altered("UPDATE tree SET type = -248 WHERE inode = 13") },
  { name: "directory-with-data", make: altered("UPDATE tree SET data = x'61' WHERE inode = 7") },
  {
    name: "directory-with-empty-data",
    make: altered("UPDATE tree SET data = x'' WHERE inode = 7"),
  },
  { name: "duplicate-file", make: altered(insert(30, 0, 19, 0, T, 8, "'storage.cfg'", "x'62'")) },
  {
    name: "duplicate-directory",
    make: altered(
      insert(14, 5, 14, 0, T, 4, "'qemu-server'", "NULL"),
      insert(15, 14, 15, 0, T, 8, "'110.conf'", "x'61'"),
    ),
  },
  {
    name: "duplicate-directory-clashing-children",
    make: altered(
      insert(14, 5, 14, 0, T, 4, "'qemu-server'", "NULL"),
      insert(15, 14, 15, 0, T, 8, "'100.conf'", "x'61'"),
    ),
  },
  {
    name: "duplicate-file-and-directory",
    make: altered(insert(30, 0, 19, 0, T, 4, "'storage.cfg'", "NULL")),
  },
  { name: "orphan", make: altered(insert(30, 7777, 19, 0, T, 8, "'orphan.cfg'", "x'61'")) },
  { name: "orphans-of-one-directory", make: altered("DELETE FROM tree WHERE inode = 6") },
  { name: "file-as-parent-earlier", make: altered(insert(30, 2, 19, 0, T, 8, "'below'", "x'61'")) },
  {
    name: "file-as-parent-later",
    make: altered(
      insert(30, 40, 19, 0, T, 8, "'below'", "x'61'"),
      insert(40, 0, 19, 0, T, 8, "'later'", "x'62'"),
    ),
  },
  {
    name: "directory-parent-later",
    make: altered(
      insert(30, 40, 19, 0, T, 8, "'below'", "x'61'"),
      insert(40, 0, 19, 0, T, 4, "'later'", "NULL"),
    ),
  },
  { name: "self-parent", make: altered(insert(30, 30, 19, 0, T, 4, "'self'", "NULL")) },
  { name: "self-parent-file", make: altered(insert(30, 30, 19, 0, T, 8, "'self'", "x'61'")) },
  {
    name: "circle",
    make: altered(
      insert(30, 31, 19, 0, T, 4, "'a'", "NULL"),
      insert(31, 30, 19, 0, T, 4, "'b'", "NULL"),
      insert(32, 31, 19, 0, T, 8, "'c'", "x'61'"),
    ),
  },
  { name: "circle-of-a-node", make: altered("UPDATE tree SET parent = 6 WHERE inode = 5") },
  { name: "slash-in-name", make: altered(insert(30, 0, 19, 0, T, 8, "'a/b'", "x'61'")) },
  {
    name: "dot-names",
    make: altered(
      insert(30, 0, 19, 0, T, 8, "'.'", "x'61'"),
      insert(31, 0, 19, 0, T, 4, "'..'", "NULL"),
    ),
  },
  {
    name: "nul-in-name",
    make: altered(insert(30, 0, 19, 0, T, 8, "CAST(x'6e0063' AS TEXT)", "x'61'")),
  },
  {
    name: "nul-first-in-name",
    make: altered(insert(30, 0, 19, 0, T, 8, "CAST(x'006e' AS TEXT)", "x'61'")),
  },
  {
    name: "names-equal-up-to-nul",
    make: altered(
      insert(30, 0, 19, 0, T, 8, "CAST(x'6e0063' AS TEXT)", "x'61'"),
      insert(31, 0, 19, 0, T, 8, "'n'", "x'62'"),
    ),
  },
  {
    name: "name-of-300-bytes",
    make: altered(insert(30, 0, 19, 0, T, 8, `'${"n".repeat(300)}'`, "x'61'")),
  },
  {
    name: "name-not-utf8",
    make: altered(insert(30, 0, 19, 0, T, 8, "CAST(x'e9ff' AS TEXT)", "x'61'")),
  },
  {
    name: "name-of-a-special-entry",
    make: altered(
      insert(30, 0, 19, 0, T, 8, "'.version'", "x'61'"),
      insert(31, 0, 19, 0, T, 4, "'local'", "NULL"),
    ),
  },
  {
    name: "version-name-elsewhere",
    make: altered(insert(30, 0, 19, 0, T, 8, "'__version__'", "x'61'")),
  },
  { name: "inode-1", make: altered(insert(1, 0, 19, 0, T, 8, "'one.cfg'", "x'61'")) },
  { name: "negative-inode", make: altered(insert(-3, 0, 19, 0, T, 8, "'minus.cfg'", "x'61'")) },
  {
    name: "negative-directory",
    make: altered(
      insert(-3, 0, 19, 0, T, 4, "'minus'", "NULL"),
      insert(30, -3, 19, 0, T, 8, "'below'", "x'61'"),
    ),
  },
  {
    name: "large-inode",
    make: altered(
      insert("9007199254740993", 0, 19, 0, T, 4, "'big'", "NULL"),
      insert(30, "9007199254740993", 19, 0, T, 8, "'below'", "x'61'"),
    ),
  },
  {
    name: "large-inodes-that-a-double-confuses",
    make: altered(
      insert("9007199254740992", 0, 19, 0, T, 4, "'a'", "NULL"),
      insert("9007199254740993", 0, 19, 0, T, 4, "'b'", "NULL"),
      insert(30, "9007199254740993", 19, 0, T, 8, "'below'", "x'61'"),
    ),
  },
  {
    name: "large-version",
    make: altered("UPDATE tree SET version = 9007199254740993 WHERE inode = 2"),
  },
  {
    name: "mtime-over-32-bit",
    make: altered("UPDATE tree SET mtime = 4294967296 + 77, writer = 4294967297 WHERE inode = 2"),
  },
  { name: "negative-mtime", make: altered("UPDATE tree SET mtime = -1 WHERE inode = 2") },
  { name: "doubled-vmid", make: altered(insert(30, 7, 19, 0, T, 8, "'100.conf'", "x'61'")) },
  {
    name: "doubled-vmid-other-node",
    make: altered(
      insert(30, 4, 19, 0, T, 4, "'pve2'", "NULL"),
      insert(31, 30, 19, 0, T, 4, "'lxc'", "NULL"),
      insert(32, 31, 19, 0, T, 8, "'101.conf'", "x'61'"),
    ),
  },
  { name: "vmid-directory", make: altered(insert(30, 7, 19, 0, T, 4, "'100.conf'", "NULL")) },
  {
    name: "qemu-server-a-file",
    make: altered(
      insert(30, 4, 19, 0, T, 4, "'pve2'", "NULL"),
      insert(31, 30, 19, 0, T, 8, "'qemu-server'", "x'61'"),
    ),
  },
  { name: "node-a-file", make: altered(insert(30, 4, 19, 0, T, 8, "'pve2'", "x'61'")) },
  {
    name: "nodes-a-file",
    make: (d) =>
      build(d, { rows: [PLAIN_ROWS[0] ?? [], [4, 0, 4, 0, T, 8, "nodes", Buffer.from("a")]] }),
  },
  { name: "lock-a-file", make: altered(insert(30, 11, 19, 0, T, 8, "'lock'", "x'61'")) },
  {
    name: "file-over-1-mib",
    make: altered("UPDATE tree SET data = zeroblob(1048577) WHERE inode = 2"),
  },
  {
    name: "user-version-and-application-id",
    make: altered("PRAGMA user_version = 7", "PRAGMA application_id = 99"),
  },
  {
    name: "many-faults",
    make: altered(
      insert(30, 7777, 19, 0, T, 8, "'o'", "x'61'"),
      insert(31, 0, 19, 0, T, 8, "'storage.cfg'", "x'61'"),
      "UPDATE tree SET data = x'61' WHERE inode = 7",
      "UPDATE tree SET name = '' WHERE inode = 13",
    ),
  },
  {
    name: "inode-twice",
    make: (d) =>
      build(d, {
        schema: "CREATE TABLE tree (inode, parent, version, writer, mtime, type, name, data)",
        rows: [...PLAIN_ROWS, [2, 0, 2, 0, T, 8, "again.cfg", Buffer.from("b")]],
      }),
  },
  {
    name: "utf16-text-as-data",
    make: (d) =>
      build(d, {
        schema: LOOSE_SCHEMA,
        before: ["PRAGMA encoding = 'UTF-16le'"],
        after: [
          "UPDATE tree SET data = 't\u00e4xt', name = 'n\u00f6.cfg' WHERE inode = 2",
          "UPDATE tree SET name = 42.5, data = 12.25 WHERE inode = 3",
        ],
      }),
  },
  {
    name: "table-in-capitals",
    make: (d) => build(d, { schema: SCHEMA.replace("TABLE tree", 'TABLE "TREE"') }),
  },
  {
    name: "quoted-columns",
    make: (d) =>
      build(d, {
        schema:
          "CREATE TABLE tree (\"inode\" INTEGER PRIMARY KEY, [parent] INT DEFAULT (1), `version` INT, 'writer' INT, mtime INT CHECK (mtime > ',' OR 1), type, name, data /* , x ( */)",
      }),
  },
  {
    name: "key-as-constraint",
    make: (d) =>
      build(d, {
        schema:
          "CREATE TABLE tree (inode INTEGER, parent, version, writer, mtime, type, name, data, PRIMARY KEY (inode))",
      }),
  },
  {
    name: "key-descending",
    make: (d) =>
      build(d, {
        schema:
          "CREATE TABLE tree (inode INTEGER PRIMARY KEY DESC, parent, version, writer, mtime, type, name, data)",
      }),
  },
  { name: "nested-300", make: (d) => build(d, { rows: nestedRows(300) }) },
  { name: "nested-30000", make: (d) => build(d, { rows: nestedRows(30_000) }), oursOnly: true },
  { name: "rows-3000", make: (d) => build(d, { rows: wide(3000) }) },
];
