/** config rename-node and config diff: all guests stay, and a crash leaves nothing half done. */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { silentLog } from "../../src/base/log.ts";
import { compareDatabases } from "../../src/pmxcfs/rescue/compare.ts";
import { renameMountedNode } from "../../src/pmxcfs/rescue/rename-mounted-node.ts";
import { renameNode } from "../../src/pmxcfs/rescue/rename-node.ts";
import { salvage } from "../../src/pmxcfs/rescue/salvage.ts";
import { verifyDatabase } from "../../src/pmxcfs/rescue/verify.ts";
import { openTree } from "../../src/pmxcfs/store/open-tree.ts";
import type { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";
import { item, makeDb, TempDirectory, Writer } from "./support.ts";

const paths = (file: string): string[] => salvage(file).items.map(({ path }) => path.join("/"));
const GUESTS = [
  item("nodes/pve1/lxc/200.conf", "hostname: a\n"),
  item("nodes/pve1/priv"),
  item("nodes/pve1/priv/lock", "x"),
];

/** The tree as a server opens it; a journal is replayed. */
function started(file: string, commit: "each" | "batched"): TreeStore {
  const tree = openTree({ file, log: silentLog, commit });
  if (typeof tree === "string") throw new Error(tree);
  return tree;
}

describe("renameNode", () => {
  test("to a free name: one row gets the new name, every guest is there once", () => {
    using directory = new TempDirectory();
    const more = [...GUESTS, item("jobs.cfg", "vzdump: a\n\tnode pve1\n\tother pve11 pve1x\n")];
    const file = makeDb(directory, more);
    const before = verifyDatabase(file);
    const renamed = renameNode(file, "pve1", "new");
    if (typeof renamed === "string") throw new Error(renamed);
    expect(renamed).toMatchObject({ entries: 7, guests: 2 });
    expect(renamed.mentions).toContain("jobs.cfg line 2: node pve1");
    expect(renamed.mentions.filter((line) => line.startsWith("jobs.cfg"))).toHaveLength(1);
    const after = verifyDatabase(file);
    expect(after.problems).toEqual([]);
    expect(after.nodes).toEqual(["new", "pve2"]);
    expect([after.files, after.bytes]).toEqual([before.files, before.bytes]);
    expect(after.version).toBe(before.version + 1);
    expect(paths(file)).toContain("nodes/new/qemu-server/100.conf");
    expect(verifyDatabase(renamed.kept ?? "").nodes).toEqual(["pve1", "pve2"]);
    expect(renameNode(file, "pve1", "new")).toMatchObject({ entries: 0, kept: undefined });
  });

  test("onto an existing node: the entries move into it, the empty directories are removed", () => {
    using directory = new TempDirectory();
    const file = makeDb(directory, GUESTS);
    expect(renameNode(file, "pve1", "pve2")).toMatchObject({ guests: 2 });
    expect(verifyDatabase(file)).toMatchObject({ problems: [], nodes: ["pve2"] });
    const found = paths(file).filter((path) => path.startsWith("nodes/"));
    expect(found.toSorted()).toEqual([
      "nodes/pve2",
      "nodes/pve2/lxc",
      "nodes/pve2/lxc/200.conf",
      "nodes/pve2/priv",
      "nodes/pve2/priv/lock",
      "nodes/pve2/qemu-server",
      "nodes/pve2/qemu-server/100.conf",
    ]);
  });

  test("a file in both, a bad name, an invalid database, an open one: nothing changes", () => {
    using directory = new TempDirectory();
    const both = [item("nodes/pve1/a.cfg", "1"), item("nodes/pve2/a.cfg", "2")];
    const file = makeDb(directory, both);
    const before = readFileSync(file);
    expect(renameNode(file, "pve1", "pve2")).toContain("nodes/pve1/a.cfg and nodes/pve2/a.cfg");
    expect(renameNode(file, "pve1", "a/b")).toContain("cannot be a node's name");
    expect(renameNode(file, "gone", "lost")).toBe("there is no nodes/gone");
    expect(renameNode(directory.at("none.db"), "a", "b")).toContain("it is not sound: no such");
    expect(readFileSync(file).equals(before)).toBe(true);
    using writer = new Writer(file);
    writer.database.run("BEGIN IMMEDIATE");
    expect(renameNode(file, "pve1", "new")).toContain("stop pve-cluster first");
    writer.database.run("ROLLBACK");
  });

  test("a copy that does not fit on the disk leaves no part of it, and nothing changes", () => {
    using directory = new TempDirectory();
    const file = makeDb(directory, [...GUESTS, item("large", "x".repeat(200_000))]);
    const before = readFileSync(file);
    const main = join(import.meta.dir, "../../src/main.ts");
    const shell = ["sh", "-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"];
    const words = ["config", "rename-node", "--db", file, "pve1", "new"];
    const { exitCode, stderr } = Bun.spawnSync([...shell, process.execPath, main, ...words]);
    expect([exitCode, stderr.toString()]).toEqual([1, expect.stringContaining("EFBIG")]);
    expect(readdirSync(directory.path).toSorted()).toEqual([".pmxcfs.lockfile", "config.db"]);
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  test("changes that wait in the journal of a killed server are not lost: it is refused", () => {
    using directory = new TempDirectory();
    using copies = new TempDirectory();
    const served = directory.at("config.db");
    using opened = started(served, "batched");
    const origin = { writer: 0, time: 1000 };
    for (const path of ["nodes", "nodes/pve1"]) opened.apply({ kind: "mkdir", path }, origin);
    opened.storage.flush();
    opened.apply({ kind: "create", path: "answered" }, origin);
    // By another process: opening the database here besides SQLite would drop its locks.
    Bun.spawnSync(["sh", "-c", `cp ${served}* ${copies.path}; rm ${copies.path}/*-shm`]);
    const file = copies.at("config.db");
    expect(renameNode(file, "pve1", "new")).toContain("run `pmxcfs-ipc config flush` first");
    expect(paths(file)).toEqual(["nodes", "nodes/pve1", "answered"]);
    started(file, "each")[Symbol.dispose]();
    expect(renameNode(file, "pve1", "new")).toMatchObject({ entries: 1 });
    expect(paths(file)).toEqual(["nodes", "nodes/new", "answered"]);
  });

  test("killed at any moment: the old or new name is left, a second run completes", async () => {
    using directory = new TempDirectory();
    const source = makeDb(directory, GUESTS);
    const before = verifyDatabase(source);
    const module = join(import.meta.dir, "../../src/pmxcfs/rescue/rename-node.ts");
    const code = `import { renameNode } from ${JSON.stringify(module)};
      process.stdout.write("ready\\n");
      renameNode(process.argv[1], "pve1", "new");`;
    for (let round = 0; round < 6; round++) {
      const file = directory.at(`round${round}.db`);
      copyFileSync(source, file);
      const child = Bun.spawn([process.execPath, "-e", code, file], { stdout: "pipe" });
      for await (const _ of child.stdout) break;
      // A little later each time. Spins, because a sleep is too coarse.
      const until = performance.now() + round * 1.5;
      while (performance.now() < until);
      child.kill("SIGKILL");
      await child.exited;
      const { nodes, problems } = verifyDatabase(file);
      expect(problems).toEqual([]);
      expect([
        ["pve1", "pve2"],
        ["new", "pve2"],
      ]).toContainEqual([...nodes]);
      const again = renameNode(file, "pve1", "new");
      expect(typeof again).toBe("object");
      const after = verifyDatabase(file);
      expect([after.nodes, after.files, after.bytes]).toEqual([
        ["new", "pve2"],
        before.files,
        before.bytes,
      ]);
    }
  }, 60_000);
});

/** Looks like a quorate mount: `local` is a link. */
function mountIn(directory: TempDirectory, node: string): string {
  directory.put(`pve/nodes/${node}/qemu-server/100.conf`, "name: a\n");
  directory.put("pve/jobs.cfg", `vzdump: a\n\tnode ${node}\n`);
  symlinkSync(`nodes/${node}`, directory.at("pve/local"));
  return directory.at("pve");
}

describe("renameMountedNode", () => {
  test("moves nothing for a name that is no directory in nodes", () => {
    using directory = new TempDirectory();
    const mount = mountIn(directory, "pve1");
    for (const old of [".", "..", "pve1/", "pve1/../pve1", ""]) {
      expect(renameMountedNode(mount, old, "new"), old).toBe(`there is no nodes/${old}`);
    }
    expect(existsSync(directory.at("pve/nodes/pve1/qemu-server/100.conf"))).toBe(true);
    expect(existsSync(directory.at("pve/nodes/new"))).toBe(false);
  });

  test("takes the old name literally", () => {
    using directory = new TempDirectory();
    const odd = "pve1 (old.copy";
    const mount = mountIn(directory, odd);
    expect(renameMountedNode(mount, odd, "new")).toMatchObject({
      entries: 3,
      mentions: [`jobs.cfg line 2: node ${odd}`],
    });
    expect(existsSync(directory.at("pve/nodes/new/qemu-server/100.conf"))).toBe(true);
  });
});

test("compareDatabases: added, removed, changed, of another kind; versions only on request", () => {
  using directory = new TempDirectory();
  const file = makeDb(directory, [item("a.cfg", "1"), item("b.cfg", "1"), item("c.cfg", "1")]);
  const other = directory.at("other.db");
  copyFileSync(file, other);
  {
    using writer = new Writer(other);
    writer.remove("a.cfg");
    writer.write("b.cfg", "22");
    writer.create("d", 4);
    writer.write("storage.cfg", "dir: local\n");
  }
  const compared = compareDatabases(file, other, { times: false });
  expect(compared).toEqual({
    problems: [],
    differences: [
      { kind: "removed", path: "a.cfg", detail: "1 bytes" },
      { kind: "changed", path: "b.cfg", detail: "1 -> 2 bytes" },
      { kind: "added", path: "d", detail: "directory" },
    ],
  });
  const timed = compareDatabases(file, other, { times: true });
  if (typeof timed === "string") throw new Error(timed);
  expect(timed.differences.map(({ kind, path }) => `${kind} ${path}`)).toContain(
    "touched storage.cfg",
  );
  expect(compareDatabases(file, directory.at("none"), { times: false })).toContain("no such file");
  expect(existsSync(`${other}-wal`)).toBe(false);
  using database = new Database(file, { readonly: true });
  expect(database.query("SELECT count(*) FROM tree").values()).toEqual([[15]]);
  writeFileSync(other, "");
  expect(compareDatabases(file, other, { times: false })).toContain("it is empty");
});
