/** The type of a file is checked before it is opened: no FIFO or device blocks the process. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { constants, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errorText } from "../../src/base/error-text.ts";
import {
  demandRegularDatabase,
  openRegularFile,
  readRegularFile,
  readRegularFileAsync,
} from "../../src/platform/regular-file.ts";

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "regular-file-"));
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

function fifo(name: string): string {
  const path = join(directory, name);
  expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
  return path;
}

test("a FIFO, a device and a directory are named, not opened", () => {
  const path = fifo("fifo");
  expect(() => readRegularFile(path)).toThrow(`${path} is a FIFO, not a regular file`);
  expect(() => openRegularFile(path, constants.O_WRONLY)).toThrow("is a FIFO");
  expect(() => readRegularFile("/dev/zero")).toThrow("/dev/zero is a device, not a regular file");
  expect(() => readRegularFile(directory)).toThrow("is a directory, not a regular file");
});

test("a file is read completely, also in /proc, unless it exceeds the limit", () => {
  const path = join(directory, "file");
  writeFileSync(path, "x".repeat(200_000));
  expect(readRegularFile(path, 200_000).length).toBe(200_000);
  expect(() => readRegularFile(path, 199_999)).toThrow(`${path} has more than 199999 bytes`);
  expect(readRegularFile("/proc/self/status").toString("latin1")).toMatch(/^Name:/);
  truncateSync(path, 2 ** 40);
  expect(() => readRegularFile(path)).toThrow("has more than");
});

async function outcome(path: string, mostBytes?: number): Promise<string> {
  const read = await readRegularFileAsync(path, mostBytes).catch(errorText);
  return typeof read === "string" ? read : `read ${read.length} bytes`;
}

test("by other threads: the same files are read and refused", async () => {
  const path = join(directory, "other-threads");
  writeFileSync(path, "x".repeat(200_000));
  expect(await outcome(path, 200_000)).toBe("read 200000 bytes");
  expect(await outcome(path, 199_999)).toBe(`${path} has more than 199999 bytes`);
  expect((await readRegularFileAsync("/proc/self/status")).toString("latin1")).toMatch(/^Name:/);
  expect(await outcome(fifo("other-fifo"))).toContain("is a FIFO");
  expect(await outcome("/dev/zero")).toContain("is a device");
  expect(await outcome(`${path}-none`)).toContain("ENOENT");
});

test("a database is not opened if SQLite would block on a file beside it", () => {
  const path = join(directory, "x.db");
  demandRegularDatabase(path);
  writeFileSync(path, "");
  demandRegularDatabase(path);
  for (const suffix of ["-wal", "-shm", "-journal"]) {
    const side = fifo(`x.db${suffix}`);
    expect(() => {
      demandRegularDatabase(path);
    }).toThrow(`${side} is a FIFO`);
    rmSync(side);
  }
});
