/** Codes about what pmxcfs keeps: /etc/pve, quorum, config.db, graphs, status values. */
import type { Code } from "../code.ts";

export const CLUSTER_CODES = {
  DB_CORRUPT: {
    check: "database",
    severity: "fail",
    line: "{path}: {detail}",
    cause:
      "The file is damaged (power loss, full disk, a copy taken while it was written). pmxcfs does " +
      'not start with it ("memdb_open failed").',
    fix: "systemctl stop pve-cluster; cp -a {path} {path}.broken; sqlite3 {path}.broken .recover | sqlite3 {path}.new",
    seen: ["memdb-open", "service-failed"],
  },
  DB_NOT_PMXCFS: {
    check: "database",
    severity: "fail",
    line: "{path} is an SQLite file without pmxcfs's table: {detail}",
    cause: "Another program's file, or an empty one left by a failed restore.",
    fix: "ls -l {path}*; restore it from a backup",
    seen: ["memdb-open", "service-failed"],
  },
  DB_DUPLICATE_NAME: {
    check: "database",
    severity: "fail",
    line: "{path} holds {name} twice (inodes {first} and {second})",
    cause: 'pmxcfs refuses to load such a file ("found entry with duplicate name").',
    fix: "systemctl stop pve-cluster; cp -a {path} {path}.bak; sqlite3 {path} 'DELETE FROM tree WHERE inode = {first}'",
    seen: ["memdb-open", "service-failed"],
  },
  DB_DUPLICATE_VMID: {
    check: "database",
    severity: "fail",
    line: "{path} has guest {vmid} more than once: {paths}",
    cause: 'pmxcfs refuses to load such a file ("detected duplicate VMID").',
    fix: "systemctl stop pve-cluster; cp -a {path} {path}.bak; sqlite3 {path} 'DELETE FROM tree WHERE inode = {inode}'",
    seen: ["memdb-open", "service-failed"],
  },
  DB_ORPHAN: {
    check: "database",
    severity: "fail",
    line: "{path}: the entry {name} (inode {inode}) lies in a directory that does not exist",
    cause: 'pmxcfs refuses to load such a file ("missing directory inode").',
    fix: "systemctl stop pve-cluster; cp -a {path} {path}.bak; sqlite3 {path} 'DELETE FROM tree WHERE inode = {inode}'",
    seen: ["memdb-open", "service-failed"],
  },
  DB_LOCKED_BY_OTHER: {
    check: "database",
    severity: "fail",
    line: "pid {pid} ({command}) holds the lock {path}, but does not serve @{service}",
    cause:
      "A second pmxcfs, often a pmxcfs -l left behind after a repair. The service cannot start " +
      '("unable to acquire pmxcfs lock").',
    fix: "kill {pid} && systemctl restart pve-cluster",
    seen: ["pmxcfs-lock", "service-failed"],
  },
  DB_DISK_LOW: {
    check: "database",
    severity: "warn",
    line: "{path} lies on a disk with {free} MiB free (limit {limit} MiB)",
    cause:
      "When a write fails, pmxcfs answers every later change with an error until it is restarted.",
    fix: "df -h {path}; apt clean; journalctl --vacuum-size=200M",
    seen: ["memdb-open"],
  },
  DB_PERMISSIONS: {
    check: "database",
    severity: "warn",
    line: "{path} has mode {mode} and owner {uid}:{gid}, not 0600 and 0:0",
    cause: "It holds private keys and password hashes.",
    fix: "chown root:root {path} && chmod 0600 {path}",
  },
  DB_WAL_LARGE: {
    check: "database",
    severity: "warn",
    line: "{path} has {size} MiB (limit {limit} MiB)",
    cause:
      "The write-ahead log is not folded back: a reader that never ends keeps it, or pmxcfs was " +
      "killed again and again.",
    fix: "fuser -v {path}; systemctl restart pve-cluster",
  },
  DB_LARGE: {
    check: "database",
    severity: "warn",
    line: "{path} holds {size} MiB of files, {percent} % of the {limit} MiB pmxcfs allows",
    cause: "/etc/pve is for configuration; something stores data there.",
    fix: "find /etc/pve -type f -size +100k -ls",
  },
  DB_FILE_LARGE: {
    check: "database",
    severity: "warn",
    line: "{name} has {bytes} bytes, {percent} % of the {limit} a client can receive",
    cause: "The reply to a read of this file must fit into 1 MiB, header included.",
    fix: "ls -l /etc/pve/{name}",
    seen: ["no-buffer-space", "file-too-large"],
  },
  RRDCACHED_HUNG: {
    check: "rrd",
    severity: "fail",
    line: "rrdcached ({path}) did not answer within {deadline} ms",
    cause:
      "pmxcfs writes graphs through it with a lock held: while rrdcached hangs, so do the IPC and " +
      "/etc/pve.",
    fix: "systemctl restart rrdcached",
    seen: ["hang"],
  },
  RRDCACHED_ABSENT: {
    check: "rrd",
    severity: "warn",
    line: "nobody answers on {path}: {reason}",
    cause: "Graphs stay empty; the IPC works without it.",
    fix: "systemctl restart rrdcached",
    seen: ["rrd-update"],
  },
  RRD_STALE: {
    check: "rrd",
    severity: "warn",
    line: "the newest {what} is {seconds} s old (limit {limit} s)",
    cause: "pvestatd does not run or hangs, or rrdcached does not write: grey question marks.",
    fix: "systemctl restart pvestatd; journalctl -u pvestatd -n 30",
    seen: ["status-update-time", "rrd-update"],
  },
  RRD_OLD_FORMAT: {
    check: "rrd",
    severity: "notice",
    line: "{count} of {total} graph keys are in the format before PVE 9 ({list})",
    cause: "A node of an older version is still in the cluster, or pvestatd was not restarted.",
    fix: "pveversion (on each node); systemctl restart pvestatd",
    seen: ["rrd-update"],
  },
  STATUS_LARGE: {
    check: "status",
    severity: "warn",
    line: "status value {key} of {node} has {bytes} bytes, {percent} % of {limit}",
    cause: "Above 32 KiB the server answers SET_STATUS with EFBIG and keeps the old value.",
    fix: "pmxcfs-ipc call get-status --node {node} {key}",
    seen: ["file-too-large"],
  },
  STATUS_KEYS_MANY: {
    check: "status",
    severity: "warn",
    line: "node {node} has {count} status keys (limit {limit})",
    cause: "A client makes keys without end; each makes every GET_FS_VERSION reply longer.",
    fix: "pmxcfs-ipc call get-fs-version",
    seen: ["no-buffer-space"],
  },
  PVE_DEAD_MOUNT: {
    check: "mount",
    severity: "fail",
    line: "{path} is a FUSE mount whose server is gone: Transport endpoint is not connected",
    cause:
      "pmxcfs was killed or crashed and left its mount behind; a new one cannot mount over it.",
    fix: "umount -l {path}; systemctl restart pve-cluster",
    seen: ["not-connected"],
  },
  PVE_HUNG: {
    check: "mount",
    severity: "fail",
    line: "{path} is mounted but did not answer within {deadline} ms",
    cause:
      "The FUSE thread of pmxcfs waits: for corosync, for the disk, or for its end (a known hang " +
      "at stop: any connection to the socket frees it).",
    fix: "pmxcfs-ipc call get-fs-version; systemctl restart pve-cluster",
    seen: ["hang"],
  },
  PVE_NOT_MOUNTED: {
    check: "mount",
    severity: "fail",
    line: "{path} is not mounted although pmxcfs (pid {pid}) runs",
    cause: "Somebody unmounted it, or it is mounted in another mount namespace only.",
    fix: "systemctl restart pve-cluster",
    seen: ["empty-after-rename"],
  },
  PVE_NOT_EMPTY: {
    check: "mount",
    severity: "fail",
    line: "{path} is not mounted and not empty: {list}",
    cause:
      'Something wrote there while pmxcfs was down. FUSE refuses to mount over it ("mountpoint is ' +
      'not empty"), so the service cannot start.',
    fix: "mv {path} {path}.stray && mkdir {path} && systemctl restart pve-cluster",
    seen: ["mountpoint", "service-failed"],
  },
  PVE_READ_ONLY: {
    check: "mount",
    severity: "fail",
    line: "{path}/local has mode {mode}: nothing can be written",
    cause: "pmxcfs takes the write bits away while there is no quorum.",
    fix: "pvecm status; corosync-cfgtool -s",
    seen: ["no-quorum"],
  },
  FUSE_MISSING: {
    check: "mount",
    severity: "warn",
    line: "{path} is not there",
    cause:
      "Without it pmxcfs cannot mount /etc/pve and ends (containers: the device is not passed in).",
    fix: "modprobe fuse",
    seen: ["mountpoint", "service-failed"],
  },
  NO_QUORUM: {
    check: "cluster",
    severity: "fail",
    line: "cluster {cluster} is not quorate: {online} of {nodes} nodes online",
    cause: "Without a majority /etc/pve is read-only and no guest can be started or changed.",
    fix: "pvecm status; corosync-cfgtool -s (last resort, one surviving node: pvecm expected 1)",
    seen: ["no-quorum"],
  },
  MEMBERS_OFFLINE: {
    check: "cluster",
    severity: "warn",
    line: "{count} of {nodes} nodes are offline: {list}",
    cause: "They are down, or corosync cannot reach them.",
    fix: "corosync-cfgtool -s; journalctl -u corosync -n 30",
  },
} as const satisfies Record<string, Code>;
