/**
 * Every odd database, in every command that only reads: nothing is changed, created or removed,
 * and the verdict is what the C server did with it (recorded from pmxcfs 9.1.6 on the same files,
 * odd-databases.json of test/golden).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../../src/base/log.ts";
import { exportTree } from "../../src/pmxcfs/rescue/export.ts";
import { salvage } from "../../src/pmxcfs/rescue/salvage.ts";
import { verifyDatabase } from "../../src/pmxcfs/rescue/verify.ts";
import { compareDatabases } from "../../src/pmxcfs/rescue/compare.ts";
import { pathOf } from "../../src/pmxcfs/state/memdb.ts";
import { backupDatabase } from "../../src/pmxcfs/rescue/backup.ts";
import { openTree } from "../../src/pmxcfs/store/open-tree.ts";
import { openBackend } from "../../src/pmxcfs/store/open.ts";
import { ODD_DATABASES, type OddDatabase } from "./odd-databases.ts";
import { golden, rememberingLog } from "./support.ts";
import { rowsOf } from "./tree-rows-of.ts";

/** A file in the C server's mount: bytes, beginning of the SHA-256, mtime. */
type SeenFile = readonly [bytes: number, digest: string, mtime: number];

/** What the C server did with a database. */
interface Recorded {
  readonly loads: boolean;
  /** The first log line with the reason, without the lines that end every failed start. */
  readonly says?: string;
  /** The tree in its mount; not recorded for large trees. */
  readonly tree?: Readonly<Record<string, SeenFile | "dir">>;
  readonly entries?: number;
}

const RECORDED = golden("odd-databases.json") as Readonly<Record<string, Recorded>>;

/** Everything about a directory and its content that reading could change. */
function stateOf(directory: string): Record<string, string> {
  const state: Record<string, string> = {};
  for (const name of [".", ...readdirSync(directory).toSorted()]) {
    const path = join(directory, name);
    const stats = lstatSync(path, { bigint: true });
    const { ino, size, mode, mtimeNs, ctimeNs, nlink } = stats;
    const content = stats.isFile()
      ? createHash("sha256").update(readFileSync(path)).digest("hex")
      : stats.isSymbolicLink()
        ? readlinkSync(path)
        : "";
    state[name] = [ino, size, mode, mtimeNs, ctimeNs, nlink, content].join(" ");
  }
  return state;
}

/** The tree of `serve --db`, in the format of the recording of the C server's. */
function servedTree(file: string): Record<string, SeenFile | "dir"> | string {
  const backend = openBackend({ db: file, nodeName: "pve1", log: silentLog });
  if (typeof backend === "string") return backend;
  using opened = backend;
  opened.refresh();
  const tree: Record<string, SeenFile | "dir"> = {};
  // The recording has no large trees, and paths of thousands of nested directories are slow.
  if (opened.memdb.entryCount > 20_000) return tree;
  for (const entry of opened.memdb.entries()) {
    const { bytes, mtime, kind } = entry;
    const digest = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
    const path = pathOf(entry);
    tree[kind === "directory" ? `${path}/` : path] =
      kind === "directory" ? "dir" : [bytes.length, digest, mtime];
  }
  return tree;
}

const servedTrees = new Map<string, ReturnType<typeof servedTree>>();

/** The same, read once for each database. */
function served({ name }: OddDatabase): ReturnType<typeof servedTree> {
  const tree = servedTrees.get(name) ?? servedTree(fileOf(name));
  servedTrees.set(name, tree);
  return tree;
}

/** The recording has no entries of these names: the mount's generated files hide them. */
function withoutSpecial<T>(tree: Readonly<Record<string, T>>): Record<string, T> {
  const hidden = /^(?:\.clusterlog|\.debug|\.members|\.rrd|\.version|\.vmlist|local)\/?$/;
  return Object.fromEntries(Object.entries(tree).filter(([path]) => !hidden.test(path)));
}

