/** Files with a -wal, -journal or -shm beside them, in all their states. */
import { Database } from "bun:sqlite";
import { copyFileSync, mkdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type OddDatabase,
  file,
  build,
  overwrite,
  withWal,
  GROW,
  withHotJournal,
  wide,
  walFile,
  noise,
} from "./making.ts";

export const LOGS: readonly OddDatabase[] = [
  { name: "wal", make: (directory) => withWal(directory, GROW) },
  {
    name: "wal-of-zero-bytes",
    make(directory) {
      build(directory, { before: ["PRAGMA journal_mode = WAL"] });
      writeFileSync(walFile(directory), "");
    },
  },
  {
    name: "wal-header-alone",
    make(directory) {
      withWal(directory, GROW);
      truncateSync(walFile(directory), 32);
    },
  },
  {
    name: "wal-torn",
    make(directory) {
      withWal(directory, GROW);
      truncateSync(walFile(directory), 32 + 4120 + 1000);
    },
  },
  {
    name: "wal-of-another-file",
    make(directory) {
      const other = join(directory, "other");
      mkdirSync(other);
      withWal(other, ["UPDATE tree SET data = x'61' WHERE inode = 3"], wide(40));
      withWal(directory, GROW);
      copyFileSync(walFile(other), walFile(directory));
      rmSync(other, { recursive: true });
    },
  },
  {
    name: "wal-without-a-valid-frame",
    make(directory) {
      withWal(directory, GROW);
      overwrite(walFile(directory), 32 + 16, Buffer.alloc(8, 0x5a));
    },
  },
  { name: "wal-of-noise", make: (d) => (build(d), writeFileSync(walFile(d), noise(9000))) },
  {
    name: "wal-with-a-damaged-header",
    make(directory) {
      withWal(directory, GROW);
      overwrite(walFile(directory), 0, Buffer.alloc(4, 0));
    },
  },
  {
    name: "wal-and-damaged-page",
    make(directory) {
      withWal(directory, GROW, wide(60));
      overwrite(file(directory), 4 * 4096, Buffer.alloc(4096, 0));
    },
  },
  {
    name: "damaged-page-and-wal-without-a-valid-frame",
    make(directory) {
      withWal(directory, GROW, wide(60));
      overwrite(file(directory), 4 * 4096, Buffer.alloc(4096, 0));
      overwrite(walFile(directory), 32 + 16, Buffer.alloc(8, 0x5a));
    },
  },
  {
    name: "wal-in-rollback-mode",
    make(directory) {
      withWal(directory, GROW);
      overwrite(file(directory), 18, Buffer.from([1, 1]));
    },
  },
  {
    name: "wal-and-shm-left",
    make(directory) {
      withWal(directory, GROW);
      writeFileSync(`${file(directory)}-shm`, noise(32_768));
    },
  },
  {
    name: "shm-alone",
    make(directory) {
      build(directory, { before: ["PRAGMA journal_mode = WAL"] });
      writeFileSync(`${file(directory)}-shm`, Buffer.alloc(32_768));
    },
  },
  {
    name: "wal-uncommitted",
    make(directory) {
      withWal(directory, GROW);
      overwrite(walFile(directory), 32 + 4, Buffer.alloc(4, 0));
    },
  },
  {
    name: "wal-of-an-older-state",
    make(directory) {
      withWal(directory, GROW);
      const database = new Database(file(directory));
      database.run("UPDATE tree SET version = 160 WHERE inode = 0");
      database.run("UPDATE tree SET version = 160, data = x'6e6577' WHERE inode = 2");
      database.run("PRAGMA wal_checkpoint(TRUNCATE)");
      database.close();
      const other = join(directory, "other");
      mkdirSync(other);
      withWal(other, GROW);
      copyFileSync(walFile(other), walFile(directory));
      rmSync(other, { recursive: true });
    },
  },
  { name: "hot-journal", make: withHotJournal },
  {
    name: "hot-journal-torn",
    make(directory) {
      withHotJournal(directory);
      truncateSync(`${file(directory)}-journal`, 5000);
    },
  },
  {
    name: "journal-of-noise",
    make: (d) => (build(d), writeFileSync(`${file(d)}-journal`, noise(9000))),
  },
  {
    name: "journal-of-zero-bytes",
    make: (d) => (build(d), writeFileSync(`${file(d)}-journal`, "")),
  },
  {
    name: "journal-zeroed",
    make: (d) => (build(d), writeFileSync(`${file(d)}-journal`, Buffer.alloc(9000))),
  },
];
