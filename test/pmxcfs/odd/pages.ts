/** Files whose pages are damaged or truncated, or have odd sizes or encodings. */
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import {
  type OddDatabase,
  type Values,
  T,
  PLAIN_ROWS,
  file,
  build,
  overwrite,
  onlyWal,
  wide,
  damagedPages,
  noise,
} from "./making.ts";

export const LAYOUT: readonly OddDatabase[] = [
  { name: "plain", make: (directory) => build(directory) },
  { name: "plain-wal-mode", make: (d) => build(d, { before: ["PRAGMA journal_mode = WAL"] }) },
  { name: "zero-bytes", make: (directory) => writeFileSync(file(directory), "") },
  { name: "zero-bytes-with-wal", make: onlyWal },
  { name: "one-byte", make: (directory) => writeFileSync(file(directory), "S") },
  { name: "text-file", make: (d) => writeFileSync(file(d), "this is no database\n".repeat(400)) },
  { name: "zeroes", make: (directory) => writeFileSync(file(directory), Buffer.alloc(16_384)) },
  { name: "random-bytes", make: (d) => writeFileSync(file(d), noise(20_000)) },
  {
    name: "header-only",
    make(directory) {
      build(directory);
      truncateSync(file(directory), 100);
    },
  },
  {
    name: "half-header",
    make(directory) {
      build(directory);
      truncateSync(file(directory), 50);
    },
  },
  {
    name: "cut-at-a-page",
    make(directory) {
      build(directory, { rows: wide(60) });
      truncateSync(file(directory), 4096 * 4);
    },
  },
  {
    name: "cut-within-a-page",
    make(directory) {
      build(directory, { rows: wide(60) });
      truncateSync(file(directory), 4096 * 4 + 1000);
    },
  },
  {
    name: "longer-than-it-says",
    make(directory) {
      build(directory);
      const content = readFileSync(file(directory));
      writeFileSync(file(directory), Buffer.concat([content, Buffer.alloc(8192)]));
    },
  },
  { name: "page-zeroed", make: damagedPages([3], 0) },
  { name: "page-ff", make: damagedPages([4], 0xff) },
  { name: "last-page-zeroed", make: damagedPages([8], 0) },
  { name: "first-page-zeroed", make: damagedPages([0], 0) },
  { name: "root-page-zeroed", make: damagedPages([1], 0) },
  { name: "two-pages-random", make: damagedPages([2, 5], 0x0d) },
  {
    name: "page-size-512-said",
    make(directory) {
      build(directory);
      overwrite(file(directory), 16, Buffer.from([2, 0]));
    },
  },
  {
    name: "page-size-8192-said",
    make(directory) {
      build(directory, { rows: wide(60) });
      overwrite(file(directory), 16, Buffer.from([0x20, 0]));
    },
  },
  {
    name: "page-size-zero-said",
    make(directory) {
      build(directory);
      overwrite(file(directory), 16, Buffer.from([0, 0]));
    },
  },
  { name: "page-size-512", make: (d) => build(d, { before: ["PRAGMA page_size = 512"] }) },
  { name: "page-size-65536", make: (d) => build(d, { before: ["PRAGMA page_size = 65536"] }) },
  { name: "utf16le", make: (d) => build(d, { before: ["PRAGMA encoding = 'UTF-16le'"] }) },
  { name: "utf16be", make: (d) => build(d, { before: ["PRAGMA encoding = 'UTF-16be'"] }) },
  { name: "auto-vacuum", make: (d) => build(d, { before: ["PRAGMA auto_vacuum = 1"] }) },
  {
    name: "cell-pointer-wild",
    make(directory) {
      build(directory);
      overwrite(file(directory), 4096 + 8, Buffer.from([0xff, 0xff]));
    },
  },
  {
    name: "overflow-chain-broken",
    make(directory) {
      const big: Values = [99, 0, 19, 0, T, 8, "big", Buffer.alloc(30_000, 97)];
      build(directory, { rows: [...PLAIN_ROWS, big] });
      overwrite(file(directory), 4096 * 4, Buffer.from([0, 0, 0, 0]));
    },
  },
  {
    name: "overflow-chain-circle",
    make(directory) {
      const big: Values = [99, 0, 19, 0, T, 8, "big", Buffer.alloc(30_000, 97)];
      build(directory, { rows: [...PLAIN_ROWS, big] });
      overwrite(file(directory), 4096 * 4, Buffer.from([0, 0, 0, 5]));
    },
  },
  {
    name: "freelist",
    make: (d) => build(d, { rows: wide(60), after: ["DELETE FROM tree WHERE inode > 20"] }),
  },
];
