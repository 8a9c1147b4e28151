/** config.db: real SQLite files with each fault pmxcfs refuses to load, examined where they are. */
import { eventually } from "../support/eventually.ts";
import { needRoot } from "../support/identity.ts";
import { DIRECTORY, FILE, NODE, type Row, nodeTree, writeDatabase } from "./support/database.ts";
import { type Told, check, codesOf, expectFound, sandbox, startNode, told } from "./support/run.ts";
import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

needRoot();

const directory = mkdtempSync(join(tmpdir(), "check-database-"));
afterAll(() => rmSync(directory, { recursive: true }));

const TREE = nodeTree();

let files = 0;

function write(rows: readonly Row[], mtime?: number): string {
  const path = join(directory, `config-${files++}.db`);
  writeDatabase(path, rows, mtime);
  return path;
}

async function examined(
  database: string,
  service = "test-no-server",
  only = ["database"],
): Promise<Told> {
  const paths = { database, lockFile: `${database}.lock` };
  return await check(service, { only, paths });
}

async function inTree(rows: readonly Row[]): Promise<Told> {
  return await examined(write(rows), "test-no-server", ["files"]);
}

test("a valid file passes, is not changed, and no file is left beside it", async () => {
  const path = write(TREE, Math.floor(Date.now() / 1000));
  const before = readFileSync(path);
  const report = await examined(path);
  expect(report.findings.map(({ severity, text }) => [severity, text])).toEqual([
    ["pass", `${path} is sound: 5 entries, 0 MiB of files`],
  ]);
  expect(report.exit_code).toBe(0);
  expect(readFileSync(path).equals(before)).toBe(true);
  expect(readdirSync(directory).filter((name) => /-(wal|shm)$/.test(name))).toEqual([]);
  expect(readdirSync(tmpdir()).filter((name) => name.startsWith("pmxcfs-ipc-check-"))).toEqual([]);
});

test("entries that are only in the write-ahead log count too", async () => {
  const path = write(TREE);
  const writer = new Database(path);
  writer.run("PRAGMA journal_mode=WAL");
  writer.run("INSERT INTO tree VALUES (99, 0, 1, 0, 0, 8, 'storage.cfg', NULL)");
  try {
    expect(codesOf(await examined(path))).toContain("DB_DUPLICATE_NAME");
  } finally {
    writer.close();
  }
});

test("DB_CORRUPT: pages overwritten in the middle of the file", async () => {
  const path = write([...TREE, [6, 0, FILE, "big", 200_000]]);
  const bytes = readFileSync(path);
  bytes.fill(0xee, 4096, 4096 * 3);
  writeFileSync(path, bytes);
  expectFound(await examined(path), "DB_CORRUPT", {
    line: new RegExp(`^${path}: `),
    fix: /^Nothing can be read from it\. Do not start pve-cluster: restore /,
    exit: 2,
  });
});

test("DB_CORRUPT: a file that is not a database, and a truncated one", async () => {
  const text = join(directory, "text.db");
  writeFileSync(text, "this is not a database at all, although it is long enough".repeat(50));
  expectFound(await examined(text), "DB_CORRUPT", {
    line: /not a database/,
    fix: /^Nothing can be read from it/,
    exit: 2,
  });
  const path = write([...TREE, [6, 0, FILE, "big", 200_000]]);
  truncateSync(path, 8192);
  expectFound(await examined(path), "DB_CORRUPT", {
    line: /malformed|ok|page/,
    fix: /rescued-/,
    exit: 2,
  });
});

test("DB_CORRUPT: a directory in the file's place", async () => {
  expectFound(await examined(directory), "DB_CORRUPT", {
    line: /it is no file \(directory\)$/,
    fix: /^Nothing can be read from it/,
    exit: 2,
  });
});

test("DB_NOT_PMXCFS: another program's file", async () => {
  const path = join(directory, "other.db");
  const database = new Database(path);
  database.run("CREATE TABLE things (name TEXT)");
  database.close();
  chmodSync(path, 0o600);
  expectFound(await examined(path), "DB_NOT_PMXCFS", {
    line: /no such table: tree|no table|empty/,
    fix: /^Nothing can be read from it\. Do not start pve-cluster: restore /,
    exit: 2,
  });
});

