/** How odd config.db files are made: schemas, rows, logs as a crash leaves them, damage. */
import { Database } from "bun:sqlite";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SCHEMA } from "../../../src/pmxcfs/store/config-writer.ts";

export interface OddDatabase {
  readonly name: string;
  readonly make: (directory: string) => void;
  /** The C server was not run with it (too large, too slow, not a file). */
  readonly oursOnly?: boolean;
}

/** Columns of a row: inode, parent, version, writer, mtime, type, name, data. */
export type Values = readonly (number | bigint | string | Uint8Array | null)[];

export const T = 1_700_000_000;

/** Seven files in five directories, row 0 with version 20. */
export const PLAIN_ROWS: readonly Values[] = [
  [0, 0, 20, 0, T, 8, "__version__", null],
  [2, 0, 2, 0, T, 8, "storage.cfg", Buffer.from("dir: local\n\tpath /var/lib/vz\n")],
  [3, 0, 3, 0, T, 8, "user.cfg", Buffer.from("user:root@pam:1:0:::a@b.invalid::\n")],
  [4, 0, 4, 0, T, 4, "nodes", null],
  [5, 4, 5, 0, T, 4, "pve1", null],
  [6, 5, 6, 0, T, 4, "qemu-server", null],
  [7, 5, 7, 0, T, 4, "lxc", null],
  [8, 6, 8, 0, T, 8, "100.conf", Buffer.from("name: web\ncores: 2\n")],
  [9, 6, 9, 0, T, 8, "101.conf", Buffer.from("name: db\ncores: 4\n")],
  [10, 7, 10, 0, T, 8, "200.conf", Buffer.from("hostname: ct\nmemory: 512\n")],
  [11, 0, 11, 0, T, 4, "priv", null],
  [12, 11, 12, 0, T, 8, "token.cfg", Buffer.from("root@pam!ci 0b1c2d3e\n")],
  [13, 0, 13, 0, T, 8, "datacenter.cfg", Buffer.from("keyboard: de\n")],
];

/** The same table without types and checks, which accepts any value. */
export const LOOSE_SCHEMA =
  "CREATE TABLE tree (inode INTEGER PRIMARY KEY, parent, version, writer, mtime, type, name, data)";

export const file = (directory: string): string => join(directory, "config.db");

export interface Making {
  readonly schema?: string;
  readonly rows?: readonly Values[];
  readonly before?: readonly string[];
  readonly after?: readonly string[];
}

/** Makes config.db, in rollback mode and closed unless `after` says otherwise. */
export function build(directory: string, making: Making = {}): void {
  const { schema = SCHEMA, rows = PLAIN_ROWS, before = [], after = [] } = making;
  const database = new Database(file(directory));
  try {
    database.run("PRAGMA synchronous = OFF");
    for (const sql of before) database.run(sql);
    database.run(schema);
    const insert = database.prepare("INSERT INTO tree VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    database.transaction(() => {
      for (const row of rows) insert.run(...row.map((value) => value));
    })();
    insert.finalize();
    for (const sql of after) database.run(sql);
  } finally {
    database.close();
  }
}

/** The plain tree and statements on top of it. */
export function altered(...after: readonly string[]) {
  return (directory: string): void => build(directory, { schema: LOOSE_SCHEMA, after });
}

export const insert = (...values: readonly (number | string)[]): string =>
  `INSERT INTO tree VALUES (${values.join(", ")})`;

/** Page 0 is the first. */
export function overwrite(path: string, at: number, bytes: Uint8Array): void {
  const content = readFileSync(path);
  Buffer.from(bytes).copy(content, at);
  writeFileSync(path, content);
}

/** Leaves a -wal with `changes` beside the file, as a server that was killed leaves it. */
export function withWal(directory: string, changes: readonly string[], rows = PLAIN_ROWS): void {
  const live = join(directory, "live.db");
  const database = new Database(live);
  try {
    database.run("PRAGMA journal_mode = WAL");
    database.run("PRAGMA synchronous = OFF");
    database.run(SCHEMA);
    const statement = database.prepare("INSERT INTO tree VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    database.transaction(() => {
      for (const row of rows) statement.run(...row.map((value) => value));
    })();
    statement.finalize();
    database.run("PRAGMA wal_checkpoint(TRUNCATE)");
    database.run("PRAGMA wal_autocheckpoint = 0");
    for (const sql of changes) database.run(sql);
    copyFileSync(live, file(directory));
    copyFileSync(`${live}-wal`, `${file(directory)}-wal`);
  } finally {
    database.close();
    for (const suffix of ["", "-wal", "-shm"]) rmSync(live + suffix, { force: true });
  }
}

