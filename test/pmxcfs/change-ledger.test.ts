/** The ledger of the mount's requests: what a server knows of the changes of a killed one. */
import { expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { Errno } from "../../src/base/errno.ts";
import { silentLog } from "../../src/base/log.ts";
import { drained } from "../../src/base/steps.ts";
import { shim } from "../../src/platform/shim.ts";
import { AnsweredChanges } from "../../src/pmxcfs/mount/answered-changes.ts";
import { LocalReplicator } from "../../src/pmxcfs/replication/local.ts";
import type { TreeCommand } from "../../src/pmxcfs/state/tree-command.ts";
import { ChangeLedger } from "../../src/pmxcfs/store/change-ledger.ts";
import { openTree } from "../../src/pmxcfs/store/open-tree.ts";
import { rememberingLog, TempDirectory } from "./support.ts";

const CONNECTION = 40;
const CREATE: TreeCommand = { kind: "create", path: "f" };
const WRITE: TreeCommand = { kind: "write", path: "f", offset: 0, data: Buffer.from("four") };

const by = (request: number) => ({ pid: 1, uid: 0, gid: 0, request });

/** A server on the database in `directory`; the scope's end is its crash: the ledger stays. */
function server(directory: string) {
  const tree = openTree({ file: `${directory}/config.db`, log: silentLog });
  if (typeof tree === "string") throw new Error(tree);
  const { loadedVersion } = tree;
  const ledger = new ChangeLedger({ file: `${directory}/ledger`, loadedVersion, log: silentLog });
  tree.ledger = ledger;
  const clusterLog = { add: () => {} };
  const local = new LocalReplicator({ tree, status: { set: () => 0 }, clusterLog });
  const changes = new AnsweredChanges(local, ledger);
  return { tree, ledger, changes, [Symbol.dispose]: () => tree[Symbol.dispose]() };
}

/** A server makes two changes, requests 10 and 12, and is gone. */
function makeTwoChanges(directory: TempDirectory): void {
  using first = server(directory.path);
  first.ledger.begin(CONNECTION);
  expect(first.changes.propose(CREATE, by(10))).toBe(0);
  expect(first.changes.propose(WRITE, by(12))).toBe(4);
}

test("a change that was stored is answered once by the next server, and not applied again", () => {
  using directory = new TempDirectory();
  makeTwoChanges(directory);
  using second = server(directory.path);
  second.ledger.resume(CONNECTION);
  const { version } = second.tree;
  expect(second.changes.propose(CREATE, by(10))).toBe(0);
  expect(second.changes.propose(WRITE, by(12))).toBe(4);
  expect(second.tree.version).toBe(version);
  expect(second.changes.propose(CREATE, by(10))).toBe(Errno.EEXIST);
  expect(second.changes.propose(CREATE, by(14))).toBe(Errno.EEXIST);
});

test("of a request of two changes, after a kill between them, only the second is applied", () => {
  using directory = new TempDirectory();
  const truncate: TreeCommand = { kind: "truncate", path: "f", size: 0 };
  const utime: TreeCommand = { kind: "utime", path: "f", mtime: 5 };
  {
    using first = server(directory.path);
    first.ledger.begin(CONNECTION);
    expect(first.changes.propose(CREATE, by(10))).toBe(0);
    expect(first.changes.propose(truncate, by(12))).toBe(0);
  }
  using second = server(directory.path);
  second.ledger.resume(CONNECTION);
  const { version } = second.tree;
  expect(second.changes.propose(truncate, by(12))).toBe(0);
  expect(second.changes.propose(utime, by(12))).toBe(0);
  expect(second.tree.version).toBe(version + 1);
});

test("a record of a change that was not stored is dropped before its version is used", () => {
  using directory = new TempDirectory();
  {
    using first = server(directory.path);
    first.ledger.begin(CONNECTION);
    // Killed between the record and the commit.
    first.ledger.note(10, first.tree.version + 1);
  }
  {
    using second = server(directory.path);
    second.ledger.resume(CONNECTION);
    expect(second.changes.propose(CREATE, by(12))).toBe(0);
  }
  using third = server(directory.path);
  third.ledger.resume(CONNECTION);
  expect(third.ledger.wasStored(10)).toBe(false);
  expect(third.ledger.wasStored(12)).toBe(true);
});

test("a change that waits for the database is recorded when it is stored", async () => {
  using directory = new TempDirectory();
  {
    using first = server(directory.path);
    first.ledger.begin(CONNECTION);
    using other = new Database(`${directory.path}/config.db`);
    other.run("BEGIN IMMEDIATE");
    const waiting = first.changes.propose(CREATE, by(10));
    expect(waiting).toBeInstanceOf(Promise);
    other.run("ROLLBACK");
    expect(await waiting).toBe(0);
  }
  using second = server(directory.path);
  second.ledger.resume(CONNECTION);
  expect(second.ledger.wasStored(10)).toBe(true);
});

test("records survive a second server that is killed", () => {
  using directory = new TempDirectory();
  {
    using first = server(directory.path);
    first.ledger.begin(CONNECTION);
    expect(first.changes.propose(CREATE, by(10))).toBe(0);
  }
  {
    using second = server(directory.path);
    second.ledger.resume(CONNECTION);
    // Its record comes after the one that it found.
    expect(second.changes.propose({ kind: "mkdir", path: "d" }, by(12))).toBe(0);
  }
  using third = server(directory.path);
  third.ledger.resume(CONNECTION);
  expect([10, 12].map((request) => third.ledger.wasStored(request))).toEqual([true, true]);
});

test("records of another mount, or of another format, are ignored", () => {
  using directory = new TempDirectory();
  {
    using first = server(directory.path);
    first.ledger.begin(CONNECTION);
    expect(first.changes.propose(CREATE, by(10))).toBe(0);
  }
  {
    using second = server(directory.path);
    second.ledger.resume(CONNECTION + 1);
    expect(second.ledger.wasStored(10)).toBe(false);
    expect(second.ledger.isOpen).toBe(true);
  }
  writeFileSync(`${directory.path}/ledger`, "cut");
  using third = server(directory.path);
  third.ledger.resume(CONNECTION);
  expect(third.ledger.isOpen).toBe(true);
});

/** From now on every write to the open file at `path` fails with ENOSPC. */
function fillUp(path: string): void {
  const full = openSync("/dev/full", "r+");
  for (const fd of readdirSync("/proc/self/fd").map(Number)) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`) === path) shim.shim_replace(full, fd);
    } catch {
      // The descriptor that listed the directory.
    }
  }
  closeSync(full);
}

test("a new mount knows no records of the last one, also when its ledger had failed", () => {
  using directory = new TempDirectory();
  makeTwoChanges(directory);
  using second = server(directory.path);
  second.ledger.resume(CONNECTION);
  fillUp(`${directory.path}/ledger`);
  expect(second.changes.propose({ kind: "mkdir", path: "d" }, by(14))).toBe(0);
  expect(second.ledger.isOpen).toBe(false);
  second.ledger.begin(CONNECTION + 1);
  // The kernel numbers the requests of each mount from the start.
  const { version } = second.tree;
  expect(second.changes.propose(WRITE, by(12))).toBe(4);
  expect(second.tree.version).toBe(version + 1);
});

test("the file is private, and removed with the mount", () => {
  using directory = new TempDirectory();
  using only = server(directory.path);
  const file = `${directory.path}/ledger`;
  writeFileSync(file, "", { mode: 0o644 });
  only.ledger.begin(CONNECTION);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  only.ledger.end();
  expect(existsSync(file)).toBe(false);
  expect(only.changes.propose(CREATE, by(10))).toBe(0);
});

test("a ledger that cannot be written logs that once and fails no change", () => {
  using directory = new TempDirectory();
  using only = server(directory.path);
  const log = rememberingLog();
  only.tree.ledger = new ChangeLedger({
    file: `${directory.path}/missing/ledger`,
    loadedVersion: 1,
    log,
  });
  const ledger = only.tree.ledger as ChangeLedger;
  ledger.begin(CONNECTION);
  expect(ledger.isOpen).toBe(false);
  expect(only.changes.propose(CREATE, by(10))).toBe(0);
  expect(log.lines.filter((line) => line.includes("after a crash of this server"))).toHaveLength(1);
});

const inodes = (...all: readonly number[]) => all.map((inode) => ({ inode }));

test("the next servers of the mount know the inodes of a sync once it is stored", () => {
  using directory = new TempDirectory();
  const taken = (connection: number) => {
    using next = server(directory.path);
    next.ledger.resume(connection);
    const { version } = next.tree;
    expect(next.changes.propose({ kind: "mkdir", path: `d${version}` }, by(version))).toBe(0);
    return [...next.ledger.taken];
  };
  {
    using first = server(directory.path);
    first.ledger.begin(CONNECTION);
    expect(first.changes.propose(CREATE, by(10))).toBe(0);
    const { version } = first.tree;
    expect(drained(first.ledger.took(inodes(7, 8, 2 ** 40 - 1), version))).toBe(1);
    expect(drained(first.ledger.took([], version))).toBe(0);
    // Killed before this sync was stored; the next change makes its version.
    expect(drained(first.ledger.took(inodes(7, -9), version + 1))).toBe(2);
    expect(first.ledger.lacksInodes).toBe(false);
  }
  for (let next = 0; next < 2; next++) {
    expect(taken(CONNECTION)).toEqual([
      [7, 1],
      [8, 1],
      [2 ** 40 - 1, 1],
    ]);
  }
  expect(taken(CONNECTION + 1)).toEqual([]);
});

test("numbers of syncs are not used again by the next server, also of a new mount", () => {
  using directory = new TempDirectory();
  {
    using first = server(directory.path);
    first.ledger.begin(CONNECTION);
    expect(drained(first.ledger.took(inodes(7), 1))).toBe(1);
    first.ledger.begin(CONNECTION + 1);
  }
  using second = server(directory.path);
  second.ledger.resume(CONNECTION + 1);
  expect([...second.ledger.taken]).toEqual([]);
  expect(drained(second.ledger.took(inodes(7), 1))).toBe(2);
});

test("a sync whose inodes cannot be noted leaves no mount that another server may serve", () => {
  using directory = new TempDirectory();
  using only = server(directory.path);
  only.ledger.begin(CONNECTION);
  let reports = 0;
  only.ledger.onLack = () => reports++;
  const lacks = (inode: number) => {
    drained(only.ledger.took(inodes(inode), 1));
    return [only.ledger.lacksInodes, reports];
  };
  expect(lacks(7)).toEqual([false, 0]);
  expect(lacks(2 ** 40)).toEqual([true, 1]);
  expect(lacks(2 ** 40)).toEqual([true, 1]);
  only.ledger.begin(CONNECTION + 1);
  expect(lacks(7)).toEqual([false, 1]);
  fillUp(`${directory.path}/ledger`);
  expect(lacks(7)).toEqual([true, 2]);
});
