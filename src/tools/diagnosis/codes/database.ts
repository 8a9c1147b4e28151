/**
 * Codes about config.db. Every fault that prevents pmxcfs from loading the file has the same fix:
 * export the readable entries, build a new file from them, verify it, keep the old file with its
 * log in a directory named after the time, put the new file in place. pmxcfs's lock is held during
 * all steps.
 */
import { PVE } from "../../../base/paths.ts";
import type { Code } from "../code.ts";

const USUAL = PVE.database;

const EXPORT = "pmxcfs-ipc config export --db config.db rescued-$t";

/** `import` and `verify` run before any file is moved; the copy includes config.db-wal. */
const REPLACE =
  "pmxcfs-ipc config import --db new-$t.db rescued-$t && " +
  "pmxcfs-ipc config verify --db new-$t.db && " +
  "mkdir broken-$t && cp -a config.db* broken-$t/ && " +
  "rm -f config.db-wal config.db-shm config.db-journal && mv -T new-$t.db config.db";

/**
 * Nothing is stopped if this program is not on the path. The steps run in a subshell, because they
 * change umask and directory. `before` runs while pmxcfs may run, `rescue` makes rescued-TIME if it
 * is not there; an export that could not write everything (exit code 3) ends the fix.
 */
function rebuild(before: string, rescue: string): string {
  return (
    "pmxcfs-ipc --version && (umask 077; t=$(date +%Y%m%d-%H%M%S); cd {directory} && " +
    `${before}{ systemctl stop pve-cluster; flock -w 20 .pmxcfs.lockfile sh -c ` +
    `"{ ${rescue}; [ \\$? -le 1 ]; } && ${REPLACE}"; }) && systemctl start pve-cluster`
  );
}

const REBUILD = rebuild("", EXPORT);

/**
 * For a file that lacks rows. A pmxcfs that runs has them in memory: the tree that is mounted is
 * copied before it is stopped, and takes the place of the export.
 */
const REBUILD_LACKING = rebuild(
  `if mountpoint -q ${PVE.mount} && [ -h ${PVE.mount}/local ]; then ` +
    `cp -a ${PVE.mount} rescued-$t; fi && `,
  `[ -d rescued-$t ] || ${EXPORT}`,
);

/** dcdb.c: the tree with the highest version becomes that of all. */
const VERSION =
  "The new file has a low version: when this node meets other members of a cluster, it gets " +
  "their tree, and a change that only this node had is then in rescued-TIME only. ";

const REBUILT =
  "The exported entries are in rescued-TIME, the old file with its -wal in broken-TIME, beside " +
  `the new file: compare them before you start guests. ${VERSION}`;

/** The advice if pmxcfs runs, and has what the file lacks. */
export const IN_MEMORY =
  "pmxcfs runs and has the whole tree in memory: do not restart it in another way. The command " +
  "copies /etc/pve to rescued-TIME first, and makes the new file from it; the old file with its " +
  `-wal is then in broken-TIME. ${VERSION}`.trimEnd();

/** The advice if no entry can be read. */
export const NOTHING_READ =
  "Nothing can be read from it. Do not start pve-cluster: restore the file and its -wal from a " +
  "backup (`ls -l {path}*` and /var/lib/pve-cluster/backup), and check the copy first with " +
  "`pmxcfs-ipc config verify`. A member of a cluster gets its tree from the others when there is " +
  "no config.db at all: move the file, and its -wal if there is one, to another directory, then " +
  "start pve-cluster.";

/** The advice if there is only the -wal. */
export const LOG_ALONE =
  "Do not start pve-cluster: it would make an empty file, and SQLite would remove the -wal. " +
  "`(umask 077; touch {path})`, then `pmxcfs-ipc --check --only database` prints the command " +
  "that makes a new file from the -wal. If the file was removed so that this node takes the tree " +
  "of its cluster, move the -wal to another directory, too.";

