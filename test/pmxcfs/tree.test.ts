/** The tree in memory, the counters that follow it, and the tokens read from it. */
import { describe, expect, test } from "bun:test";
import { Memdb, pathOf, type Change } from "../../src/pmxcfs/state/memdb.ts";
import { Tokens } from "../../src/pmxcfs/state/tokens.ts";
import { OBSERVED_PATHS, Versions } from "../../src/pmxcfs/state/versions.ts";
import { fill, golden, textOf } from "./support.ts";

const STAMP = { version: 9, writer: 0, mtime: 9 };

function treeOf(files: Readonly<Record<string, string>>) {
  const memdb = new Memdb();
  fill(memdb, files);
  const changes: string[] = [];
  memdb.subscribe(({ kind, path }: Change) => changes.push(`${kind} ${path}`));
  return { memdb, changes };
}

describe("paths", () => {
  const { memdb } = treeOf({ "a/b/c": "deep", "a/..": "odd", top: "" });

  test.each([
    ["a/b/c", "deep"],
    ["/a//b///c/", "deep"],
    ["top", ""],
    ["a/..", "odd"],
  ])("%s is a file", (path, content) => expect(textOf(memdb.read(path)!)).toBe(content));

  test.each([
    "",
    "/",
    ".",
    "..",
    "a",
    "a/b/",
    "a/b/d",
    "a/b/c/d",
    "a/./b/c",
    "top/../top",
    "A/b/c",
  ])("%j is none", (path) => expect(memdb.read(path)).toBeUndefined());

  test("4 KiB and NUL are nothing special", () => {
    expect(memdb.read("a/".repeat(2048))).toBeUndefined();
    expect(memdb.read("x".repeat(4096))).toBeUndefined();
    expect(memdb.read("top\0")).toBeUndefined();
  });
});

describe("changes", () => {
  test("bytes that were read once stay as they were", () => {
    const { memdb } = treeOf({ a: "one" });
    const before = memdb.read("a")!;
    memdb.write(memdb.find("a")!, Buffer.from("two"), STAMP);
    expect(textOf(before)).toBe("one");
    expect(memdb.fileBytes).toBe(3);
  });

  test("a directory does not move into itself, nor into what is below it", () => {
    const { memdb, changes } = treeOf({ "d/e/a": "one" });
    const directory = memdb.find("d")!;
    for (const target of ["d", "d/e"]) {
      expect(() => memdb.move(directory, memdb.find(target)!, "x", STAMP)).toThrow("into itself");
    }
    expect(changes).toEqual([]);
    expect(textOf(memdb.read("d/e/a")!)).toBe("one");
  });

  test("a move over a file tells of the target once", () => {
    const { memdb, changes } = treeOf({ "d/a": "one", b: "two" });
    memdb.move(memdb.find("d/a")!, memdb.root, "b", STAMP);
    expect(changes).toEqual(["removed d/a", "placed b"]);
    expect(textOf(memdb.read("b")!)).toBe("one");
    expect([memdb.entryCount, memdb.fileBytes]).toEqual([2, 3]);
  });

  test("a moved directory tells of all that is in it", () => {
    const { memdb, changes } = treeOf({ "d/e/a": "one" });
    memdb.move(memdb.find("d")!, memdb.root, "x", STAMP);
    expect(changes).toEqual([
      "removed d/e/a",
      "removed d/e",
      "removed d",
      "placed x",
      "placed x/e",
      "placed x/e/a",
    ]);
  });

  test("a removed directory goes from the bottom", () => {
    const { memdb, changes } = treeOf({ "d/e/a": "one", "d/b": "two" });
    memdb.remove(memdb.find("d")!);
    expect(changes).toEqual(["removed d/e/a", "removed d/e", "removed d/b", "removed d"]);
    expect([memdb.entryCount, memdb.fileBytes]).toEqual([0, 0]);
  });

  test("who unsubscribed hears nothing", () => {
    const { memdb } = treeOf({ a: "" });
    const heard: Change[] = [];
    const stop = memdb.subscribe((change) => heard.push(change));
    stop();
    memdb.remove(memdb.find("a")!);
    expect(heard).toEqual([]);
  });

  test("entries are listed depth first, with their paths", () => {
    const { memdb } = treeOf({ "d/e/a": "one", b: "two" });
    expect([...memdb.entries()].map(pathOf)).toEqual(["d", "d/e", "d/e/a", "b"]);
    expect(pathOf(memdb.root)).toBe("");
  });
});

describe("versions", () => {
  test("the observed paths are the recorded ones, in their order", () => {
    const [vector] = golden("vectors.json") as { c: { text: string } }[];
    const shown = [...(vector?.c.text ?? "").matchAll(/^"([^"]+)": 1,$/gm)].map(([, path]) => path);
    expect(OBSERVED_PATHS.length).toBe(43);
    expect(shown.filter((path) => path !== "vmlist")).toEqual([...OBSERVED_PATHS]);
  });

  test("all start at 1; a change of one moves it and the generation, others nothing", () => {
    const { memdb } = treeOf({ "storage.cfg": "a", other: "b" });
    const versions = new Versions({ memdb, startTime: 7 });
    expect([versions.startTime, versions.clinfo, versions.vmlist]).toEqual([7, 0, 0]);
    expect(versions.observed.map((path) => versions.of(path))).toEqual(Array(43).fill(1));
    memdb.write(memdb.find("other")!, Buffer.from("c"), STAMP);
    expect(versions.generation).toBe(0);
    memdb.write(memdb.find("storage.cfg")!, Buffer.from("c"), STAMP);
    expect([versions.of("storage.cfg"), versions.generation]).toEqual([2, 1]);
    expect(versions.of("other")).toBe(0);
    versions.bumpClinfo();
    versions.bumpVmlist();
    expect([versions.clinfo, versions.vmlist, versions.generation]).toEqual([1, 1, 3]);
  });

  test("a file called nodes is no guest list", () => {
    const { memdb } = treeOf({ nodes: "" });
    expect(new Versions({ memdb }).vmlist).toBe(0);
  });
});

function tokens(content: string): Tokens {
  return new Tokens(treeOf({ "priv/token.cfg": content }).memdb);
}

describe("tokens", () => {
  test.each([
    ["a b\nc d\n", "a b", true],
    ["a b\nc d", "c d", true],
    ["a b\nc d\n", "c", false],
    ["a b\nc d\n", "c d\n", false],
    ["a b\nc d\n", "", false],
    ["a b\n\nc d\n", "", true],
    ["a b\r\n", "a b", false],
    ["a b \n", "a b", false],
    ["A b\n", "a b", false],
  ])("%j has %j: %p", (content, line, has) => expect(tokens(content).has(line)).toBe(has));

  test("no file, no tokens; a new file counts at once", () => {
    const { memdb } = treeOf({ "priv/x": "" });
    const one = new Tokens(memdb);
    expect(one.has("a b")).toBe(false);
    const name = "token.cfg";
    const bytes = Buffer.from("a b\n");
    memdb.add(memdb.find("priv")!, { inode: 50, kind: "file", name, bytes, ...STAMP });
    expect(one.has("a b")).toBe(true);
    memdb.write(memdb.find("priv/token.cfg")!, Buffer.from("c d\n"), STAMP);
    expect([one.has("a b"), one.has("c d")]).toEqual([false, true]);
    memdb.remove(memdb.find("priv/token.cfg")!);
    expect(one.has("c d")).toBe(false);
  });
});
