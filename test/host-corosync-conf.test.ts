/**
 * The host's corosync.conf: which of two versions is newer, and when corosync loads it again, as
 * the C server decides both.
 */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { followCorosyncConf, joinsCluster } from "../src/daemon/node/host-corosync-conf.ts";
import { Memdb } from "../src/pmxcfs/state/memdb.ts";
import { openTree } from "../src/pmxcfs/store/open-tree.ts";
import { silentLog } from "../src/base/log.ts";
import { fill, rememberingLog, TempDirectory } from "./pmxcfs/support.ts";

const ownId = (): number => 1;

/** The host's file, the log and the number of reloads after a start with these two files. */
function started(tree: string, host: string | undefined) {
  using directory = new TempDirectory();
  const path = directory.at("corosync.conf");
  if (host !== undefined) directory.put("corosync.conf", host);
  const memdb = new Memdb();
  fill(memdb, { "corosync.conf": tree });
  const log = rememberingLog();
  let reloads = 0;
  followCorosyncConf(memdb, ownId, path, log, () => reloads++);
  expect(readdirSync(directory.path)).toEqual(["corosync.conf"]);
  const mode = statSync(path).mode & 0o777;
  return { text: readFileSync(path, "utf8"), mode, lines: log.lines, reloads };
}

const conf = (version: number): string => `totem {\n  config_version: ${version}\n}\n`;

test("a newer version of the tree replaces the host's file, mode 0644", () => {
  const { text, mode, lines } = started(conf(3), conf(2));
  expect([text, mode]).toEqual([conf(3), 0o644]);
  expect(lines.join()).toContain("(version = 3)");
});

test("an older version of the tree does not", () => {
  const { text, lines } = started(conf(2), conf(3));
  expect(text).toBe(conf(3));
  expect(lines).toEqual(["local corosync.conf is newer"]);
});

test("the first config_version in the text counts, wherever it is", () => {
  const commented = `# config_version: 9 is next\n${conf(2)}`;
  expect(started(commented, conf(3)).text).toBe(commented);
  const inline = "totem { version: 2 config_version : 4 }\n";
  expect(started(inline, conf(3)).text).toBe(inline);
});

test("an empty file is not written, and not a mistake", () => {
  expect(started("", conf(3))).toMatchObject({ text: conf(3), lines: [] });
});

test("without a version, or with 0, nothing is written", () => {
  for (const tree of ["totem {\n}\n", conf(0)]) {
    const { text, lines } = started(tree, conf(1));
    expect(text).toBe(conf(1));
    expect(lines).toEqual(["unable to parse cluster config_version"]);
  }
});

test("a host's file that cannot be read is logged, at the import as well", () => {
  using directory = new TempDirectory();
  const host = directory.at("host");
  mkdirSync(host);
  const why = `${host} is a directory, not a regular file`;
  const line = `unable to read cluster config file '${host}' - ${why}`;
  expect(decided(directory, host)).toMatchObject({ joined: false, lines: [line] });
  const memdb = new Memdb();
  fill(memdb, { "corosync.conf": conf(1) });
  const log = rememberingLog();
  followCorosyncConf(memdb, ownId, host, log);
  expect(log.lines).toEqual([line, expect.stringContaining(`unable to write ${host}: `)]);
});

test("corosync loads a file that a start replaced, and not one that is new or the same", () => {
  expect(started(conf(3), conf(2)).reloads).toBe(1);
  expect(started(conf(3), conf(3)).reloads).toBe(0);
  expect(started(conf(2), conf(3)).reloads).toBe(0);
  // Without a configuration no corosync runs.
  expect(started(conf(3), undefined).reloads).toBe(0);
  expect(started(conf(3), "totem {\n}\n")).toMatchObject({ text: conf(3), reloads: 0 });
});

