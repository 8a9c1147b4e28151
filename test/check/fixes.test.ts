/**
 * Every fix that the diagnosis prints, executed on the state that it is for: the fault is gone
 * afterwards, and the content of every file of the node is still in some file.
 */
import { CODES, type CodeName, rowOf } from "../../src/tools/diagnosis/codes.ts";
import { needRoot } from "../support/identity.ts";
import { native } from "../support/native.ts";
import { testUnless } from "../support/unless.ts";
import type { Attempt, Tried } from "./servers/try-fix.ts";
import { DIRECTORY, FILE, type Row, writeDatabase } from "./support/database.ts";
import { expectFixed, follow } from "./support/fixes.ts";
import { GUESTS, named, placed, serviceManager, writeLargeDatabase } from "./support/states.ts";
import { codesOf, nodeCommand, shell } from "./support/run.ts";
import { FIXES_S, SYSTEMD_FIXES, followUnderSystemd } from "./support/systemd-fixes.ts";
import { noSystemd } from "./support/systemd.ts";
import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

needRoot();

const directory = mkdtempSync(join(tmpdir(), "check-fixes-"));
afterAll(() => rmSync(directory, { recursive: true }));

const SERVER = `${shell(nodeCommand("svc"))} > /dev/null & server=$!
await listening svc
`;

/** A name server that receives queries and does not answer. */
const SILENT_DNS = `require("node:dgram").createSocket("udp4").bind(53, "127.0.0.1");`;

/** Shell lines for a /dev with few devices; `more` is a command that adds others in /mnt. */
function bareDevices(more = "true"): string {
  return `mount -t tmpfs tmpfs /mnt; cp -a /dev/null /dev/urandom /dev/zero /mnt
    ${more}
    mount --rbind /mnt /dev
  `;
}

let files = 0;

/** Puts a config.db of these rows into place. */
function database(rows: readonly Row[], more = ""): string {
  const path = join(directory, `config-${files++}.db`);
  writeDatabase(path, rows);
  return `cp ${path} /var/lib/pve-cluster/config.db; chmod 0600 /var/lib/pve-cluster/config.db
    ${more}`;
}

/** One leaf page of a file that has many, overwritten with zeroes. */
function damaged(): string {
  const path = join(directory, `damaged-${files++}.db`);
  writeLargeDatabase(path);
  const bytes = readFileSync(path);
  bytes.fill(0, 4096 * 3, 4096 * 4);
  writeFileSync(path, bytes, { mode: 0o600 });
  return placed(path);
}

/** A file of 0 bytes whose -wal has everything: after a full disk, or an interrupted copy. */
function emptyWithLog(): string {
  const path = join(directory, "open.db");
  writeDatabase(path, []);
  const opened = new Database(path);
  const insert = opened.query("INSERT INTO tree VALUES (?, ?, 1, 0, 0, ?, ?, ?)");
  for (const [inode, parent, type, name, content] of GUESTS) {
    insert.run(inode, parent, type, name, typeof content === "string" ? content : null);
  }
  const log = join(directory, "left.wal");
  writeFileSync(log, readFileSync(`${path}-wal`));
  opened.close();
  return `hostname pve1; (umask 077; : > /var/lib/pve-cluster/config.db)
    cp ${log} /var/lib/pve-cluster/config.db-wal`;
}

/** A C server that was killed with a client connected. */
const KILLED = `
${shell([native("qb-faulty-server"), "svc"])} > /dev/null & server=$!
trap 'kill -9 $server 2> /dev/null' EXIT
await listening svc
mkfifo /run/lines; sleep 20 > /run/lines & holder=$!
${shell([native("qb-client"), "svc"])} < /run/lines > /dev/null 2>&1 & client=$!
await sh -c 'ls /dev/shm | grep -q ^qb-'
kill -9 $server $client $holder; wait $server || true
`;

/** Mounts FUSE on /etc/pve without a server; after descriptor 9 is closed the mount is dead. */
const DEAD_FUSE = `exec 9<> /dev/fuse
mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0,allow_other /dev/fuse /etc/pve 9<&9
exec 9>&-
`;

interface Scenario extends Omit<Attempt, "code" | "service" | "roots"> {
  readonly script: string;
  readonly roots?: readonly string[];
  readonly inMachine?: boolean;
  /** Further checks of the result. */
  readonly also?: (tried: Tried) => void;
}

const DATABASE = ["database"];
/** What the file holds that is in place afterwards. */
const TREE = "pmxcfs-ipc config ls --db /var/lib/pve-cluster/config.db";

