/** config.db: real SQLite files with each fault pmxcfs refuses to load, examined on a copy. */
import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";
import { needRoot } from "../support/identity.ts";
import { check, codesOf, expectFound, sandbox, startNode, type Told } from "./support/run.ts";

needRoot();

const directory = mkdtempSync(join(tmpdir(), "check-database-"));
afterAll(() => rmSync(directory, { recursive: true }));

const SCHEMA =
  "CREATE TABLE tree (  inode INTEGER PRIMARY KEY NOT NULL,  parent INTEGER NOT NULL,  " +
  "version INTEGER NOT NULL,  writer INTEGER NOT NULL,  mtime INTEGER NOT NULL,  " +
  "type INTEGER NOT NULL,  name TEXT NOT NULL,  data BLOB)";

const DIRECTORY = 4;
const FILE = 8;
const NODE = hostname().split(".")[0] ?? "";

type Row = readonly [inode: number, parent: number, type: number, name: string, bytes?: number];

/** The directories a node has. */
const TREE: readonly Row[] = [
  [1, 0, DIRECTORY, "nodes"],
  [2, 1, DIRECTORY, NODE],
  [3, 2, DIRECTORY, "qemu-server"],
  [4, 2, DIRECTORY, "lxc"],
  [5, 0, FILE, "storage.cfg", 100],
];

let files = 0;

function write(rows: readonly Row[], mtime = 1_790_000_000): string {
  const path = join(directory, `config-${files++}.db`);
  const database = new Database(path);
  database.run("PRAGMA journal_mode=WAL");
  database.run(SCHEMA);
  const insert = database.query("INSERT INTO tree VALUES (?, ?, 1, 0, ?, ?, ?, ?)");
  insert.run(0, 0, mtime, FILE, "__version__", null);
  for (const [inode, parent, type, name, bytes] of rows) {
    insert.run(
      inode,
      parent,
      mtime,
      type,
      name,
      bytes === undefined ? null : Buffer.alloc(bytes, 1),
    );
  }
  database.close();
  chmodSync(path, 0o600);
  return path;
}

async function examined(database: string, service = "test-no-server"): Promise<Told> {
  const paths = { database, lockFile: `${database}.lock`, scratch: directory };
  return await check(service, { only: ["database"], paths });
}

test("a sound file passes, and nothing of it is touched or left", async () => {
  const path = write(TREE, Math.floor(Date.now() / 1000));
  const before = readFileSync(path);
  const report = await examined(path);
  expect(report.findings.map(({ severity, text }) => [severity, text])).toEqual([
    ["pass", `${path} is sound: 5 entries, 0 MiB of files`],
  ]);
  expect(report.exit_code).toBe(0);
  expect(readFileSync(path).equals(before)).toBe(true);
  expect(readdirSync(directory).filter((name) => name.startsWith("pmxcfs-ipc-check-"))).toEqual([]);
  expect(readdirSync(directory).filter((name) => /-(wal|shm)$/.test(name))).toEqual([]);
});

test("what is only in the write-ahead log counts as well", async () => {
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
    fix: /^cp -a \S+ \S+\.broken; sqlite3 \S+\.broken \.recover \| sqlite3 \S+\.new$/,
    exit: 2,
  });
});

test("DB_CORRUPT: not a database, and cut off", async () => {
  const text = join(directory, "text.db");
  writeFileSync(text, "this is not a database at all, although it is long enough".repeat(50));
  expectFound(await examined(text), "DB_CORRUPT", {
    line: /not a database/,
    fix: /recover/,
    exit: 2,
  });
  const path = write([...TREE, [6, 0, FILE, "big", 200_000]]);
  truncateSync(path, 8192);
  expectFound(await examined(path), "DB_CORRUPT", {
    line: /malformed|ok|page/,
    fix: /recover/,
    exit: 2,
  });
});

test("DB_CORRUPT: a directory in the file's place", async () => {
  expectFound(await examined(directory), "DB_CORRUPT", {
    line: /it is no file \(directory\)$/,
    fix: /recover/,
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
    line: /without pmxcfs's table: it has no table "tree"$/,
    fix: /^ls -l /,
    exit: 2,
  });
});

test("DB_DUPLICATE_NAME: two entries of one name", async () => {
  const report = await examined(write([...TREE, [77, 0, FILE, "storage.cfg"]]));
  expectFound(report, "DB_DUPLICATE_NAME", {
    line: /holds storage\.cfg twice \(inodes 5 and 77\)$/,
    fix: /^cp -a \S+ \S+\.bak; sqlite3 \S+ 'DELETE FROM tree WHERE inode = 5'$/,
    exit: 2,
  });
});

test("DB_DUPLICATE_VMID: one guest in two directories", async () => {
  const report = await examined(
    write([...TREE, [10, 3, FILE, "100.conf"], [11, 4, FILE, "100.conf"]]),
  );
  expectFound(report, "DB_DUPLICATE_VMID", {
    line: new RegExp(
      `has guest 100 more than once: nodes/${NODE}/qemu-server/100.conf nodes/.*/lxc/100.conf$`,
    ),
    fix: /'DELETE FROM tree WHERE inode = 10'$/,
    exit: 2,
  });
});

