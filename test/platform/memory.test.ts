/** Memory that C may write to. */
import { ptr } from "bun:ffi";
import { closeSync, openSync, readSync } from "node:fs";
import { expect, test } from "bun:test";
import { FuseDevice } from "../../src/platform/fuse-device.ts";
import { PAGE_BYTES } from "../../src/platform/memory.ts";

/** Bytes of an entry of /proc/PID/pagemap; its highest bit: the page is in memory. */
const ENTRY_BYTES = 8;
const PRESENT = 0x80;

/** How many pages of `bytes` are in memory (proc_pid_pagemap(5)). */
function presentPages(bytes: Buffer): number {
  const count = bytes.length / PAGE_BYTES;
  const entries = Buffer.alloc(count * ENTRY_BYTES);
  const fd = openSync("/proc/self/pagemap", "r");
  try {
    readSync(fd, entries, 0, entries.length, (ptr(bytes) / PAGE_BYTES) * ENTRY_BYTES);
  } finally {
    closeSync(fd);
  }
  return Array.from({ length: count }, (_, page) => entries[page * ENTRY_BYTES + 7] ?? 0).filter(
    (flags) => (flags & PRESENT) !== 0,
  ).length;
}

test("the memory for requests of the kernel is there before the first: a reader that is killed fails none", () => {
  using device = new FuseDevice(openSync("/dev/null", "r"), 132 * 1024);
  expect(presentPages(device.request)).toBe(device.request.length / PAGE_BYTES);
});
