/** inotify, read on demand. */
import { expect, test } from "bun:test";
import { mkdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { Errno } from "../../src/base/errno.ts";
import { Inotify, Watch } from "../../src/platform/inotify.ts";
import { TempDirectory } from "../pmxcfs/support.ts";

function opened(): Inotify {
  const inotify = Inotify.open();
  if (inotify === undefined) throw new Error("no inotify instance to be had");
  return inotify;
}

/** The masks of all events so far, by name. */
function drained(inotify: Inotify): Map<string, number> {
  const masks = new Map<string, number>();
  inotify.drain((_, mask, name) => masks.set(name, (masks.get(name) ?? 0) | mask));
  return masks;
}

test("an event is returned by the next drain, and only by that one", () => {
  using directory = new TempDirectory();
  using inotify = opened();
  expect(inotify.watch(directory.path)).toBeGreaterThanOrEqual(0);
  expect(inotify.drain(() => {})).toBe(false);
  writeFileSync(directory.at("a"), "x");
  expect(drained(inotify).get("a")).toBe(Watch.CREATE | Watch.MODIFY | Watch.CLOSE_WRITE);
  renameSync(directory.at("a"), directory.at("b"));
  expect(drained(inotify)).toEqual(
    new Map([
      ["a", Watch.MOVED_FROM],
      ["b", Watch.MOVED_TO],
    ]),
  );
  unlinkSync(directory.at("b"));
  expect(drained(inotify)).toEqual(new Map([["b", Watch.DELETE]]));
  expect(inotify.drain(() => {})).toBe(false);
});

test("names may have any bytes and any length", () => {
  using directory = new TempDirectory();
  using inotify = opened();
  inotify.watch(directory.path);
  const long = "n".repeat(255);
  const odd = Buffer.concat([Buffer.from(directory.at("")), Buffer.from([47, 0xe9, 0xff])]);
  writeFileSync(directory.at(long), "");
  writeFileSync(odd, "");
  expect([...drained(inotify).keys()]).toEqual([long, "\xe9\xff"]);
});

test("more events than fit in one read are all returned", () => {
  using directory = new TempDirectory();
  using inotify = opened();
  inotify.watch(directory.path);
  const names = Array.from({ length: 1000 }, (_, index) => `${index}`.padStart(200, "x"));
  for (const name of names) writeFileSync(directory.at(name), "");
  expect([...drained(inotify).keys()]).toEqual(names);
});

test("a directory has one watch number; the end of a watch is reported; errors are errnos", () => {
  using directory = new TempDirectory();
  using inotify = opened();
  mkdirSync(directory.at("d"));
  const watch = inotify.watch(directory.at("d"));
  expect(inotify.watch(directory.at("d"))).toBe(watch);
  rmSync(directory.at("d"), { recursive: true });
  expect((drained(inotify).get("") ?? 0) & Watch.IGNORED).toBe(Watch.IGNORED);
  expect(inotify.watch(directory.at("d"))).toBe(Errno.ENOENT);
  expect(inotify.watch(directory.put("file"))).toBe(Errno.ENOTDIR);
});