export const DATABASE_CODES = {
  DB_CORRUPT: {
    title: "a damaged config.db",
    check: "database",
    severity: "fail",
    usualPath: USUAL,
    line: "{path}: {detail}",
    cause:
      "The file is damaged by a power loss, a full disk, or a copy made during a write. pmxcfs " +
      'does not start with it ("memdb_open failed").',
    fix: REBUILD_LACKING,
    advice:
      `${REBUILT}If pmxcfs was stopped, rows of a damaged page are missing: take them from a ` +
      "backup or another node of the cluster.",
    seen: ["memdb-open", "service-failed"],
  },
  DB_NOT_PMXCFS: {
    title: "a config.db without a tree",
    check: "database",
    severity: "fail",
    usualPath: USUAL,
    line: "{path}: {detail}",
    cause:
      "It comes from an interrupted copy, a failed restore, a full disk, or another program. " +
      "pmxcfs would start with it: create its table, delete an existing -wal, and show an empty " +
      "/etc/pve.",
    fix: REBUILD_LACKING,
    advice: `${REBUILT}Do not start pve-cluster with the file as it is.`,
    seen: ["empty-after-rename"],
  },
  DB_DUPLICATE_NAME: {
    title: "a name twice in config.db",
    check: "database",
    severity: "fail",
    usualPath: USUAL,
    line: "{path}: {detail}",
    cause:
      'pmxcfs refuses to load such a file ("found entry with duplicate name"). Such rows come ' +
      "from changes with sqlite3, for example a directory that was copied or moved twice.",
    fix: REBUILD,
    advice:
      `${REBUILT}Two directories of one name are merged; of two files of one name, the second ` +
      "has its inode number in front of its name.",
    seen: ["memdb-open", "service-failed"],
  },
  DB_DUPLICATE_VMID: {
    title: "a guest twice in config.db",
    check: "database",
    severity: "fail",
    usualPath: USUAL,
    line: "{path}: {detail}",
    cause:
      'pmxcfs refuses to load such a file ("detected duplicate VMID"). No tool can determine ' +
      "which of the two files is the right one: compare the disks they name, and the node on " +
      "which the guest ran.",
    advice:
      "Export the tree, move one of the two files out of it, and build a new database from the " +
      "rest: `pmxcfs-ipc config export --db {path} /root/rescued`, then `pmxcfs-ipc config " +
      "import --db {path}.new /root/rescued` and `pmxcfs-ipc config verify --db {path}.new`. " +
      "Keep the old file and its -wal.",
    seen: ["memdb-open", "service-failed"],
  },
  DB_ORPHAN: {
    title: "an entry without its directory",
    check: "database",
    severity: "fail",
    usualPath: USUAL,
    line: "{path}: {detail}",
    cause:
      'pmxcfs refuses to load such a file ("missing directory inode", "parent is not a ' +
      'directory"), or loads it without access to the entry.',
    fix: REBUILD,
    advice:
      `${REBUILT}The entry is then below /etc/pve/lost+found, under its inode and name: move it ` +
      "to where it belongs.",
    seen: ["memdb-open", "service-failed"],
  },
  DB_ENTRY_REFUSED: {
    title: "an entry that pmxcfs refuses",
    check: "database",
    severity: "fail",
    usualPath: USUAL,
    line: "{path}: {detail}",
    cause:
      "One row has a form that pmxcfs does not write (an unknown type, no name, a directory with " +
      'data, row 0 under another name), so pmxcfs refuses the whole file ("DB load failed").',
    fix: REBUILD,
    advice: `${REBUILT}In the new file the entry has a name and a type that pmxcfs accepts.`,
    seen: ["memdb-open", "service-failed"],
  },
  DB_LOCKED_BY_OTHER: {
    title: "another process holds the lock",
    check: "database",
    severity: "fail",
    usualPath: "/var/lib/pve-cluster/.pmxcfs.lockfile",
    line: "pid {pid} ({command}) holds the lock {path}, but does not serve @{service}",
    cause:
      "Another pmxcfs runs, often a pmxcfs -l that was started for a repair. The service cannot " +
      'start ("unable to acquire pmxcfs lock").',
    fix: "[ /proc/{pid}/fd/{fd} -ef {path} ] && kill {pid} && systemctl restart pve-cluster",
    advice:
      "Before you end pid {pid}, check its program and the unit that started it: `ls -l " +
      "/proc/{pid}/exe` and `cat /proc/{pid}/cgroup`.",
    seen: ["pmxcfs-lock", "service-failed"],
  },
  DB_REPLACED: {
    title: "pmxcfs writes another file than config.db",
    check: "database",
    severity: "fail",
    usualPath: USUAL,
    line: "pid {pid} ({command}) writes {written}, not {path}",
    cause:
      "config.db was removed, renamed or replaced while pmxcfs runs. It serves and writes its " +
      "old file; its next start loads what is then at {path}, and shows an empty /etc/pve if " +
      "there is nothing.",
    advice:
      "Decide before pve-cluster is restarted. To keep what is served: `cp -a /etc/pve " +
      "/root/pve-kept`, `systemctl stop pve-cluster`, `pmxcfs-ipc config import --force --db " +
      "{path} /root/pve-kept`, `systemctl start pve-cluster`. If another file was put there on " +
      "purpose, `systemctl restart pve-cluster` loads it.",
    seen: ["db-replaced", "empty-after-rename"],
  },
  DB_READ_ONLY: {
    title: "the database's file system is read-only",
    check: "database",
    severity: "fail",
    usualPath: USUAL,
    line: "{path} lies on a file system that is read-only: {point} ({type})",
    cause:
      "The kernel makes a file system read-only after an error of its disk, or it was not " +
      "mounted for writing at boot. A running pmxcfs answers reads from memory, and every " +
      "change of /etc/pve with Input/output error; a stopped one does not start.",
    advice:
      "Look at `dmesg | tail -n 50`. First copy config.db and the files beside it (`ls -l " +
      "{path}*`) to another machine. If there are errors of the disk, stop here and replace it; " +
      "without any: `mount -o remount,rw {point} && systemctl restart pve-cluster`",
    seen: ["commit-failed", "pmxcfs-lock", "read-only-file-system"],
  },
  DB_DISK_LOW: {
    title: "the database's disk is full",
    check: "database",
    severity: "warn",
    usualPath: USUAL,
    line: "{path} lies on a file system with {free} MiB free (limit {limit} MiB)",
    cause:
      "A write that does not fit fails with Input/output error. The C server then fails every " +
      "later change too, until it is restarted, and with a full disk that restart fails as well.",
    fix:
      "apt-get clean; [ $(df --output=avail -BM {directory} | tail -n 1 | tr -dc 0-9) -ge " +
      "{limit} ] && systemctl restart pve-cluster",
    advice:
      "If that does not free enough: `du -xh {point} --max-depth=3 | sort -h | tail -n 20`; " +
      "restart pve-cluster only after there is room.",
    seen: ["commit-failed", "memdb-open", "no-space", "join-database"],
  },
  DB_INODES_LOW: {
    title: "the database's disk has no free inodes",
    check: "database",
    severity: "warn",
    usualPath: USUAL,
    line: "{path} lies on a file system with {free} of {total} inodes free (limit {limit})",
    cause:
      "pmxcfs makes config.db-wal and config.db-shm at each start. Without free inodes it does " +
      'not start ("unable to open database file"), and other programs get No space left on ' +
      "device, although `df` shows free space.",
    advice:
      "The directories with the most files: `du -x --inodes {point} | sort -n | tail -n 20`. " +
      "Remove files that nothing needs (old sessions, mail queues, caches), then `systemctl " +
      "restart pve-cluster`.",
    seen: ["no-space", "memdb-open"],
  },
  DB_PERMISSIONS: {
    title: "config.db is open to others",
    check: "database",
    severity: "warn",
    usualPath: USUAL,
    line: "{path} has mode {mode} and owner {uid}:{gid}, not 0600 and 0:0",
    cause: "The file has private keys and password hashes.",
    fix: "chown root:root {path} && chmod 0600 {path}",
  },
  DB_WAL_LARGE: {
    title: "a large write-ahead log",
    check: "database",
    severity: "warn",
    usualPath: `${USUAL}-wal`,
    line: "{path} has {size} MiB (limit {limit} MiB){readers}",
    cause:
      "SQLite cannot restart the log from its beginning while a reader keeps a transaction open, " +
      "for example a backup or an open sqlite3 shell.",
    advice:
      "End the reader; the log is truncated after the next checkpoint. To find the reader: " +
      "`fuser -v {path}`",
    seen: ["lock-timeout", "wal-kept"],
  },
  DB_LARGE: {
    title: "config.db is nearly full",
    check: "database",
    severity: "warn",
    usualPath: USUAL,
    line: "{path} holds {size} MiB of files, {percent} % of the {limit} MiB pmxcfs allows",
    cause: "/etc/pve is for configuration, and a program stores data there.",
    advice: "Find the large files: `find /etc/pve -type f -size +100k -ls`.",
  },
  DB_FILE_LARGE: {
    title: "a file close to 1 MiB",
    check: "database",
    severity: "warn",
    line: "{name} has {bytes} bytes, {percent} % of the {limit} a client can receive",
    cause: "The reply to a read of this file must fit into 1 MiB, header included.",
    advice: "Shorten the file. Its size: `ls -l /etc/pve/{name}`.",
    seen: ["no-buffer-space", "file-too-large"],
  },
} as const satisfies Record<string, Code>;