/** In memory if possible: a disk takes a minute to remove 30,000 directories. */
let place: string;
const at = (...names: readonly string[]): string => join(place, ...names);
const fileOf = (name: string): string => at("odd", name, "config.db");

beforeAll(() => {
  place = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "pmxcfs-odd-"));
  for (const { name, make } of ODD_DATABASES) {
    mkdirSync(at("odd", name), { recursive: true });
    make(at("odd", name));
  }
});
// rmSync is slow for deeply nested directories.
afterAll(() => void Bun.spawnSync(["rm", "-rf", place]));

test("at least 80 odd databases have distinct names", () => {
  expect(new Set(ODD_DATABASES.map(({ name }) => name)).size).toBe(ODD_DATABASES.length);
  expect(ODD_DATABASES.length).toBeGreaterThan(140);
  const asked = ODD_DATABASES.filter(({ oursOnly }) => oursOnly !== true);
  expect(asked.map(({ name }) => name).toSorted()).toEqual(Object.keys(RECORDED).toSorted());
});

/** Every command that only reads, by the function that does its work. */
const READERS: Readonly<Record<string, (file: string, odd: OddDatabase) => unknown>> = {
  verify: (file) => verifyDatabase(file),
  "ls and cat": (file) => salvage(file),
  export: (file, odd) => exportTree(salvage(file).items, at("exported", odd.name)),
  diff: (file) => compareDatabases(file, file, { times: true }),
  "serve --db": (_, odd) => served(odd),
};

test("no command that reads changes, makes or removes anything", () => {
  const changed: string[] = [];
  for (const odd of ODD_DATABASES) {
    for (const [name, read] of Object.entries(READERS)) {
      const before = stateOf(at("odd", odd.name));
      read(fileOf(odd.name), odd);
      if (!Bun.deepEquals(stateOf(at("odd", odd.name)), before))
        changed.push(`${odd.name}: ${name}`);
    }
  }
  expect(changed).toEqual([]);
});

/** C starts with these and shows an empty /etc/pve, which we report as a problem. */
const STARTS_EMPTY = /empty \/etc\/pve/;