test("DB_ORPHAN: an entry without its directory, and directories in a circle", async () => {
  const report = await examined(write([...TREE, [30, 4711, FILE, "lost"]]));
  expectFound(report, "DB_ORPHAN", {
    line: /the entry lost \(inode 30\) lies in a directory that does not exist$/,
    fix: /inode = 30'$/,
    exit: 2,
  });
  const circle: Row[] = [
    [40, 41, DIRECTORY, "a"],
    [41, 40, DIRECTORY, "b"],
  ];
  expect(codesOf(await examined(write([...TREE, ...circle])))).toEqual(["DB_ORPHAN", "DB_ORPHAN"]);
});

test("DB_FILE_LARGE: a file close to what a client can receive", async () => {
  const report = await examined(write([...TREE, [50, 0, FILE, "user.cfg", 900_000]]));
  expectFound(report, "DB_FILE_LARGE", {
    line: /^user\.cfg has 900000 bytes, 85 % of the 1048576 a client can receive$/,
    fix: /^ls -l \/etc\/pve\/user\.cfg$/,
    exit: 1,
  });
});

test("DB_LARGE: most of the 128 MiB are used", async () => {
  const many = Array.from({ length: 115 }, (_, index): Row => {
    return [100 + index, 0, FILE, `file-${index}`, 1_000_000];
  });
  expectFound(await examined(write([...TREE, ...many])), "DB_LARGE", {
    line: /holds 109.7 MiB of files, 85 % of the 128 MiB pmxcfs allows$/,
    fix: /^find \/etc\/pve -type f/,
    exit: 1,
  });
});

test("DB_WAL_LARGE: a log that is not folded back", async () => {
  const path = write(TREE);
  writeFileSync(`${path}-wal`, "");
  truncateSync(`${path}-wal`, 80 * 1024 * 1024);
  expectFound(await examined(path), "DB_WAL_LARGE", {
    line: /-wal has 80 MiB \(limit 64 MiB\)$/,
    fix: /^fuser -v .*-wal; systemctl restart pve-cluster$/,
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

test("DB_LOCKED_BY_OTHER: a second pmxcfs holds the lock", async () => {
  const path = write(TREE);
  const lock = `${path}.lock`;
  writeFileSync(lock, "");
  const holder = Bun.spawn(["flock", "--no-fork", lock, "sleep", "60"]);
  try {
    await eventually("locked", () => {
      const { exitCode } = Bun.spawnSync(["flock", "-n", lock, "true"]);
      return exitCode !== 0;
    });
    await using server = await startNode();
    expectFound(await examined(path, server.name), "DB_LOCKED_BY_OTHER", {
      line: new RegExp(
        `^pid ${holder.pid} \\(sleep\\) holds the lock ${lock}, but does not serve @test-`,
      ),
      fix: new RegExp(`^kill ${holder.pid} && systemctl restart pve-cluster$`),
      exit: 2,
    });
  } finally {
    holder.kill("SIGKILL");
    await holder.exited;
  }
});

test("DB_DISK_LOW: the file lies on a small file system", async () => {
  const path = write(TREE);
  const { out } = await sandbox(`mount -t tmpfs -o size=3m tmpfs /mnt
    mkdir -p /var/lib; mount -t tmpfs -o size=3m tmpfs /var/lib; mkdir /var/lib/pve-cluster
    cp '${path}' /var/lib/pve-cluster/config.db
    $CHECK --only database --json || true`);
  expectFound(JSON.parse(out) as Told, "DB_DISK_LOW", {
    line: /config\.db lies on a disk with [\d.]+ MiB free \(limit 100 MiB\)$/,
    fix: /^df -h \/var\/lib\/pve-cluster\/config\.db;/,
    exit: 1,
  });
});

test("NODE_DIRECTORY_MISSING: the file knows other nodes only", async () => {
  const rows: Row[] = [
    [1, 0, DIRECTORY, "nodes"],
    [2, 1, DIRECTORY, "someone-else"],
  ];
  expectFound(await examined(write(rows)), "NODE_DIRECTORY_MISSING", {
    line: new RegExp(`^nodes/${NODE} does not exist; there are: someone-else$`),
    fix: /^cd \/etc\/pve\/nodes && ls && mv /,
    exit: 1,
  });
});

test("CLOCK_BACKWARDS: the last change is of tomorrow", async () => {
  const report = await examined(write(TREE, Math.floor(Date.now() / 1000) + 86_400));
  expectFound(report, "CLOCK_BACKWARDS", {
    line: /^the last change in config\.db is 86\d{3} s in the future \(limit 60 s\)/,
    fix: /^chronyc tracking/,
    exit: 1,
  });
});