export const GROW = [
  "UPDATE tree SET version = 100 WHERE inode = 0",
  insert(100, 0, 100, 0, T + 9, 8, "'new.cfg'", "x'6e65770a'"),
];

/** A -wal that holds the whole database, and config.db of 0 bytes. */
export function onlyWal(directory: string): void {
  const live = join(directory, "live.db");
  const database = new Database(live);
  try {
    database.run("PRAGMA journal_mode = WAL");
    database.run("PRAGMA wal_autocheckpoint = 0");
    database.run(SCHEMA);
    const statement = database.prepare("INSERT INTO tree VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    for (const row of PLAIN_ROWS) statement.run(...row.map((value) => value));
    statement.finalize();
    copyFileSync(`${live}-wal`, `${file(directory)}-wal`);
  } finally {
    database.close();
    for (const suffix of ["", "-wal", "-shm"]) rmSync(live + suffix, { force: true });
  }
  writeFileSync(file(directory), "");
}

/** An unfinished transaction and its rollback journal, as a crash leaves them. */
export function withHotJournal(directory: string): void {
  build(directory);
  const database = new Database(file(directory));
  const kept = join(directory, "kept");
  mkdirSync(kept);
  try {
    database.run("PRAGMA cache_size = 1");
    database.run("PRAGMA cache_spill = 1");
    database.run("BEGIN");
    const pad = "x".repeat(5000);
    for (let inode = 1000; inode < 1100; inode++) {
      database.run(insert(inode, 0, inode, 0, T, 8, `'f${inode}'`, `'${pad}'`));
    }
    database.run("DELETE FROM tree WHERE inode IN (2, 8, 9)");
    for (const suffix of ["", "-journal"]) {
      copyFileSync(file(directory) + suffix, join(kept, `k${suffix}`));
    }
    database.run("ROLLBACK");
  } finally {
    database.close();
  }
  for (const suffix of ["", "-journal"]) {
    copyFileSync(join(kept, `k${suffix}`), file(directory) + suffix);
  }
  rmSync(kept, { recursive: true });
}

/** `count` nested directories, and a file in the last. */
export function nestedRows(count: number): Values[] {
  const rows: Values[] = [[0, 0, count + 9, 0, T, 8, "__version__", null]];
  for (let level = 0; level < count; level++) {
    rows.push([level + 2, level === 0 ? 0 : level + 1, level + 2, 0, T, 4, `d${level}`, null]);
  }
  rows.push([count + 2, count + 1, count + 2, 0, T, 8, "bottom.cfg", Buffer.from("deep\n")]);
  return rows;
}

/** `sqlite3 .dump` of the plain database. */
export function plainDump(directory: string): Buffer {
  build(directory);
  const { stdout: dump } = Bun.spawnSync(["sqlite3", file(directory), ".dump"]);
  rmSync(file(directory));
  return dump;
}

export const wide = (count: number): Values[] => [
  [0, 0, count + 9, 0, T, 8, "__version__", null],
  ...Array.from({ length: count }, (_, at): Values => {
    return [at + 2, 0, at + 2, 0, T, 8, `f${at}.cfg`, Buffer.alloc(600, 65 + (at % 26))];
  }),
];

/** Makes a database of several pages, then sets pages (the first is 0) to a byte. */
export function damagedPages(pages: readonly number[], byte: number, count = 60) {
  return (directory: string): void => {
    build(directory, { rows: wide(count) });
    for (const page of pages) overwrite(file(directory), page * 4096, Buffer.alloc(4096, byte));
  };
}

export const walFile = (directory: string): string => `${file(directory)}-wal`;

/** Random-looking bytes, the same each time. */
export function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = 12_345;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[at] = state >>> 16;
  }
  return bytes;
}