const SCENARIOS: Partial<Record<CodeName, Scenario>> = {
  GROUP_MISSING: {
    // groupadd keeps the previous state under these names.
    script: `sed -i /^www-data:/d /etc/group /etc/gshadow
      cp /etc/group /etc/group-; cp /etc/gshadow /etc/gshadow-`,
    only: ["identity"],
  },
  NOT_INSTALLED: { script: "true", only: ["listener", "handshake", "requests"], stays: true },
  SERVER_STOPPED: { script: `${SERVER} kill -STOP $server`, only: ["listener"] },
  RESTART_FLAG_STALE: {
    script: `${SERVER} mkdir /run/pve-cluster
      touch -d '5 minutes ago' /run/pve-cluster/cfs-restart-flag`,
    only: ["listener"],
  },
  SHM_MISSING: { script: bareDevices(), only: ["memory"] },
  SHM_READ_ONLY: { script: "mount -o remount,ro /dev/shm", only: ["memory"] },
  SHM_FULL: {
    script: `mount -t tmpfs -o size=4m tmpfs /dev/shm; head -c 2097152 /dev/zero > /dev/shm/filler`,
    only: ["memory"],
    roots: ["/dev/shm"],
  },
  SHM_LOW: { script: "mount -t tmpfs -o size=64m tmpfs /dev/shm", only: ["memory"] },
  SHM_INODES_LOW: {
    script: "mount -t tmpfs -o size=512m,nr_inodes=20 tmpfs /dev/shm",
    only: ["memory"],
  },
  SHM_STALE: { script: KILLED, only: ["leftovers"], inMachine: true },
  NAME_LOOPBACK: {
    script: named("127.0.0.1 localhost\n127.0.1.1 pve1.lan pve1 # the node\n"),
    only: ["name"],
    also: ({ fixes }) => expect(fixes[0]).toContain("s/127\\.0\\.1\\.1/192.0.2.7/"),
  },
  NAME_UNRESOLVED: { script: named("127.0.0.1 localhost"), only: ["name"] },
  NAME_SLOW: {
    script: `${named("127.0.0.1 localhost\n")}
      ip link set lo up
      printf 'nameserver 127.0.0.1\\noptions timeout:20 attempts:3\\n' > /etc/resolv.conf
      printf 'hosts: files dns\\n' > /etc/nsswitch.conf
      ${shell([process.execPath, "-e", SILENT_DNS])} & await grep -q ':0035 ' /proc/net/udp`,
    only: ["name"],
    deadline: "4s",
  },
  DESCRIPTORS_LOW: {
    script: `${SERVER} open=$(ls /proc/$server/fd | wc -l)
      prlimit --pid $server --nofile=$((open + 2)):`,
    only: ["resources"],
  },
  RUN_FULL: {
    script: `mount -t tmpfs -o size=2m tmpfs /run; ! head -c 4M /dev/zero > /run/filler`,
    only: ["resources"],
    roots: ["/run"],
  },
  PVE_DEAD_MOUNT: { script: DEAD_FUSE, only: ["mount"] },
  PVE_NOT_EMPTY: { script: "echo a > /etc/pve/storage.cfg", only: ["mount"] },
  PVE_REMOUNTED_READ_ONLY: {
    script: `${named("127.0.0.1 localhost\n192.0.2.7 pve1\n")}
      pmxcfs-ipc serve --mount /etc/pve --local --no-rrd > /run/log 2>&1 &
      await test -L /etc/pve/local; echo keep > /etc/pve/storage.cfg
      mount -i -o remount,ro pmxcfs /etc/pve; ! touch /etc/pve/refused`,
    only: ["mount"],
    roots: ["/etc/pve/storage.cfg"],
    look: "echo new > /etc/pve/user.cfg; cat /etc/pve/user.cfg",
    also: ({ looked }) => expect(looked).toBe("new\n"),
  },
  FUSE_MISSING: {
    script: `cp $(command -v sleep) /opt/bin/pmxcfs
      ${bareDevices("mkdir /mnt/shm; mount --bind /dev/shm /mnt/shm")}`,
    only: ["mount"],
  },
  DB_PERMISSIONS: {
    script: `hostname pve1; ${database(GUESTS, "chmod 0644 /var/lib/pve-cluster/config.db")}`,
    only: DATABASE,
  },
  DB_DISK_LOW: {
    script: `hostname pve1
      mount -t tmpfs -o size=120m tmpfs /var
      mkdir -p /var/lib/pve-cluster /var/lib/dpkg /var/lib/apt/lists /var/cache/apt/archives/partial
      touch /var/lib/dpkg/status; ${database(GUESTS)}
      head -c 60000000 /dev/zero > /var/cache/apt/archives/a_1_all.deb`,
    only: DATABASE,
  },
  DB_LOCKED_BY_OTHER: {
    script: `hostname pve1; ${database(GUESTS)}
      cp $(command -v sleep) /opt/bin/pmxcfs
      lock=/var/lib/pve-cluster/.pmxcfs.lockfile
      flock --no-fork $lock /opt/bin/pmxcfs 60 & await sh -c "! flock -n $lock true"`,
    only: DATABASE,
    also: ({ fixes }) => expect(fixes[0]).toMatch(/^\[ \/proc\/\d+\/fd\/\d+ -ef .* \] && kill \d+/),
  },
  FILES_LEFT: {
    // The node's own /etc/pve, with a file of a shell that has ended and one of the server.
    script: `${named("127.0.0.1 localhost\n192.0.2.7 pve1\n")}
      pmxcfs-ipc serve --mount /etc/pve --local --no-rrd > /run/log 2>&1 & server=$!
      await test -L /etc/pve/local
      mkdir -p /etc/pve/nodes/pve1/qemu-server; echo keep > /etc/pve/storage.cfg
      sh -c 'echo left > /etc/pve/nodes/pve1/qemu-server/100.conf.tmp.$$'
      echo busy > /etc/pve/user.cfg.tmp.$server`,
    only: ["files"],
    roots: ["/etc/pve/nodes", "/etc/pve/storage.cfg", "/root"],
    look: "ls /etc/pve /etc/pve/nodes/pve1/qemu-server; find /root -type f",
    also({ looked }) {
      expect(looked).toMatch(/^user\.cfg\.tmp\.\d+$/m);
      expect(looked).not.toMatch(/^100\.conf\.tmp/m);
      expect(looked).toMatch(/^\/root\/pve-left-\S+\/100\.conf\.tmp\.\d+$/m);
    },
  },
  DB_CORRUPT: {
    script: damaged(),
    only: DATABASE,
    look: TREE,
    also: ({ looked }) => expect(looked).toContain("nodes/pve1/qemu-server/101.conf\n"),
  },
  DB_NOT_PMXCFS: {
    script: emptyWithLog(),
    only: DATABASE,
    look: TREE,
    also: ({ looked }) => expect(looked).toContain("nodes/pve1/qemu-server/101.conf\n"),
  },
  DB_DUPLICATE_NAME: {
    script: `hostname pve1; ${database([
      ...GUESTS,
      [14, 2, DIRECTORY, "qemu-server"],
      [15, 14, FILE, "110.conf", "memory: 3\n"],
    ])}`,
    only: DATABASE,
    until: "DB_",
    look: TREE,
    also({ looked }) {
      expect(looked).toContain("nodes/pve1/qemu-server/100.conf\n");
      expect(looked).toContain("nodes/pve1/qemu-server/101.conf\n");
      expect(looked).toContain("nodes/pve1/qemu-server/110.conf\n");
    },
  },
  DB_ORPHAN: {
    script: `hostname pve1; ${database([...GUESTS, [30, 4711, FILE, "lost", "precious\n"]])}`,
    only: DATABASE,
    until: "DB_",
    look: TREE,
    also: ({ looked }) => expect(looked).toMatch(/^lost\+found\/.*lost$/m),
  },
  DB_ENTRY_REFUSED: {
    script: `hostname pve1; ${database([...GUESTS, [20, 0, DIRECTORY, "priv", "some data\n"]])}`,
    only: DATABASE,
    until: "DB_",
    look: TREE,
    also: ({ looked }) => expect(looked).toContain("nodes/pve1/qemu-server/101.conf\n"),
  },
};