describe("the verdict is the C server's", () => {
  test("problems are its refusals, in its words; everything else is a note", () => {
    const wrong: string[] = [];
    for (const odd of ODD_DATABASES) {
      const recorded = RECORDED[odd.name];
      if (recorded === undefined || /^(?:dump|database-gz)/.test(odd.name)) continue;
      const [problem] = verifyDatabase(fileOf(odd.name)).problems;
      if (recorded.loads) {
        const isEmpty = Object.keys(recorded.tree ?? { some: 1 }).length === 0;
        const isRight = problem === undefined || (isEmpty && STARTS_EMPTY.test(problem.text));
        if (!isRight) wrong.push(`${odd.name}: loads, but ${problem?.text}`);
      } else if (problem === undefined || !problem.text.endsWith(recorded.says ?? "?")) {
        wrong.push(`${odd.name}: ${recorded.says} <> ${problem?.text}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test("a database that it loads is served, with the same bytes and times", () => {
    for (const odd of ODD_DATABASES) {
      const recorded = RECORDED[odd.name];
      if (recorded?.loads !== true || odd.name === "zero-bytes-with-wal") continue;
      const tree = served(odd);
      if (typeof tree === "string") throw new Error(`${odd.name}: ${tree}`);
      if (recorded.entries !== undefined) {
        expect([odd.name, Object.keys(tree).length]).toEqual([odd.name, recorded.entries]);
      }
      if (recorded.tree === undefined) continue;
      expect([odd.name, withoutSpecial(tree)]).toEqual([odd.name, recorded.tree]);
    }
  });

  test("one that it refuses is refused, except for a file as a guest directory", () => {
    const shown = ODD_DATABASES.filter((odd) => {
      return RECORDED[odd.name]?.loads === false && typeof served(odd) !== "string";
    });
    expect(shown.map(({ name }) => name)).toEqual(["qemu-server-a-file"]);
  });
});

/** Contents of the seven files of the plain database. */
function rescuedFiles(name: string): number {
  const target = at("plain-files", name);
  exportTree(salvage(fileOf(name)).items, target);
  const plain = at("plain-files", "plain");
  const wanted = new Set<string>();
  const have = new Set<string>();
  for (const [top, into] of [
    [plain, wanted],
    [target, have],
  ] as const) {
    for (const path of new Bun.Glob("**/*").scanSync({ cwd: top, dot: true })) {
      into.add(readFileSync(join(top, path), "base64"));
    }
  }
  return [...wanted].filter((content) => have.has(content)).length;
}

/** The output of `config ls`. */
function paths(name: string): string[] {
  return salvage(fileOf(name)).items.map((item) => item.path.join("/"));
}

describe("everything that can be read is exported", () => {
  test.each([
    ["plain", 7],
    ["zero-bytes-with-wal", 7],
    ["text-columns", 7],
    ["real-columns", 7],
    ["null-parents", 7],
    ["utf16le", 7],
    ["utf16be", 7],
    ["page-size-512-said", 7],
    ["page-size-zero-said", 7],
    ["cell-pointer-wild", 6],
    ["overflow-chain-broken", 7],
    ["hot-journal", 7],
    ["dump", 7],
    ["dump-gz", 7],
    ["database-gz", 7],
    ["wal-in-rollback-mode", 7],
    ["wal-of-another-file", 7],
    ["duplicate-directory", 7],
    ["many-faults", 7],
    ["circle-of-a-node", 7],
    ["tree-is-a-view", 7],
    ["symlink", 7],
  ])("%s: %d files", (name, files) => {
    rescuedFiles("plain");
    expect(rescuedFiles(name)).toBeGreaterThanOrEqual(files);
  });

  test("two directories of one name become one, and that is reported", () => {
    const { items, moved } = salvage(fileOf("duplicate-directory"));
    const found = items.map((item) => item.path.join("/"));
    for (const guest of ["100", "101", "110"]) {
      expect(found).toContain(`nodes/pve1/qemu-server/${guest}.conf`);
    }
    expect(moved.join()).toContain("two directories are called nodes/pve1/qemu-server");
  });

  test("a file that only a -wal has, committed or not", () => {
    expect(paths("wal")).toContain("new.cfg");
    expect(paths("wal-and-damaged-page")).toContain("new.cfg");
    expect(paths("damaged-page-and-wal-without-a-valid-frame")).toContain("new.cfg");
  });
});

/** The line about the -wal. */
function walNote(name: string): string {
  const { notes } = verifyDatabase(fileOf(name));
  return notes.find((each) => each.includes("config.db-wal: ")) ?? "";
}

describe("a -wal is mentioned", () => {
  test.each([
    ["wal", "2 frames, 2 valid, 2 committed, last written 20", "it belongs to this file"],
    ["wal-torn", "1 frame, 1 valid, 1 committed", "it belongs to this file"],
    ["wal-uncommitted", "2 frames, 0 valid, 0 committed", "nothing in it counts"],
    ["wal-of-another-file", "1 valid, 1 committed", "it was written for another database"],
    ["wal-of-an-older-state", "2 valid, 2 committed", "it is older than the file"],
    ["wal-of-noise", "0 valid, 0 committed (it has no WAL header)", "nothing in it counts"],
    ["wal-of-zero-bytes", "0 bytes, 0 frames", "nothing in it counts"],
    ["wal-header-alone", "32 bytes, 0 frames", "nothing in it counts"],
    ["wal-is-a-directory", "it is a directory", ""],
    ["zero-bytes-with-wal", "15 frames, 15 valid, 15 committed", "it belongs to this file"],
  ])("%s: %s", (name, frames, whose) => {
    expect(walNote(name)).toContain(frames);
    expect(walNote(name)).toContain(whose);
  });
});

test("an empty file with a -wal: the -wal is served, and a warning says what not to do", () => {
  const log = rememberingLog();
  const file = fileOf("zero-bytes-with-wal");
  const backend = openBackend({ db: file, nodeName: "pve1", log });
  if (typeof backend === "string") throw new Error(backend);
  using opened = backend;
  expect(opened.memdb.entryCount).toBe(12);
  expect(log.lines.join()).toContain("pmxcfs must not be started");
});

/** Databases that are refused for writing only: REPLACE adds a row, or a name gets other bytes. */
const UNWRITABLE = {
  utf16le: "UTF-16le",
  utf16be: "UTF-16be",
  "utf16-text-as-data": "UTF-16le",
  "inode-no-key": "no key",
  "large-inode": "2^53",
  "large-inodes-that-a-double-confuses": "2^53",
  "large-version": "2^53",
} as const;

describe("a server that writes", () => {
  const loaded = ODD_DATABASES.filter(({ name }) => RECORDED[name]?.tree !== undefined);

  test.each(loaded)("$name: the tree of C, and what is written is there later", (odd) => {
    mkdirSync(at("written", odd.name), { recursive: true });
    odd.make(at("written", odd.name));
    const file = at("written", odd.name, "config.db");
    const tree = openTree({ file, log: silentLog });
    if (typeof tree === "string") {
      expect(tree).toContain(UNWRITABLE[odd.name as keyof typeof UNWRITABLE] ?? "nothing");
      // No copy has other numbers than the original.
      if (!tree.includes("2^53")) expect(tree).toContain("config backup");
      return;
    }
    const origin = { writer: 0, time: 77 };
    expect(tree.apply({ kind: "mkdir", path: "new" }, origin)).toBe(0);
    const data = Buffer.from("new");
    for (const entry of tree.entries()) {
      const path = pathOf(entry);
      if (entry.kind === "directory" || RECORDED[odd.name]?.tree?.[path] === undefined) continue;
      expect(tree.apply({ kind: "write", path, offset: 0, data }, origin)).toBe(3);
    }
    const written = rowsOf(tree);
    tree[Symbol.dispose]();
    const again = openTree({ file, log: silentLog });
    if (typeof again === "string") throw new Error(again);
    using opened = again;
    expect(rowsOf(opened)).toEqual(written);
  });

  test("of a refused one, the copy by `config backup` is written", () => {
    const target = at("copy.db");
    const made = backupDatabase({ database: fileOf("utf16le"), target, keep: undefined });
    expect(made).toMatchObject({ file: target });
    const tree = openTree({ file: target, log: silentLog });
    if (typeof tree === "string") throw new Error(tree);
    using opened = tree;
    expect(rowsOf(opened).length).toBe(salvage(fileOf("plain")).items.length);
  });
});

test("entries that are not served are logged in one line", () => {
  const log = rememberingLog();
  const file = fileOf("circle");
  const backend = openBackend({ db: file, nodeName: "pve1", log });
  if (typeof backend === "string") throw new Error(backend);
  backend[Symbol.dispose]();
  expect(log.lines).toHaveLength(1);
  expect(log.lines[0]).toContain("; a: it lies below a directory that is within itself: no path");
});

test("30,000 nested directories cost linear time and bounded memory in every command", () => {
  const odd = ODD_DATABASES.find(({ name }) => name === "nested-30000");
  if (odd === undefined) throw new Error("nested-30000 is missing");
  const before = process.memoryUsage().rss;
  for (const [name, read] of Object.entries(READERS)) {
    // They were written above; only reading is measured.
    if (name === "export") continue;
    const started = performance.now();
    servedTrees.delete(odd.name);
    read(fileOf(odd.name), odd);
    // 0.5 s on a machine of 2020; a quadratic walk takes minutes.
    expect([name, performance.now() - started < 10_000]).toEqual([name, true]);
  }
  expect(process.memoryUsage().rss - before).toBeLessThan(300 * 1024 * 1024);
  const { items } = salvage(fileOf(odd.name));
  expect(items.filter(({ kind }) => kind === "file")).toHaveLength(1);
  expect(Math.max(...items.map(({ level }) => level))).toBeLessThan(140);
});