test("corosync loads a change of this node once, and none of another node", () => {
  using directory = new TempDirectory();
  const memdb = new Memdb();
  fill(memdb, { "corosync.conf": conf(2) });
  const path = directory.put("corosync.conf", conf(2));
  let reloads = 0;
  followCorosyncConf(memdb, ownId, path, rememberingLog(), () => reloads++);
  const entry = memdb.find("corosync.conf");
  if (entry === undefined) throw new Error("no entry");
  const write = (version: number, writer: number) => {
    // Whatever nodes it lists: C compares the sender's id with this node's.
    memdb.write(entry, Buffer.from(conf(version)), { version, writer, mtime: 1 });
    expect(readFileSync(path, "utf8")).toBe(conf(version));
  };
  write(3, 2);
  expect(reloads).toBe(0);
  write(4, 1);
  expect(reloads).toBe(1);
});

/** A start on the database of `directory`: the cluster's decision, and the log. */
function decided(directory: TempDirectory, hostCorosyncConf: string, local = false) {
  const tree = openTree({ file: directory.at("config.db"), log: silentLog });
  if (typeof tree === "string") throw new Error(tree);
  using opened = tree;
  const log = rememberingLog();
  const joined = joinsCluster(opened, { local, hostCorosyncConf }, log);
  const text = Buffer.from(opened.memdb.read("corosync.conf") ?? "none").toString();
  return { joined, text, version: opened.version, lines: log.lines };
}

test("a new database imports the host's file, and the node joins its cluster", () => {
  using directory = new TempDirectory();
  const host = directory.put("corosync.conf", conf(1));
  const found = { joined: true, text: conf(1), version: 3, lines: [] };
  expect(decided(directory, host)).toEqual(found);
  expect(decided(directory, host)).toEqual(found);
});

test("a database that an interrupted first start left imports it, too", () => {
  using directory = new TempDirectory();
  const host = directory.put("corosync.conf", conf(1));
  // Ended before the import: without a table, and without a change.
  for (const leave of [() => directory.put("config.db"), () => decided(directory, "/nowhere")]) {
    for (const suffix of ["", "-wal", "-shm"])
      rmSync(directory.at(`config.db${suffix}`), { force: true });
    leave();
    expect(decided(directory, host)).toMatchObject({ joined: true, text: conf(1) });
  }
});

test("a database that was changed does not: a node that left its cluster stays alone", () => {
  using directory = new TempDirectory();
  const host = directory.put("corosync.conf", conf(1));
  const tree = openTree({ file: directory.at("config.db"), log: silentLog });
  if (typeof tree === "string") throw new Error(tree);
  for (const kind of ["create", "remove"] as const) {
    expect(tree.apply({ kind, path: "corosync.conf" }, { writer: 0, time: 1 })).toBe(0);
  }
  tree[Symbol.dispose]();
  expect(decided(directory, host)).toEqual({ joined: false, text: "none", version: 3, lines: [] });
});

test.each([
  ["inode", [-7, 5]],
  ["version", [7, -5]],
])("a negative %s of a foreign database keeps the node out of a cluster", (which, numbers) => {
  using directory = new TempDirectory();
  const host = directory.put("corosync.conf", conf(1));
  expect(decided(directory, host).joined).toBe(true);
  const insert = "INSERT INTO tree VALUES (?, 0, ?, 0, 1, 8, 'odd', NULL)";
  using database = new Database(directory.at("config.db"));
  database.run(insert, numbers);
  const why = `the ${which} of 'odd' is negative: this database can be served with -l only`;
  expect(decided(directory, host).joined).toBe(why);
  expect(decided(directory, host, true).joined).toBe(false);
});

test("with -l nothing is imported, and the log says when a configuration is ignored", () => {
  using directory = new TempDirectory();
  const host = directory.put("corosync.conf", conf(1));
  expect(decided(directory, host, true)).toMatchObject({ joined: false, text: "none", lines: [] });
  expect(decided(directory, host)).toMatchObject({ joined: true });
  expect(decided(directory, host, true)).toMatchObject({
    joined: false,
    lines: ["forcing local mode (although corosync.conf exists)"],
  });
});