for (const [code, { script, also, inMachine, ...attempt }] of Object.entries(SCENARIOS)) {
  test(`the fix of ${code} removes the fault and nothing else`, async () => {
    const tried = await follow(
      script,
      { code: code as CodeName, ...attempt },
      inMachine === true ? { inMachine } : {},
    );
    expectFixed(tried, code);
    also?.(tried);
  });
}

test("the fix of a full disk restarts the service also when there is no config.db", async () => {
  const script = `${SCENARIOS.DB_DISK_LOW?.script}
    rm /var/lib/pve-cluster/config.db
    ${serviceManager()}`;
  const look = "grep restart /run/systemctl";
  const tried = await follow(script, { code: "DB_DISK_LOW", only: DATABASE, look });
  expectFixed(tried, "DB_DISK_LOW");
  expect(tried.looked).toBe("restart pve-cluster\n");
});

test("the fix of used-up inodes works where the kernel refuses the usual bound", async () => {
  const links = 2 ** 20 + 16;
  const script = `mount -t tmpfs -o size=512m,nr_inodes=${links + 10} tmpfs /dev/shm
    python3 -c 'import os
open("/dev/shm/a", "w").close()
for at in range(${links}): os.link("/dev/shm/a", "/dev/shm/%d" % at)'
    ! mount -o remount,nr_inodes=1m /dev/shm`;
  const tried = await follow(script, { code: "SHM_INODES_LOW", only: ["memory"] });
  expectFixed(tried, "SHM_INODES_LOW");
});

