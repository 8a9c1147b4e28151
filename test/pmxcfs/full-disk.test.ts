/** A config.db on a full file system, and on a read-only one; needs root, uses a tmpfs. */
import { expect, test } from "bun:test";
import { copyFileSync, readdirSync, rmSync, truncateSync } from "node:fs";
import { Errno } from "../../src/base/errno.ts";
import { silentLog } from "../../src/base/log.ts";
import { salvage } from "../../src/pmxcfs/rescue/salvage.ts";
import { openTree } from "../../src/pmxcfs/store/open-tree.ts";
import { compactFile } from "../../src/pmxcfs/store/upkeep.ts";
import { testUnless } from "../support/unless.ts";
import { crash } from "./batched-tree.ts";
import { rememberingLog, TempDirectory } from "./support.ts";

const CHILD = new URL("./servers/full-disk.ts", import.meta.url).pathname;
const noRoot = process.getuid?.() === 0 ? undefined : "needs root, for a mount namespace";

interface Outcome {
  readonly answers: Readonly<Record<string, number>>;
  readonly names: readonly (readonly [string, number])[];
  readonly lines: readonly string[];
}

function run(mode: string): Outcome {
  using directory = new TempDirectory();
  const script = 'mount -t tmpfs -o size=400k tmpfs "$1" && exec "$2" "$3" "$1" "$4"';
  const words = [directory.path, process.execPath, CHILD, mode];
  const { stdout, stderr } = Bun.spawnSync(
    ["unshare", "--mount", "sh", "-c", script, "full-disk", ...words],
    { stderr: "pipe" },
  );
  expect(stderr.toString()).toBe("");
  return JSON.parse(stdout.toString()) as Outcome;
}

for (const mode of ["each", "batched"]) {
  testUnless(noRoot)(`changes are EIO only while the disk is full or read-only (${mode})`, () => {
    const { answers, names, lines } = run(mode);
    expect(answers["empty"]).toBe(20_000);
    expect([answers["full"], answers["full again"]]).toEqual([Errno.EIO, Errno.EIO]);
    expect(answers["room"]).toBe(20_000);
    // Answered changes are there, refused ones are not.
    const sizes = new Map(names);
    expect([sizes.get("empty"), sizes.get("room")]).toEqual([20_000, 20_000]);
    // A create may still fit where the write after it does not.
    for (const name of ["full", "full2"]) expect([undefined, 0]).toContain(sizes.get(name));
    if (mode === "batched") return;
    expect(lines.filter((line) => line.includes("was not written")).length).toBe(1);
    expect(answers["read-only start refused"]).toBe(1);
  });
}

test("a copy that does not fit, before a sync or of a replaced file, leaves no part of it", () => {
  using directory = new TempDirectory();
  const file = directory.at("config.db");
  {
    const tree = openTree({ file, log: silentLog });
    if (typeof tree === "string") throw new Error(tree);
    using opened = tree;
    const origin = { writer: 0, time: 1000 };
    const data = Buffer.alloc(1_000_000, 65);
    for (const path of ["a", "b", "c"]) {
      opened.apply({ kind: "create", path }, origin);
      opened.apply({ kind: "write", path, offset: 0, data }, origin);
    }
  }
  copyFileSync(file, directory.at("other.db"));
  const child = new URL("./servers/small-files.ts", import.meta.url).pathname;
  const script = "trap '' XFSZ; ulimit -f 2048; exec \"$@\"";
  const words = ["sh", "-c", script, "sh", process.execPath, child, directory.path];
  const { stdout } = Bun.spawnSync(words, { stderr: "inherit" });
  const { copy, copies, names, lines } = JSON.parse(stdout.toString()) as Record<string, string[]>;
  expect(copy).toHaveProperty("problem");
  expect(copies).toEqual([]);
  // Second names of the files themselves, which take no room.
  expect(names?.filter((name) => name.includes("replaced")).toSorted()).toEqual([
    expect.stringMatching(/replaced-\w+$/),
    expect.stringMatching(/replaced-\w+-wal$/),
  ]);
  expect(lines).toEqual([
    expect.stringContaining("could not be kept as"),
    expect.stringContaining("what is served is kept as"),
  ]);
}, 60_000);

test.each([
  ["has 0 bytes", (file: string) => truncateSync(file)],
  ["is missing", (file: string) => rmSync(file)],
] as const)("the -wal of a config.db that %s is kept at a start", (_what, damage) => {
  using directory = new TempDirectory();
  using copies = new TempDirectory();
  const tree = openTree({ file: directory.at("config.db"), log: silentLog });
  if (typeof tree === "string") throw new Error(tree);
  using opened = tree;
  opened.apply({ kind: "mkdir", path: "only in the log" }, { writer: 0, time: 1000 });
  const file = crash(directory.at("config.db"), copies);
  // As a C server leaves it (served-names.ts).
  for (const name of [`${file}.served`, `${file}.served-wal`]) rmSync(name);
  damage(file);
  expect(compactFile(file)).toMatch(/^(?:it is empty|no such file)$/);
  const log = rememberingLog();
  for (const _start of [1, 2]) {
    const again = openTree({ file, log });
    if (typeof again === "string") throw new Error(again);
    expect([...again.entries()]).toEqual([]);
    again[Symbol.dispose]();
  }
  const kept = readdirSync(copies.path).find((name) => /\.empty-\w+$/.test(name)) ?? "";
  expect(log.lines).toEqual([expect.stringContaining(`--db ${copies.at(kept)} DIR`)]);
  expect(salvage(copies.at(kept)).items.map(({ name }) => name)).toEqual(["only in the log"]);
});
