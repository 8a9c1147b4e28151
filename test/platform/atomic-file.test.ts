/** Files in other users' directories: written completely, with their mode, never through a link. */
import { expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { FilePlace, openParent, writeFileAtomically } from "../../src/platform/atomic-file.ts";
import { Directory } from "../../src/platform/files.ts";
import { Errno } from "../../src/base/errno.ts";
import { TempDirectory } from "../pmxcfs/support.ts";

test("a file is written with its mode, replaces an older one, and leaves no draft", () => {
  using directory = new TempDirectory();
  const file = directory.at("metrics.prom");
  expect(writeFileAtomically(file, "one\n", 0o644)).toBeUndefined();
  expect(writeFileAtomically(file, "two\n", 0o640)).toBeUndefined();
  expect(readFileSync(file, "utf8")).toBe("two\n");
  expect(statSync(file).mode & 0o777).toBe(0o640);
  expect(readdirSync(directory.path)).toEqual(["metrics.prom"]);
});

test("a link, a device or a directory in its place is not written through or replaced", () => {
  using directory = new TempDirectory();
  const secret = directory.put("secret", "secret\n");
  symlinkSync("secret", directory.at("link"));
  mkdirSync(directory.at("directory"));
  for (const name of ["link", "directory"]) {
    expect(writeFileAtomically(directory.at(name), "x", 0o644)).toContain("is not a regular file");
  }
  expect(writeFileAtomically("/dev/null", "x", 0o644)).toContain("is not a regular file");
  expect(writeFileAtomically(directory.at("none", "file"), "x", 0o644)).toContain("ENOENT");
  expect(readFileSync(secret, "utf8")).toBe("secret\n");
});

test("a component that became a symlink after the path was resolved is not followed", () => {
  using directory = new TempDirectory();
  mkdirSync(directory.at("a/b"), { recursive: true });
  mkdirSync(directory.at("other/b"), { recursive: true });
  const opened = Directory.openExact(directory.at("a/b"));
  if (typeof opened === "number") throw new Error(`errno ${opened}`);
  opened[Symbol.dispose]();
  renameSync(directory.at("a"), directory.at("moved"));
  symlinkSync("other", directory.at("a"));
  expect([Errno.ELOOP, Errno.ENOTDIR] as unknown[]).toContain(
    Directory.openExact(directory.at("a/b")),
  );
});

test("missing directories are made only on request", () => {
  using directory = new TempDirectory();
  expect(openParent(directory.at("x/y/file"))).toContain("ENOENT");
  const parent = openParent(directory.at("x/y/file"), { makeMissing: true });
  if (typeof parent === "string") throw new Error(parent);
  parent[Symbol.dispose]();
  expect(existsSync(directory.at("x/y"))).toBe(true);
  writeFileSync(directory.at("plain"), "");
  expect(openParent(directory.at("plain/z/file"), { makeMissing: true })).toContain("ENOTDIR");
});

test("a name outside of ASCII is used as UTF-8, for files and for missing directories", () => {
  using directory = new TempDirectory();
  // Latin1 would turn the second character into a line feed.
  const name = "ü-Ċ";
  const file = directory.at(name);
  expect(writeFileAtomically(file, "text", 0o644)).toBeUndefined();
  expect(readdirSync(directory.path)).toEqual([name]);
  const place = FilePlace.of(file);
  if (typeof place === "string") throw new Error(place);
  expect(place.remove()).toBeUndefined();
  expect(readdirSync(directory.path)).toEqual([]);
  const parent = openParent(join(file, "x"), { makeMissing: true });
  if (typeof parent === "string") throw new Error(parent);
  parent[Symbol.dispose]();
  expect(readdirSync(directory.path)).toEqual([name]);
});
