/** Paths with something other than a database: dumps, directories, FIFOs, links. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type OddDatabase, file, build, plainDump, walFile } from "./making.ts";

export const FORMATS: readonly OddDatabase[] = [
  { name: "dump", make: (d) => writeFileSync(file(d), plainDump(d)) },
  { name: "dump-gz", make: (d) => writeFileSync(file(d), gzipSync(plainDump(d))) },
  {
    name: "dump-gz-torn",
    make: (d) => writeFileSync(file(d), gzipSync(plainDump(d)).subarray(0, 300)),
  },
  { name: "dump-torn", make: (d) => writeFileSync(file(d), plainDump(d).subarray(0, 1300)) },
  {
    name: "database-gz",
    make: (d) => (build(d), writeFileSync(file(d), gzipSync(readFileSync(file(d))))),
  },
  { name: "directory", make: (d) => mkdirSync(file(d)) },
  { name: "missing", make: () => {}, oursOnly: true },
  { name: "fifo", make: (d) => void Bun.spawnSync(["mkfifo", file(d)]), oursOnly: true },
  {
    name: "symlink",
    make(directory) {
      build(directory);
      copyFileSync(file(directory), join(directory, "target.db"));
      rmSync(file(directory));
      symlinkSync("target.db", file(directory));
    },
    oursOnly: true,
  },
  { name: "symlink-to-nothing", make: (d) => symlinkSync("nowhere", file(d)), oursOnly: true },
  { name: "symlink-to-itself", make: (d) => symlinkSync("config.db", file(d)), oursOnly: true },
  { name: "device", make: (d) => symlinkSync("/dev/zero", file(d)), oursOnly: true },
  {
    name: "unreadable",
    make(directory) {
      build(directory);
      chmodSync(file(directory), 0);
    },
    oursOnly: true,
  },
  {
    name: "wal-is-a-directory",
    make(directory) {
      build(directory, { before: ["PRAGMA journal_mode = WAL"] });
      if (!existsSync(walFile(directory))) mkdirSync(walFile(directory));
    },
    oursOnly: true,
  },
];
