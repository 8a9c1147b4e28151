/** Memory that C may write to. */
import { closeSync, openSync, readSync } from "node:fs";
import { expect, test } from "bun:test";
import { allocatePermanent, PAGE_BYTES } from "../../src/platform/memory.ts";

/** Bytes of an entry of /proc/PID/pagemap; its highest bit: the page is in memory. */
const ENTRY_BYTES = 8;
const PRESENT = 0x80;

/** How many of the pages at `address` are in memory (proc_pid_pagemap(5)). */
function presentPages(address: number, count: number): number {
  const entries = Buffer.alloc(count * ENTRY_BYTES);
  const fd = openSync("/proc/self/pagemap", "r");
  try {
    readSync(fd, entries, 0, entries.length, (address / PAGE_BYTES) * ENTRY_BYTES);
  } finally {
    closeSync(fd);
  }
  return Array.from({ length: count }, (_, page) => entries[page * ENTRY_BYTES + 7] ?? 0).filter(
    (flags) => (flags & PRESENT) !== 0,
  ).length;
}

test("memory for the kernel is there at once: a reader that is killed fails no request", () => {
  const { address } = allocatePermanent(32 * PAGE_BYTES);
  expect(presentPages(address, 32)).toBe(32);
});
