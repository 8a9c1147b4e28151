/** Reading a directory of another user: no symlink is followed, only files are opened. */
import { expect, test } from "bun:test";
import { closeSync, readdirSync, symlinkSync } from "node:fs";
import {
  listDirectory,
  openBelow,
  openRoot,
  readFileIn,
  type Listing,
} from "../../src/pmxcfs/store/file-walk.ts";
import { TempDirectory, textOf } from "./support.ts";

function withRoot(directory: TempDirectory, use: (root: number) => void): void {
  const { fd } = openRoot(directory.path);
  try {
    use(fd);
  } finally {
    closeSync(fd);
  }
}

function withDirectory(root: number, names: readonly string[], use: (fd: number) => void): void {
  const fd = openBelow(root, names);
  try {
    use(fd);
  } finally {
    closeSync(fd);
  }
}

/** The whole listing, without pauses. */
function listed(directory: number, most = 1000): Listing {
  const steps = listDirectory(directory, most);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

test("a symlink is neither followed nor read, wherever it leads", () => {
  using directory = new TempDirectory();
  directory.put("real/file", "content");
  symlinkSync("real", directory.at("link"));
  symlinkSync("file", directory.at("real", "alias"));
  withRoot(directory, (root) => {
    expect(() => openBelow(root, ["link"])).toThrow(/ENOTDIR|ELOOP/);
    expect(() => openBelow(root, ["real", "..", "link"])).toThrow(/ENOTDIR|ELOOP/);
    expect(() => openBelow(root, [".."])).toThrow("EXDEV");
    withDirectory(root, ["real"], (real) => {
      expect(() => readFileIn(real, "alias", 100)).toThrow("ELOOP");
      expect(textOf(readFileIn(real, "file", 100)?.bytes ?? 0)).toBe("content");
      expect(listed(real).listed.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
        { name: "alias", kind: "symlink" },
        { name: "file", kind: "file" },
      ]);
    });
  });
});

test("a FIFO in a file's place does not block, and is no file", () => {
  using directory = new TempDirectory();
  Bun.spawnSync(["mkfifo", directory.at("fifo")]);
  withRoot(directory, (root) => expect(readFileIn(root, "fifo", 100)).toBeUndefined());
});

test("a file of exactly the limit is read, one byte more is not", () => {
  using directory = new TempDirectory();
  directory.put("file", "12345");
  withRoot(directory, (root) => {
    expect(readFileIn(root, "file", 5)?.bytes?.length).toBe(5);
    expect(readFileIn(root, "file", 4)).toMatchObject({ bytes: undefined, stamp: { size: 5 } });
  });
});

test("a file with size 0 in stat that has content is read to its end", () => {
  const { fd: root } = openRoot("/proc/self");
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
    expect(() => openBelow(root, ["a", "missing"])).toThrow("ENOENT");
    expect(readdirSync("/proc/self/fd").length).toBe(before);
  });
});

test("a listing stops at the limit, and the next one begins at the start", () => {
  using directory = new TempDirectory();
  for (let at = 0; at < 500; at++) directory.put(`file-with-a-rather-long-name-${at}`);
  withRoot(directory, (root) => {
    expect(listed(root, 100)).toMatchObject({ isWhole: false });
    expect(listed(root, 100).listed).toHaveLength(100);
    const all = listed(root);
    expect(all.isWhole).toBe(true);
    expect(new Set(all.listed.map(({ name }) => name)).size).toBe(500);
  });
});
