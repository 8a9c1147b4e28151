/**
 * Codes about config.db. The fix of every fault that keeps pmxcfs from loading the file is the
 * same: export what can be read, build a new file of it, verify that, keep the old one with its
 * log under a name that has the time, put the new one in place. All of it under pmxcfs's lock.
 */
import type { Code } from "../code.ts";

const USUAL = "/var/lib/pve-cluster/config.db";

/**
 * An export that could not write everything (exit code 3) ends it; `import` and `verify` come
 * before anything is moved; the copy takes config.db-wal along. Runs
 * in a subshell, so that neither the umask nor the directory of the shell it is pasted into moves.
 */
const REBUILD =
  "systemctl stop pve-cluster; (umask 077; t=$(date +%Y%m%d-%H%M%S); cd {directory} && " +
  'flock -w 20 .pmxcfs.lockfile sh -c "' +
  "pmxcfs-ipc config export --db config.db rescued-$t; [ \\$? -le 1 ] && " +
  "pmxcfs-ipc config import --db new-$t.db rescued-$t && " +
  "pmxcfs-ipc config verify --db new-$t.db && " +
  "mkdir broken-$t && cp -a config.db* broken-$t/ && " +
  "rm -f config.db-wal config.db-shm config.db-journal && " +
  'mv -T new-$t.db config.db") && systemctl start pve-cluster';

const REBUILT =
  "What could be read is in rescued-TIME, the old file with its -wal in broken-TIME, beside the " +
  "new one: compare before you start guests. ";

/** Where nothing can be read. */
export const NOTHING_READ =
  "Nothing can be read from it. Do not start pve-cluster: restore the file and its -wal from a " +
  "backup (`ls -l {path}*` and /var/lib/pve-cluster/backup), and look into the copy first with " +
  "`pmxcfs-ipc config verify`. A member of a cluster gets its tree from the others when there is " +
  "no config.db at all: move the file to another name, then start pve-cluster.";

