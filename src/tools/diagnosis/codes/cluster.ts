/** Codes about /etc/pve, the cluster and its quorum, graphs, and status values. */
import { PVE, RRDCACHED } from "../../../base/paths.ts";
import type { Code } from "../code.ts";

export const CLUSTER_CODES = {
  RRDCACHED_HUNG: {
    title: "rrdcached hangs",
    check: "rrd",
    severity: "fail",
    usualPath: RRDCACHED.socket,
    line: "rrdcached ({path}) did not answer within {deadline} ms",
    cause:
      "pmxcfs sends graph data to rrdcached. The C server holds a lock meanwhile: if rrdcached " +
      "hangs, the IPC and /etc/pve hang too.",
    fix: "systemctl restart rrdcached",
    seen: ["hang"],
  },
  RRDCACHED_ABSENT: {
    title: "rrdcached does not run",
    check: "rrd",
    severity: "warn",
    usualPath: RRDCACHED.socket,
    line: "nothing answers on {path}: {reason}",
    cause: "Graphs stay empty. The IPC works without rrdcached.",
    fix: "systemctl restart rrdcached",
    seen: ["rrd-update"],
  },
  RRD_STALE: {
    title: "old graph data",
    check: "rrd",
    severity: "warn",
    line: "the newest {what} is {seconds} s old (limit {limit} s)",
    cause:
      "pvestatd does not run or hangs, or rrdcached does not write. The GUI shows grey question " +
      "marks.",
    advice: "Look at `journalctl -u pvestatd -n 30`, then `systemctl restart pvestatd`.",
    seen: ["status-update-time", "rrd-update"],
  },
  RRD_OLD_FORMAT: {
    title: "graph data in an old format",
    check: "rrd",
    severity: "notice",
    line: "{count} of {total} graph keys {count:is|are} in the format before PVE 9 ({list})",
    cause:
      "The cluster has a node of an older version, or pvestatd was not restarted after an upgrade.",
    advice: "Look at `pveversion` on each node; after an upgrade, `systemctl restart pvestatd`.",
    seen: ["rrd-update"],
  },
  STATUS_LARGE: {
    title: "a large status value",
    check: "status",
    severity: "warn",
    line: "status value {key} of {node} has {bytes} bytes, {percent} % of {limit}",
    cause: "Above 32 KiB the server answers SET_STATUS with EFBIG and keeps the old value.",
    advice: "Show the value: `pmxcfs-ipc call get-status --node {node} {key}`.",
    seen: ["file-too-large"],
  },
  STATUS_KEYS_MANY: {
    title: "too many status keys",
    check: "status",
    severity: "warn",
    line: "node {node} has {count} status keys (limit {limit})",
    cause:
      "A client creates new keys without a limit. Each key makes every GET_FS_VERSION reply " +
      "longer.",
    advice: "Show the keys: `pmxcfs-ipc call get-fs-version`.",
    seen: ["no-buffer-space"],
  },
  PVE_DEAD_MOUNT: {
    title: "a dead FUSE mount",
    check: "mount",
    severity: "fail",
    usualPath: PVE.mount,
    line:
      "{path} is a FUSE mount whose server is gone: Transport endpoint is " +
      "not connected{inside}",
    cause:
      "pmxcfs was killed or crashed, and its mount remained. A new C server cannot mount over it " +
      "while a process has its directory or a file there.",
    fix: "umount -l {path} && systemctl restart pve-cluster",
    seen: ["not-mounted", "server-killed", "not-connected"],
  },
  PVE_OLD_MOUNT_HELD: {
    title: "processes with an old, dead /etc/pve",
    check: "mount",
    severity: "warn",
    usualPath: PVE.mount,
    line: "{count} {count:process sees|processes see} an old {path} whose server is gone: {list}",
    cause:
      "They have a mount namespace of their own (a container that binds /etc/pve, a hardened " +
      "service), or their directory is in the old mount. A restart of pmxcfs does not change " +
      "that: each access gives Transport endpoint is not connected until they are restarted.",
    advice: "Restart these services or containers; `cat /proc/{pid}/cgroup` names the unit.",
    seen: ["not-connected"],
  },
  PVE_HUNG: {
    title: "/etc/pve hangs",
    check: "mount",
    severity: "fail",
    usualPath: PVE.mount,
    line: "{path} is mounted but did not answer within {deadline} ms",
    cause:
      "The FUSE thread of pmxcfs waits for corosync or the disk, or a stop of the C server hangs " +
      "(a known fault: any connection to the socket ends that hang).",
    advice:
      "`pmxcfs-ipc call get-fs-version` ends the hang of a stop; otherwise `systemctl restart " +
      "pve-cluster`.",
    seen: ["hang", "daemon-timeout"],
  },
  PVE_SLOW: {
    title: "/etc/pve answers slowly",
    check: "mount",
    severity: "warn",
    usualPath: PVE.mount,
    line: "{path} took {ms} ms for one stat (limit {limit} ms)",
    cause:
      "pmxcfs waits for a slow disk below /var/lib/pve-cluster, for rrdcached, or for corosync.",
    advice: "Look at `pmxcfs-ipc --check --only rrd,stuck,database` and `corosync-cfgtool -s`.",
    seen: ["lock-timeout", "hang"],
  },
  PVE_NOT_MOUNTED: {
    title: "/etc/pve is not mounted",
    check: "mount",
    severity: "fail",
    usualPath: PVE.mount,
    line: "{path} is not mounted although pmxcfs (pid {pid}) runs",
    cause: "It was unmounted, or it is mounted in another mount namespace only.",
    fix: "systemctl restart pve-cluster",
    advice:
      "If no fix is printed, the server was not started by the service: stop pid {pid} in the " +
      "way it was started, then `systemctl start pve-cluster`.",
    seen: ["not-mounted", "empty-after-rename"],
  },
  PVE_WITHOUT_SERVER: {
    title: "/etc/pve is mounted, and nothing serves the IPC",
    check: "mount",
    severity: "fail",
    usualPath: PVE.mount,
    line: "{path} is mounted and answers, but nothing listens on @{service}",
    cause:
      "The name was taken when pmxcfs started, its IPC thread ended, or pmxcfs runs in another " +
      "network namespace.",
    fix: "systemctl restart pve-cluster",
    seen: ["connection-refused"],
  },
  PVE_MOUNTED_TWICE: {
    title: "/etc/pve is mounted more than once",
    check: "mount",
    severity: "warn",
    usualPath: PVE.mount,
    line: "{path} has {count} mounts on top of each other: {list}",
    cause:
      "Two servers run, or /etc/pve was bind-mounted after the start of pmxcfs. New accesses use " +
      "the uppermost mount; processes that opened files earlier use a lower one.",
    advice:
      "`findmnt {path}` lists them. Stop pve-cluster, repeat `umount {path}` until nothing is " +
      "mounted, start pve-cluster again.",
    seen: ["not-mounted"],
  },
  PVE_NAMESPACE_READ_ONLY: {
    title: "/etc/pve is read-only in this mount namespace",
    check: "mount",
    severity: "warn",
    usualPath: PVE.mount,
    line: "{path} is mounted read-only in the mount namespace of this process ({namespace})",
    cause:
      "The namespace has a read-only bind mount, or its service has ProtectSystem. Only writes " +
      "in this namespace give EROFS (Read-only file system). Without quorum the error is EACCES " +
      "(Permission denied).",
    advice: "In the unit of the service, set ReadWritePaths={path}, or remove ProtectSystem.",
    seen: ["read-only-file-system"],
  },
  PVE_REMOUNTED_READ_ONLY: {
    title: "/etc/pve is mounted read-only",
    check: "mount",
    severity: "fail",
    usualPath: PVE.mount,
    line: "{path} is mounted read-only, for all processes: every write gives EROFS",
    cause:
      "Somebody remounted it (mount -o remount,ro). pmxcfs mounts it writable, and shows a lack " +
      "of quorum by its modes and by EACCES (Permission denied).",
    fix: "mount -i -o remount,rw pmxcfs {path}",
    seen: ["read-only-file-system"],
  },
  PVE_NOT_EMPTY: {
    title: "files in /etc/pve prevent its mount",
    check: "mount",
    severity: "fail",
    usualPath: PVE.mount,
    line: "{path} is not mounted and not empty: {list}",
    cause:
      "A program wrote there while pmxcfs was not running. FUSE refuses to mount over files " +
      '("mountpoint is not empty"), so the service cannot start.',
    fix:
      "mv -nT {path} {path}.stray-$(date +%Y%m%d-%H%M%S) && mkdir -m 0755 {path} && " +
      "systemctl restart pve-cluster",
    advice: "Compare {path}.stray-TIME with /etc/pve afterwards: it can have newer files.",
    seen: ["mountpoint", "service-failed"],
  },
  PVE_READ_ONLY: {
    title: "/etc/pve is read-only for lack of quorum",
    check: "mount",
    severity: "fail",
    usualPath: PVE.mount,
    line: "{path}/local has mode {mode}: nothing can be written",
    cause:
      "Without quorum pmxcfs shows modes without write bits, and writes give EACCES (Permission " +
      "denied).",
    advice: "Look at `pvecm status` and `corosync-cfgtool -s`.",
    seen: ["no-quorum"],
  },
  FUSE_MISSING: {
    title: "no /dev/fuse",
    check: "mount",
    severity: "warn",
    usualPath: "/dev/fuse",
    line: "{path} is not there",
    cause:
      "Without it pmxcfs cannot mount /etc/pve, and ends. A container needs the device passed in.",
    fix: "modprobe fuse; [ -e {path} ] || mknod -m 0666 {path} c 10 229",
    seen: ["mountpoint", "service-failed"],
  },
  LOCKS_HELD: {
    title: "locks below /etc/pve/priv/lock",
    check: "files",
    severity: "notice",
    line: "{count} {count:lock|locks} in {path}: {list}",
    cause:
      "A task that changes a file of the cluster holds a lock. Other tasks wait up to 10 s for " +
      "it, then report a timeout. HA refreshes its locks continuously.",
    advice: "A lock that is not refreshed expires after 120 s: do not remove it.",
    seen: ["lock-timeout", "replication"],
  },
  FILES_LEFT: {
    title: "temporary files left in /etc/pve",
    check: "files",
    severity: "notice",
    line: "{count} {count:temporary file was|temporary files were} left in {path}: {list}",
    cause:
      "A program ended after it wrote a file and before it renamed it. No program reads these " +
      "files, and they take space on all nodes.",
    fix: "{command}",
    advice:
      "The command keeps a copy of each file below /root. It is printed only if /etc/pve is " +
      "mounted.",
  },
  NO_QUORUM: {
    title: "no quorum",
    check: "cluster",
    severity: "fail",
    line: "cluster {cluster} is not quorate: {online} of {nodes} nodes online",
    cause:
      "Without a majority of the votes /etc/pve is read-only, and no guest can be started or " +
      "changed.",
    advice:
      "Look at `pvecm status` and `corosync-cfgtool -s`. Only if the other nodes are certainly " +
      "off and stay off: `pvecm expected 1` on the remaining node.",
    seen: ["corosync-connect", "ha-lost-lock", "no-quorum"],
  },
  COROSYNC_CONF_DIFFERS: {
    title: "corosync.conf is not the same everywhere",
    check: "cluster",
    severity: "warn",
    line: "config_version: {tree} in /etc/pve, {host} in /etc/corosync, running {running}{odd}",
    cause:
      "The file in /etc/pve is the cluster's, the file in /etc/corosync is this node's copy. A " +
      "corosync with a lower version than a member runs ends at once, each time it is started.",
    fix: "{command}",
    advice:
      "Restart no corosync before all nodes have the same version. With quorum pmxcfs writes the " +
      "copy itself. Otherwise copy the file with the highest version into /etc/corosync of each " +
      "node with a lower one (`pmxcfs-ipc --check` on that node prints the command, if its tree " +
      "has that file), then run `corosync-cfgtool -R` on one node: all nodes reload.",
    seen: ["corosync-conf"],
  },
  NODE_GONE: {
    title: "a directory of a node that is not a member",
    check: "cluster",
    severity: "notice",
    line: "nodes/{node} is there, but {node} is no node of the cluster; its guests: {guests}",
    cause:
      "The node was removed or renamed, and its directory remained, so the GUI still shows the " +
      "node, in grey.",
    advice:
      "Move the file of each guest that still exists into another node's directory, one by one, " +
      "with mv. Keep a copy of the rest (`pmxcfs-ipc config export /root/rescued`), then remove " +
      "the directory.",
  },
  NODE_ADDRESS_GONE: {
    title: "the address of this node has changed",
    check: "cluster",
    severity: "warn",
    line: "pmxcfs has {address} for {name}, which is on no interface of this machine",
    cause:
      "pmxcfs resolves the address of this node at its start, and it was changed since then. " +
      "Other nodes use the old address.",
    advice: "Correct the line of {name} in /etc/hosts, then `systemctl restart pve-cluster`.",
    seen: ["other-node"],
  },
  MEMBERS_OFFLINE: {
    title: "nodes are offline",
    check: "cluster",
    severity: "warn",
    line: "{count} of {nodes} nodes {count:is|are} offline: {list}",
    cause: "They are down, or corosync cannot reach them.",
    advice: "Look at `corosync-cfgtool -s` and `journalctl -u corosync -n 30`.",
    seen: ["corosync-links"],
  },
} as const satisfies Record<string, Code>;
