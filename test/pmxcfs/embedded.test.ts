/** The default store: made on first start, found again on the next. */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { defaultStateDirectory } from "../../src/pmxcfs/store/embedded.ts";
import { pathOf } from "../../src/pmxcfs/state/memdb.ts";
import { openBackend } from "../../src/pmxcfs/store/open.ts";
import { silentLog } from "../../src/base/log.ts";
import { open, TempDirectory, textOf, Writer } from "./support.ts";

test("the first start makes it, private, with the directories of a fresh node", () => {
  using directory = new TempDirectory();
  const state = directory.at("var", "state");
  using backend = open({ state });
  expect(statSync(state).mode & 0o777).toBe(0o750);
  expect(statSync(join(state, "config.db")).mode & 0o777).toBe(0o600);
  expect(readdirSync(state)).toEqual(["config.db"]);
  const paths = [...backend.memdb.entries()].map(pathOf);
  for (const path of ["priv/lock", "nodes/pve1/qemu-server", "nodes/pve1/lxc", "nodes/pve1/priv"]) {
    expect(paths).toContain(path);
  }
  expect(textOf(backend.guests.list())).toBe('{\n"version": 1\n\n}\n');
});

test("the next start finds the entries that were added", () => {
  using directory = new TempDirectory();
  open({ state: directory.path })[Symbol.dispose]();
  {
    using writer = new Writer(directory.at("config.db"));
    writer.create("storage.cfg");
    writer.write("storage.cfg", "dir: local\n");
  }
  using backend = open({ state: directory.path });
  expect(textOf(backend.memdb.read("storage.cfg")!)).toBe("dir: local\n");
});

test("a draft that a killed first start left does not prevent the next start", () => {
  using directory = new TempDirectory();
  // In a container, both have the same process id.
  directory.put(`config.db.new-${process.pid}`);
  using backend = open({ state: directory.path });
  expect(backend.memdb.find("priv/lock")).toBeDefined();
});

test("a state directory that cannot be made, or two stores at once, gives one line", () => {
  using directory = new TempDirectory();
  const options = { nodeName: "pve1", log: silentLog };
  const file = directory.put("file");
  expect(openBackend({ ...options, state: join(file, "state") })).toContain(
    "unable to create database",
  );
  mkdirSync(directory.at("config.db"));
  expect(openBackend({ ...options, state: directory.path })).toContain("it is a directory");
  expect(openBackend({ ...options, dir: directory.path, db: file })).toContain("only one");
});

function stateOf(uid: number, state?: string): string {
  return defaultStateDirectory(state === undefined ? {} : { XDG_STATE_HOME: state }, uid);
}

test("the default directory depends on user and environment", () => {
  expect(stateOf(0, "/x")).toBe("/var/lib/pmxcfs-ipc");
  expect(stateOf(1000, "/x")).toBe("/x/pmxcfs-ipc");
  expect(stateOf(1000)).toBe(join(homedir(), ".local/state/pmxcfs-ipc"));
  expect(stateOf(1000, "relative")).toBe(join(homedir(), ".local/state/pmxcfs-ipc"));
});