test("a -wal without its file is found, and the advice leads to the fix", async () => {
  const script = `${SCENARIOS.DB_NOT_PMXCFS?.script}\nrm /var/lib/pve-cluster/config.db`;
  const attempt = { code: "DB_NOT_PMXCFS", only: DATABASE, look: TREE } as const;
  const { first, fixes } = await follow(script, attempt);
  const { text, advice } = first.findings.find(({ code }) => code === "DB_NOT_PMXCFS") ?? {};
  expect(text).toMatch(/config\.db: there is none, while \S+config\.db-wal has \d+ bytes$/);
  const touch = "(umask 077; touch /var/lib/pve-cluster/config.db)";
  expect(advice).toContain(`\`${touch}\``);
  expect(fixes).toEqual([]);
  const tried = await follow(`${script}\n${touch}`, attempt);
  expectFixed(tried, "DB_NOT_PMXCFS");
  expect(tried.looked).toContain("nodes/pve1/qemu-server/101.conf\n");
});

test("a tree without an entry is not put into place of a file", async () => {
  const script = `${damaged()}
    ${serviceManager("[ $1 != stop ] || : > /var/lib/pve-cluster/config.db")}`;
  const attempt = { code: "DB_CORRUPT", only: DATABASE, roots: ["/root"] } as const;
  const look = "ls /var/lib/pve-cluster; cat /run/systemctl";
  const { first, looked } = await follow(script, { ...attempt, look });
  expect(codesOf(first)).toContain("DB_CORRUPT");
  expect(looked).not.toMatch(/^(new|broken)-/m);
  expect(looked).not.toMatch(/^start /m);
});

test("the fix of a damaged file changes nothing if the disk has no room for it", async () => {
  const script = `${damaged()}
    size=$(stat -c %s /var/lib/pve-cluster/config.db); mkdir /run/small
    mount -t tmpfs -o size=$((size / 1024 + 16))k tmpfs /run/small
    mv /var/lib/pve-cluster/config.db /run/small; mount --bind /run/small /var/lib/pve-cluster`;
  const attempt = { code: "DB_CORRUPT", only: DATABASE, look: "ls /var/lib/pve-cluster" } as const;
  const { first, second, output, looked, lost } = await follow(script, attempt);
  expect(codesOf(first)).toContain("DB_CORRUPT");
  expect(output).toMatch(/not written: .*no space/i);
  expect(lost).toEqual([]);
  expect(looked).not.toMatch(/^(new|broken)-/m);
  expect(codesOf(second)).toContain("DB_CORRUPT");
});

test("the fix of NETNS_DIFFERS runs the check in the server's namespace", async () => {
  const attempt = { code: "NETNS_DIFFERS", only: ["identity", "listener"] } as const;
  const tried = await follow(SERVER, attempt, { through: "unshare -n" });
  expect(tried.first.verdict.code).toBe("NETNS_DIFFERS");
  expect(tried.fixes).toEqual(["nsenter --target 1 --net pmxcfs-ipc --check --socket svc"]);
  expect(tried.output).not.toMatch(/SOCKET_ABSENT|NETNS_DIFFERS/);
  expect(tried.output).toMatch(/TOTAL: \d+ {2}PASSED: [1-9]/);
});

testUnless(noSystemd())(
  "fixes by systemctl repair their faults under a real systemd",
  async () => {
    const tried = await followUnderSystemd();
    expect([...tried.keys()]).toEqual(Object.keys(SYSTEMD_FIXES));
    for (const [code, result] of tried) {
      expectFixed(result, code);
      // Else the next state would not be made from a node that works.
      const { output, looked } = result;
      if (!output.endsWith("exit 0\n")) throw new Error(`the fix of ${code}: ${output}${looked}`);
    }
  },
  (FIXES_S + 30) * 1000,
);

test("every code with a fix is followed by a test", () => {
  // The last one needs corosyncs: versions.test.ts.
  const others = ["NETNS_DIFFERS", "COROSYNC_CONF_DIFFERS"];
  const followed = [...Object.keys(SCENARIOS), ...Object.keys(SYSTEMD_FIXES), ...others];
  const printed = (Object.keys(CODES) as CodeName[]).filter(
    (code) => rowOf(code).fix !== undefined,
  );
  expect(printed.filter((code) => !followed.includes(code))).toEqual([]);
  expect(followed.filter((code) => rowOf(code as CodeName)?.fix === undefined)).toEqual([]);
});