export const DATABASE_CODES = {
  DB_CORRUPT: {
    title: "a damaged config.db",
    check: "database",
    severity: "fail",
    usualPath: USUAL,
    line: "{path}: {detail}",
    cause:
      "The file is damaged (power loss, full disk, a copy taken while it was written). pmxcfs " +
      'does not start with it ("memdb_open failed").',
    fix: REBUILD,
    advice:
      `${REBUILT}Rows on a damaged page are not in it; a backup, or another node of the cluster, ` +
      "has them.",
    seen: ["memdb-open", "service-failed"],
  },
  DB_NOT_PMXCFS: {
    title: "a config.db without a tree",
    check: "database",
    severity: "fail",
    usualPath: USUAL,
    line: "{path}: {detail}",
    cause:
      "An interrupted copy, a failed restore, a full disk, or the file of another program. " +
      "pmxcfs would start with it, make its table, delete a -wal that is there, and show an " +
      "empty /etc/pve.",
    fix: REBUILD,
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
      'pmxcfs refuses to load such a file ("found entry with duplicate name"). Moving or copying ' +
      "a directory twice with sqlite3 makes one.",
    fix: REBUILD,
    advice:
      `${REBUILT}Two directories of one name become one with the entries of both; of two files ` +
      "of one name the second has its inode number in front of its name.",
    seen: ["memdb-open", "service-failed"],
  },
  DB_DUPLICATE_VMID: {
    title: "a guest twice in config.db",
    check: "database",
    severity: "fail",
    usualPath: USUAL,
    line: "{path}: {detail}",
    cause:
      'pmxcfs refuses to load such a file ("detected duplicate VMID"). Which of the two is the ' +
      "guest's configuration only you can know: by the disks it names, and by the node it ran on.",
    advice:
      "Export the tree, move one of the two files out of it, and build a new file of the rest: " +
      "`pmxcfs-ipc config export --db {path} /root/rescued`, then " +
      "`pmxcfs-ipc config import --db {path}.new /root/rescued` and " +
      "`pmxcfs-ipc config verify --db {path}.new`. Keep the old file and its -wal.",
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
      'directory"), or loads it and nobody can reach the entry.',
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
      "One row is not what pmxcfs writes (an unknown type, no name, a directory with data, row 0 " +
      'under another name), and it refuses the whole file for it ("DB load failed").',
    fix: REBUILD,
    advice: `${REBUILT}The entry is in the new file under a name and of a kind that pmxcfs takes.`,
    seen: ["memdb-open", "service-failed"],
  },
  DB_LOCKED_BY_OTHER: {
    title: "another process holds the lock",
    check: "database",
    severity: "fail",
    usualPath: "/var/lib/pve-cluster/.pmxcfs.lockfile",
    line: "pid {pid} ({command}) holds the lock {path}, but does not serve @{service}",
    cause:
      "A second pmxcfs, often a pmxcfs -l left over from a repair. The service cannot start " +
      '("unable to acquire pmxcfs lock").',
    fix: "[ /proc/{pid}/fd/{fd} -ef {path} ] && kill {pid} && systemctl restart pve-cluster",
    advice:
      "Look at what pid {pid} is and who started it before you end it: `ls -l /proc/{pid}/exe` " +
      "and `cat /proc/{pid}/cgroup`.",
    seen: ["pmxcfs-lock", "service-failed"],
  },
  DB_DISK_LOW: {
    title: "the database's disk is full",
    check: "database",
    severity: "warn",
    usualPath: USUAL,
    line: "{path} lies on a file system with {free} MiB free (limit {limit} MiB)",
    cause:
      "When a write fails, pmxcfs answers every later change with Input/output error until it is " +
      "restarted; with a full disk that restart fails as well.",
    fix:
      "apt-get clean; [ $(df --output=avail -BM {path} | tail -n 1 | tr -dc 0-9) -ge {limit} ] " +
      "&& systemctl restart pve-cluster",
    advice:
      "When that does not free enough: `du -xh / --max-depth=3 | sort -h | tail -n 20`; restart " +
      "pve-cluster only after there is room.",
    seen: ["commit-failed", "memdb-open", "no-space", "join-database"],
  },
  DB_PERMISSIONS: {
    title: "config.db is open to others",
    check: "database",
    severity: "warn",
    usualPath: USUAL,
    line: "{path} has mode {mode} and owner {uid}:{gid}, not 0600 and 0:0",
    cause: "It holds private keys and password hashes.",
    fix: "chown root:root {path} && chmod 0600 {path}",
  },
  DB_WAL_LARGE: {
    title: "a large write-ahead log",
    check: "database",
    severity: "warn",
    usualPath: `${USUAL}-wal`,
    line: "{path} has {size} MiB (limit {limit} MiB){readers}",
    cause:
      "SQLite cannot start the log anew while a reader keeps a transaction open: a backup or a " +
      "sqlite3 shell that was left open, or a pmxcfs that was killed again and again.",
    advice: "End the reader; the log is truncated after the next checkpoint. `fuser -v {path}`",
    seen: ["lock-timeout"],
  },
  DB_LARGE: {
    title: "config.db is nearly full",
    check: "database",
    severity: "warn",
    usualPath: USUAL,
    line: "{path} holds {size} MiB of files, {percent} % of the {limit} MiB pmxcfs allows",
    cause: "/etc/pve is for configuration; something stores data there.",
    advice: "Find the large ones: `find /etc/pve -type f -size +100k -ls`.",
  },
  DB_FILE_LARGE: {
    title: "a file close to 1 MiB",
    check: "database",
    severity: "warn",
    line: "{name} has {bytes} bytes, {percent} % of the {limit} a client can receive",
    cause: "The reply to a read of this file must fit into 1 MiB, header included.",
    advice: "Shorten it: `ls -l /etc/pve/{name}`.",
    seen: ["no-buffer-space", "file-too-large"],
  },
} as const satisfies Record<string, Code>;