test("DB_DUPLICATE_NAME: two entries of one name", async () => {
  const report = await examined(write([...TREE, [77, 0, FILE, "storage.cfg"]]));
  expectFound(report, "DB_DUPLICATE_NAME", {
    line: /found entry with duplicate name 'storage\.cfg' - A:\(inode = 0x0+5\b.*= 0x0+4D\b/,
    fix: /pmxcfs-ipc config export/,
    exit: 2,
  });
});

test("DB_DUPLICATE_VMID: one guest in two directories", async () => {
  const report = await examined(
    write([...TREE, [10, 3, FILE, "100.conf"], [11, 4, FILE, "100.conf"]]),
  );
  expectFound(report, "DB_DUPLICATE_VMID", {
    line: new RegExp(
      `detected duplicate VMID 100 .*nodes/${NODE}/qemu-server/100.conf.*nodes/.*/lxc/100.conf`,
    ),
    fix: /^Export the tree, move one of the two files out of it/,
    exit: 2,
  });
});

test("DB_ORPHAN: an entry without its directory, not a cycle of directories", async () => {
  const report = await examined(write([...TREE, [30, 4711, FILE, "lost"]]));
  expectFound(report, "DB_ORPHAN", {
    line: /missing directory inode \(inode = 0+1267\)$/,
    fix: /pmxcfs-ipc config export/,
    exit: 2,
  });
  const circle: Row[] = [
    [40, 41, DIRECTORY, "a"],
    [41, 40, DIRECTORY, "b"],
  ];
  expect(codesOf(await examined(write([...TREE, ...circle])))).not.toContain("DB_ORPHAN");
});

test("DB_ENTRY_REFUSED: rows that pmxcfs does not load, in its words", async () => {
  const rows: [Row, RegExp][] = [
    [[20, 0, DIRECTORY, "priv", 4], /directory inode contains data \(inode = 0+14\)$/],
    [[20, 0, 0, "odd"], /inode has unknown type \(inode = 0+14/],
    [[20, 0, FILE, ""], /inode has no name \(inode = 0+14\)$/],
  ];
  for (const [row, line] of rows) {
    const report = await examined(write([...TREE, row]));
    expectFound(report, "DB_ENTRY_REFUSED", { line, fix: /pmxcfs-ipc config export/, exit: 2 });
  }
});

test("a duplicate guest has no fix: only the administrator knows which one to keep", async () => {
  const twice: Row[] = [
    [10, 3, FILE, "100.conf"],
    [11, 4, FILE, "100.conf"],
    [12, 4711, FILE, "lost"],
  ];
  const report = await examined(write([...TREE, ...twice]));
  expect(new Set(codesOf(report))).toEqual(new Set(["DB_DUPLICATE_VMID", "DB_ORPHAN"]));
  expect(report.findings.flatMap(({ fix }) => fix ?? [])).toEqual([]);
});

test("several faults have one fix, printed once", async () => {
  const rows: Row[] = [
    [30, 4711, FILE, "lost"],
    [31, 4712, FILE, "lost as well"],
    [32, 0, FILE, "storage.cfg"],
  ];
  const report = await examined(write([...TREE, ...rows]));
  expect(codesOf(report).length).toBe(3);
  expect(report.findings.flatMap(({ fix }) => fix ?? []).length).toBe(1);
});

test("LOCKS_HELD: locks, with the node that wrote them and their age", async () => {
  const now = Math.floor(Date.now() / 1000);
  const conf = `totem {\n  cluster_name: c\n  config_version: 1\n}\nnodelist {
    node {\n name: pve2\n nodeid: 2\n quorum_votes: 1\n ring0_addr: 192.0.2.2\n }\n}\n`;
  const report = await inTree([
    ...TREE,
    [60, 0, DIRECTORY, "priv"],
    [61, 60, DIRECTORY, "lock"],
    [62, 61, DIRECTORY, "file-storage_cfg", 0, { mtime: now - 7, writer: 2 }],
    [63, 0, FILE, "corosync.conf", conf],
  ]);
  expectFound(report, "LOCKS_HELD", {
    line: /^1 lock in \/etc\/pve\/priv\/lock: file-storage_cfg \(pve2, (7|8|9|1\d) s old\)$/,
    fix: /^A lock that is not refreshed expires after 120 s/,
    exit: 0,
  });
});

test("FILES_LEFT: temporary files whose writer has ended, and no others", async () => {
  const now = Math.floor(Date.now() / 1000);
  const dead = Bun.spawnSync(["true"]).pid;
  const rows: Row[] = [
    [70, 3, FILE, `100.conf.tmp.${dead}`, "left"],
    [71, 3, FILE, `101.conf.tmp.${process.pid}`, "in use", { mtime: now }],
    [72, 3, FILE, `102.conf.tmp.${dead}`, "another node's", { writer: 7 }],
    [73, 0, FILE, ".fuse_hidden0000000000000001", "old"],
    [74, 0, FILE, ".ansible_tmpabc", "young", { mtime: now }],
    [75, 0, FILE, "notes.tmp.txt", "no temporary name"],
  ];
  const report = await inTree([...TREE, ...rows]);
  const hidden = "/etc/pve/.fuse_hidden0000000000000001";
  const left = `/etc/pve/nodes/${NODE}/qemu-server/100.conf.tmp.${dead}`;
  expectFound(report, "FILES_LEFT", {
    line: new RegExp(`^2 temporary files were left in /etc/pve: ${left}, ${hidden}$`),
    fix: /^The command keeps a copy/,
    exit: 0,
  });
});

test("FILES_LEFT: a name with a control character is not part of the command", async () => {
  const dead = Bun.spawnSync(["true"]).pid;
  const database = write([
    ...TREE,
    [70, 3, FILE, `100.conf.tmp.${dead}`, "left"],
    [71, 3, FILE, `\u001B[2J.tmp.${dead}`, "left"],
  ]);
  // The table of mounts has a FUSE file system at this path.
  const pve = "/";
  const proc = mkdtempSync(join(directory, "proc-"));
  mkdirSync(join(proc, "self"));
  writeFileSync(join(proc, "self", "mountinfo"), "1 1 0:1 / / rw - fuse fuse rw\n");
  const paths = { database, lockFile: `${database}.lock`, pve, proc };
  const report = await check("test-no-server", { only: ["files"], paths });
  const finding = report.findings.find(({ code }) => code === "FILES_LEFT");
  expect(finding?.text).toContain("2 temporary files");
  expect(finding?.fix).toContain(`100.conf.tmp.${dead}`);
  expect(finding?.fix).not.toContain("2J");
});

test("DB_FILE_LARGE: a file close to what a client can receive", async () => {
  const report = await examined(write([...TREE, [50, 0, FILE, "user.cfg", 900_000]]));
  expectFound(report, "DB_FILE_LARGE", {
    line: /^user\.cfg has 900000 bytes, 85 % of the 1048576 a client can receive$/,
    fix: /`ls -l \/etc\/pve\/user\.cfg`\.$/,
    exit: 1,
  });
});

test("DB_LARGE: most of the 128 MiB is used", async () => {
  const many = Array.from({ length: 115 }, (_, index): Row => {
    return [100 + index, 0, FILE, `file-${index}`, 1_000_000];
  });
  expectFound(await examined(write([...TREE, ...many])), "DB_LARGE", {
    line: /holds 109.7 MiB of files, 85 % of the 128 MiB pmxcfs allows$/,
    fix: /`find \/etc\/pve -type f/,
    exit: 1,
  });
});

test("DB_WAL_LARGE: a log that is not checkpointed", async () => {
  const path = write(TREE);
  writeFileSync(`${path}-wal`, "");
  truncateSync(`${path}-wal`, 80 * 1024 * 1024);
  expectFound(await examined(path), "DB_WAL_LARGE", {
    line: /-wal has 80 MiB \(limit 16 MiB\)$/,
    fix: /^End the reader; .*`fuser -v .*-wal`$/,
    exit: 1,
  });
});

test("DB_PERMISSIONS: readable by others", async () => {
  const path = write(TREE);
  chmodSync(path, 0o644);
  expectFound(await examined(path), "DB_PERMISSIONS", {
    line: /has mode 0644 and owner 0:0, not 0600 and 0:0$/,
    fix: /^chown root:root .* && chmod 0600 /,
    exit: 1,
  });
});

/** Starts `program`, which holds the lock on this file. */
async function locked(lock: string, program: readonly string[]): Promise<Bun.Subprocess> {
  writeFileSync(lock, "", { flag: "a" });
  const holder = Bun.spawn(["flock", "--no-fork", lock, ...program]);
  await eventually("locked", () => {
    const { exitCode } = Bun.spawnSync(["flock", "-n", lock, "true"]);
    return exitCode !== 0;
  });
  return holder;
}

test("DB_LOCKED_BY_OTHER: another program is named, and the fix does not kill it", async () => {
  const path = write(TREE);
  const holder = await locked(`${path}.lock`, ["sleep", "60"]);
  try {
    await using server = await startNode();
    const report = await examined(path, server.name);
    expectFound(report, "DB_LOCKED_BY_OTHER", {
      line: new RegExp(
        `^pid ${holder.pid} \\(sleep\\) holds the lock ${path}.lock, but does not serve @test-`,
      ),
      fix: new RegExp(`^Before you end pid ${holder.pid}, check `),
      exit: 2,
    });
    expect(report.findings.flatMap(({ fix }) => fix ?? [])).toEqual([]);
  } finally {
    holder.kill("SIGKILL");
    await holder.exited;
  }
});

test("a pmxcfs that has the lock and serves another name is not killed by the fix", async () => {
  const database = write(TREE);
  const report = await told(`mkdir -p /var/lib; mount -t tmpfs tmpfs /var/lib
    mkdir /var/lib/pve-cluster; cp ${database} /var/lib/pve-cluster/config.db
    cp $(command -v sleep) /dev/shm/pmxcfs
    lock=/var/lib/pve-cluster/.pmxcfs.lockfile
    unshare -n flock --no-fork $lock /dev/shm/pmxcfs 60 & await sh -c "! flock -n $lock true"
    $CHECK --only database --json || true`);
  expect(codesOf(report)).toContain("DB_LOCKED_BY_OTHER");
  expect(report.findings.flatMap(({ fix }) => fix ?? [])).toEqual([]);
});

test("a lock on another file system's file of the same inode number is ignored", async () => {
  const report = await told(`mkdir -p /var/lib; mount -t tmpfs tmpfs /var/lib
    mkdir /var/lib/pve-cluster; lock=/var/lib/pve-cluster/.pmxcfs.lockfile; touch $lock
    mount -t tmpfs tmpfs /mnt; want=$(stat -c %i $lock)
    for i in $(seq 50); do
      touch /mnt/$i
      [ $(stat -c %i /mnt/$i) != $want ] || break
    done
    [ $(stat -c %i /mnt/$i) = $want ]
    flock --no-fork /mnt/$i sleep 60 & await sh -c "! flock -n /mnt/$i true"
    $CHECK --only database --json || true`);
  expect(codesOf(report)).toEqual([]);
});

test("DB_DISK_LOW: the file is on a small file system", async () => {
  const path = write(TREE);
  const { out } = await sandbox(`mount -t tmpfs -o size=3m tmpfs /mnt
    mkdir -p /var/lib; mount -t tmpfs -o size=3m tmpfs /var/lib; mkdir /var/lib/pve-cluster
    cp '${path}' /var/lib/pve-cluster/config.db
    $CHECK --only database --json || true`);
  expectFound(JSON.parse(out) as Told, "DB_DISK_LOW", {
    line: /config\.db lies on a file system with [\d.]+ MiB free \(limit 100 MiB\)$/,
    fix: /^apt-get clean; .* && systemctl restart pve-cluster$/,
    exit: 1,
  });
});

test("NODE_DIRECTORY_MISSING: the file has directories of other nodes only", async () => {
  const rows: Row[] = [
    [1, 0, DIRECTORY, "nodes"],
    [2, 1, DIRECTORY, "someone-else"],
  ];
  expectFound(await examined(write(rows)), "NODE_DIRECTORY_MISSING", {
    line: new RegExp(`^nodes/${NODE} does not exist; there are: someone-else$`),
    fix: /^To go back: `hostnamectl hostname /,
    exit: 1,
  });
});

test("CLOCK_BACKWARDS: the last change is in the future", async () => {
  const report = await examined(write(TREE, Math.floor(Date.now() / 1000) + 86_400));
  expectFound(report, "CLOCK_BACKWARDS", {
    line: /^the last change in config\.db is 86\d{3} s in the future \(limit 60 s\)/,
    fix: /^Look at `timedatectl`/,
    exit: 1,
  });
});
