/** Reading somebody else's directory: no step through a symlink, no open of what is no file. */
import { expect, test } from "bun:test";
import { closeSync, readdirSync, symlinkSync } from "node:fs";
import {
  listDirectory,
  openRoot,
  readFileIn,
  withDirectory,
} from "../../src/pmxcfs/store/file-walk.ts";
import { TempDirectory, textOf } from "./support.ts";

function withRoot(directory: TempDirectory, use: (root: number) => void): void {
  const root = openRoot(directory.path);
  try {
    use(root);
  } finally {
    closeSync(root);
  }
}

test("a symlink is neither walked through nor read, wherever it leads", () => {
  using directory = new TempDirectory();
  directory.put("real/file", "content");
  symlinkSync("real", directory.at("link"));
  symlinkSync("file", directory.at("real", "alias"));
  withRoot(directory, (root) => {
    expect(() => withDirectory(root, ["link"], () => 1)).toThrow(/ENOTDIR|ELOOP/);
    expect(() => withDirectory(root, ["real", "..", "link"], () => 1)).toThrow(/ENOTDIR|ELOOP/);
    withDirectory(root, ["real"], (real) => {
      expect(() => readFileIn(real, "alias", 100)).toThrow("ELOOP");
      expect(textOf(readFileIn(real, "file", 100)?.bytes ?? 0)).toBe("content");
      expect(listDirectory(real).toSorted((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
        { name: "alias", kind: "symlink" },
        { name: "file", kind: "file" },
      ]);
    });
  });
});

test("a FIFO that took a file's place does not block, and is no file", () => {
  using directory = new TempDirectory();
  Bun.spawnSync(["mkfifo", directory.at("fifo")]);
  withRoot(directory, (root) => expect(readFileIn(root, "fifo", 100)).toBeUndefined());
});

test("the limit: to the byte", () => {
  using directory = new TempDirectory();
  directory.put("file", "12345");
  withRoot(directory, (root) => {
    expect(readFileIn(root, "file", 5)?.bytes?.length).toBe(5);
    expect(readFileIn(root, "file", 4)).toMatchObject({ bytes: undefined, stamp: { size: 5 } });
  });
});

test("a file whose size says 0 and that has content is read to its end", () => {
  const root = openRoot("/proc/self");
  try {
    const read = readFileIn(root, "status", 1 << 20);
    expect(read?.stamp.size).toBe(0);
    expect(textOf(read?.bytes ?? 0)).toMatch(/^Name:/);
    expect(readFileIn(root, "status", 10)?.bytes).toBeUndefined();
  } finally {
    closeSync(root);
  }
});

test("no descriptor stays open, whatever is thrown", () => {
  using directory = new TempDirectory();
  directory.put("a/b/c", "");
  withRoot(directory, (root) => {
    const before = readdirSync("/proc/self/fd").length;
    const fail = (): void =>
      withDirectory(root, ["a", "b"], () => {
        throw new Error("inside");
      });
    expect(fail).toThrow("inside");
    expect(() => withDirectory(root, ["a", "missing"], () => 1)).toThrow("ENOENT");
    expect(readdirSync("/proc/self/fd").length).toBe(before);
  });
});
