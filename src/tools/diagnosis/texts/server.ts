/** Error texts of pmxcfs itself and of its service: start, database, mount. */
import type { ErrorText } from "../error-text.ts";

/** After a reason for which a file is not loaded: not of the tree of a leader (tree-store.ts). */
const OWN_FILE = "(?!.*leader's tree is refused)";

/** The text that the sqlite3 shell prints before its message. */
const SQLITE =
  String.raw`^(sqlite3: )?(\w+ )?(error:? )?(.{0,20}line \d+: )?` +
  "(.{0,20}(stepping|in prepare), )?";

export const SERVER_TEXTS: readonly ErrorText[] = [
  {
    id: "pmxcfs-lock",
    title: "unable to acquire pmxcfs lock",
    patterns: [/unable to acquire pmxcfs lock/, /unable to create lock .*lockfile/],
    meaning:
      "Another pmxcfs holds the lock in /var/lib/pve-cluster, and this one ends after 10 s. " +
      '"unable to create lock" means that the directory is missing or cannot be written.',
    causes: [
      { code: "DB_LOCKED_BY_OTHER", check: "often a `pmxcfs -l` from a repair: `pgrep -a pmxcfs`" },
      {
        code: "DB_READ_ONLY",
        check: 'the line says "unable to create lock" and Read-only file system',
        signs: /unable to create lock.*read-only/,
      },
      {
        text: "/var/lib/pve-cluster is missing, or pmxcfs does not run as root.",
        check: 'the line says "unable to create lock" and No such file, or Permission denied',
        signs: /unable to create lock/,
      },
      { code: "DB_DISK_LOW", check: "the disk is full: `df /var/lib/pve-cluster`" },
    ],
  },
  {
    id: "commit-failed",
    title: "commit transaction failed: database or disk is full / Input/output error on /etc/pve",
    patterns: [
      /(commit|begin|rollback) transaction failed/,
      /database or disk is full/,
      /\[database\] crit: (update|insert|delete|replace|write)\S* .*failed/,
      /(delete_inode|update_inode|backend_write|bdb_backend_\w+)\b.*failed/,
      /disk i\/o error|attempt to write a readonly database/,
      /\ba change was not written \(/,
    ],
    errno: ["EIO"],
    places: ["pve", "ipc"],
    meaning:
      "A write to config.db failed, most often because the file system of /var/lib/pve-cluster " +
      "is full. From then on the C server answers every change with Input/output error until it " +
      "is restarted, even if there is room again; ours fails only that change and tries the next " +
      "one. Reads are answered.",
    causes: [
      {
        code: "DB_DISK_LOW",
        check: "`df -h /var/lib/pve-cluster` shows no free space; make room before any restart",
      },
      {
        code: "DB_CORRUPT",
        check: "the line says malformed: `pmxcfs-ipc --check --only database` as root",
        signs: /malformed|not a database/,
      },
      {
        code: "DB_LOCKED_BY_OTHER",
        check: "the line says locked: another program holds the write lock of the file",
        signs: /is locked/,
      },
      {
        text: "The disk itself fails.",
        check: "`dmesg | grep -i error`, `smartctl -a`",
        signs: /disk i\/o/,
      },
      {
        text:
          "A write failed earlier, and the disk has room again: find its [database] crit line in " +
          "`journalctl -b -u pve-cluster`, then `systemctl restart pve-cluster`.",
        check: "every write to /etc/pve gives Input/output error",
        signs: /input\/output/,
      },
      {
        code: "DB_READ_ONLY",
        check: "`findmnt -T /var/lib/pve-cluster` shows ro",
        signs: /readonly/,
      },
      {
        text: "The file is read-only, or this user may not write it.",
        check: "`ls -l /var/lib/pve-cluster`, `id -u`",
        signs: /readonly/,
      },
    ],
  },
  {
    id: "memdb-open",
    title: "memdb_open failed - unable to open database",
    patterns: [
      /memdb_open failed/,
      /db load failed/,
      new RegExp(`(found entry with duplicate name|missing directory inode)${OWN_FILE}`),
      /detected duplicate vmid/,
      new RegExp(`(parent is not a directory|directory inode contains data)${OWN_FILE}`),
      new RegExp(`inode has (no name|unknown type)${OWN_FILE}`),
      /root inode has unexpected name/,
      /unable to set wal mode/,
      /s[pq]l?ite3_open(_v2)? failed/,
      // Many programs print SQLite's messages: only in a line about this file, or alone.
      /(\[\w+\] crit|config\.db|pve-cluster|pmxcfs).*(not a database|is malformed|returned error)/,
      /(\[\w+\] crit|config\.db|pve-cluster|pmxcfs).*(open database file|database is locked)/,
      new RegExp(`${SQLITE}database (disk image is malformed|is locked)[ .]*(\\(\\d+\\))?$`),
      new RegExp(`${SQLITE}(file is not a database|unable to open database file)[ .]*$`),
      /subdir->type == dt_dir/,
      /\[database\] crit: serious internal error|memdb_recreate_vmlist/,
      /sqlite3_(step|prepare|open|exec)\w* .*failed/,
      /memdb_write failed/,
    ],
    meaning:
      "pmxcfs could not load /var/lib/pve-cluster/config.db and ended. The line before this one " +
      "in its log has the reason. The fix exports all entries that can be read, builds a new " +
      "file from them, and keeps the old file with its -wal.",
    causes: [
      {
        code: "DB_CORRUPT",
        check: "`pmxcfs-ipc --check --only database` as root",
        signs: /wal mode|not a database|malformed|lite3_open|select returned|open database file/,
      },
      {
        code: "DB_DUPLICATE_NAME",
        check: "found entry with duplicate name",
        signs: /duplicate name/,
      },
      { code: "DB_DUPLICATE_VMID", check: "detected duplicate VMID", signs: /duplicate vmid/ },
      {
        code: "DB_ORPHAN",
        check: "missing directory inode",
        signs: /missing directory|parent is not/,
      },
      {
        text:
          "Changes of pmxcfs-ipc (--commit batched) wait beside it since a crash: `pmxcfs-ipc " +
          "config flush` writes them into it, and the original pmxcfs then starts.",
        check: "the line says that changes wait in config.db.changes",
        signs: /changes wait in/,
      },
      {
        code: "DB_ENTRY_REFUSED",
        check: "inode has unknown type, inode has no name, directory inode contains data",
        signs: /inode has|contains data|unexpected name|subdir/,
      },
      {
        code: "DB_LOCKED_BY_OTHER",
        check: "database is locked: another program holds its write lock",
        signs: /is locked/,
      },
      { code: "DB_DISK_LOW", check: "`df /var/lib/pve-cluster` is full" },
      {
        code: "DB_INODES_LOW",
        check: "`df -i /var/lib/pve-cluster` is full",
        signs: /open database file/,
      },
    ],
  },
  {
    id: "node-name",
    title: "Unable to resolve node name '...' to a non-loopback IP address",
    patterns: [
      /unable to resolve node name/,
      /unable to get local ip address|unable to read local node name/,
      /^hostname: (name or|temporary)/,
    ],
    meaning: "pmxcfs found no address other than 127.x and ::1 for its host name, and ended.",
    causes: [
      { code: "NAME_LOOPBACK", check: "/etc/hosts has the name in a line with 127.0.1.1" },
      { code: "NAME_UNRESOLVED", check: "`getent ahosts $(hostname)` prints nothing" },
      { code: "HOSTNAME_LOST", check: "`hostname` says localhost", signs: /name 'localhost'/ },
      {
        code: "NAME_SLOW",
        check: "`getent ahosts $(hostname)` takes seconds: a DNS server does not answer",
      },
    ],
  },
  {
    id: "server-killed",
    title: "pmxcfs was killed (out of memory) or crashed",
    patterns: [
      /out of memory: killed process \d+ \(pmxcfs\)/,
      /oom-kill:.*task=pmxcfs/,
      /pmxcfs invoked oom-killer/,
      /(pmxcfs|cfs_loop|server_ipc)\[\d+\]:? (segfault|general protection)/,
      /segfault .* in (pmxcfs|libqb|libsqlite3|libfuse)/,
      /traps: pmxcfs/,
      /pve-cluster\.service: (main|control) process exited, code=(killed|dumped)/,
      /pve-cluster\.service: a process of this unit has been killed/,
      /pve-cluster\.service: (failed with result '?(oom-kill|signal|core-dump|watchdog))/,
      /process \d+ \(pmxcfs\).*dumped core/,
      /pmxcfs: .*assertion .* failed/,
      /(sigterm|sigkill) to process \d+ .*pmxcfs|killed \S*pve-cluster\.service/,
    ],
    meaning:
      "The server ended without unmounting: /etc/pve can be a dead FUSE mount (Transport " +
      "endpoint is not connected), and clients get Connection refused until it runs again.",
    causes: [
      {
        code: "MEMORY_LOW",
        check: "the kernel's log says Out of memory",
        signs: /memory|oom/,
      },
      {
        text: "It was stopped with a signal by a person, a script, or systemd after a time limit.",
        check: "`journalctl -b -u pve-cluster -n 30` has Stopping or timed out before this line",
        signs: /status=\d+\/(term|kill|int|hup)|result '?signal/,
      },
      { code: "PVE_DEAD_MOUNT", check: "`stat -f /etc/pve` fails" },
      {
        code: "UNIT_RESTARTS",
        check: "SEGV or ABRT, repeatedly: `coredumpctl list pmxcfs`",
        signs: /segfault|segv|abrt|dumped|assertion|traps/,
      },
    ],
  },
  {
    id: "service-failed",
    kind: "symptom",
    title: "pve-cluster.service failed",
    patterns: [
      /pve-cluster\.service: (failed|start request|scheduled restart)/,
      /pve-cluster\.service: (main process exited|control process exited|state )/,
      /pve-cluster\.service: (start operation|unit process|killing)/,
      /pve-cluster\.service: (stopping timed out|can't open pid file|start-limit)/,
      /pve-cluster\.service\b.*\b(failed|exit-code|not found)\b/,
      /pve-cluster\.service\b.*\b(could not be found|is masked|start-limit-hit)\b/,
      /failed to (re)?start '?(pve-cluster|.*proxmox ve cluster file\s?system)/,
      /job for pve-cluster\.service/,
      /(job|unit) pve-cluster\.service(?!\/\w+ deleted)|see 'systemctl status pve-cluster/,
      /left-over process \d+ \(pmxcfs\)/,
      /execstart=\S*pmxcfs.*status=(?!0)/,
      /dependency failed for .*(pve|proxmox)/,
      /active: failed .*result: /,
      /exit proxmox configuration filesystem \((?!0\))/,
    ],
    meaning:
      "pmxcfs failed to start, or ended. All other services of PVE depend on it: repair this " +
      "first. Its last log lines have the reason: `journalctl -b -u pve-cluster`. After five " +
      "failures in a row systemd does not start it again before `systemctl reset-failed " +
      "pve-cluster`.",
    causes: [
      {
        code: "UNIT_FAILED",
        check: "Start request repeated too quickly: systemd does not start it any more",
        signs: /repeated too quickly|start-limit/,
      },
      { code: "UNIT_MASKED", check: "the unit is masked", signs: /mask/ },
      {
        code: "NOT_INSTALLED",
        check: "`dpkg -l pve-cluster`",
        signs: /could not be found|not found/,
      },
      { code: "NAME_LOOPBACK", check: "Unable to resolve node name" },
      { code: "DB_CORRUPT", check: "memdb_open failed" },
      { code: "DB_LOCKED_BY_OTHER", check: "unable to acquire pmxcfs lock" },
      { code: "PVE_NOT_EMPTY", check: "fuse: mountpoint is not empty" },
      { code: "FUSE_MISSING", check: "fuse: device not found" },
      { code: "GROUP_MISSING", check: "Unable to get www-data group ID" },
      {
        text:
          "The stop hangs (a known fault of the C server): any connection to its socket ends the " +
          "hang.",
        check: "stop-sigterm timed out",
        signs: /stop-sig|stop .*timed out/,
      },
    ],
  },
  {
    id: "not-installed",
    title: "pmxcfs: command not found",
    patterns: [/pmxcfs: (command )?not found/, /pmxcfs\.service (could not be|not) found/],
    meaning:
      "pmxcfs is not installed here, or this host is not a PVE node. Its unit is " +
      "pve-cluster.service.",
    causes: [{ code: "NOT_INSTALLED", check: "`systemctl status pve-cluster`" }],
  },
  {
    id: "options",
    title: "[main] crit: option parsing failed: Unknown option --x",
    patterns: [/option parsing failed|\[main\] crit: too many arguments/],
    meaning: "pmxcfs was started with an unknown option or with an extra argument, and ended.",
    causes: [
      {
        text:
          "The option is in a drop-in of pve-cluster.service, or in /etc/default/pve-cluster " +
          "(DAEMON_OPTS).",
        check: "`systemctl cat pve-cluster`, `cat /etc/default/pve-cluster`",
      },
    ],
  },
  {
    id: "www-data-group",
    title: "Unable to get www-data group ID",
    patterns: [/unable to get www-data group/],
    meaning:
      "There is no group www-data. The files of pmxcfs belong to that group, and pmxcfs ends " +
      "without it.",
    causes: [{ code: "GROUP_MISSING", check: "`getent group www-data` prints nothing" }],
  },
  {
    id: "mountpoint",
    title: "fuse: mountpoint is not empty / device not found",
    patterns: [
      /mountpoint is not empty/,
      /fuse_(mount|new|session|loop|main|parse|set|daemonize)\w* (error|fail)/,
      /failed to (create|setup) fuse/,
      /fuse: device not found/,
      /fuse: failed to (open|exec|access|mount)/,
      /fusermount3?: (mount failed|.*(\/etc\/pve|device not found|fuse))/,
      /\bfuse: (unknown symbol|.*(unable|failed|cannot))|unknown filesystem type 'fuse/,
      /\bfuse: (reading|writing) device|special device pmxcfs already mounted/,
      /mount: \/etc\/pve: (?!not mounted)|umount: \/etc\/pve: (?!not mounted)/,
      /failed to unmount '?\/etc\/pve/,
    ],
    meaning: "pmxcfs could not mount (or unmount) /etc/pve.",
    causes: [
      {
        code: "PVE_NOT_EMPTY",
        check: "files in /etc/pve while nothing is mounted",
        signs: /empty|exists/,
      },
      {
        text: "/etc/pve was unmounted while pmxcfs ran: `systemctl restart pve-cluster`.",
        check: "`findmnt /etc/pve` prints nothing and `pgrep pmxcfs` a number",
        signs: /(reading|writing) device/,
      },
      {
        code: "PVE_DEAD_MOUNT",
        check: "`grep /etc/pve /proc/mounts` prints a line while no pmxcfs runs",
        signs: /not connected|busy/,
      },
      {
        code: "FUSE_MISSING",
        check: "/dev/fuse is missing",
        signs: /device not found|no such file|unknown (symbol|filesystem)|module|not permitted/,
      },
    ],
  },
  {
    id: "not-mounted",
    kind: "symptom",
    title: "pve configuration filesystem not mounted",
    patterns: [
      /pve (configuration|cluster) file\s?system (is )?not (mounted|online|ready)/,
      /(proxmox|cluster) config ?file\s?system .*(not mounted|unavailable)/,
      /(proxmox|cluster) (configuration|cluster) ?file\s?system .*(not mounted|unavailable)/,
      /(proxmox|cluster) (config|configuration|cluster) ?file\s?system .*(not ready|not online)/,
      /cluster file\s?system (is )?not (ready|online|mounted)/,
      /(pmxcfs\)?|\/etc\/pve) (is )?(not|isn't) (mounted|a mount ?point)/,
      /can't (initialize|create|access) '?\/etc\/pve\/(local|nodes|priv)(?!.*denied)/,
      /can't (stat|open|find) '?\/etc\/pve\/(local|nodes|priv)(?!.*denied)/,
      /umount: \/etc\/pve: not mounted|mkdir '?\/etc\/pve\/\S* failed - no such/,
      /\/etc\/pve\/local.*(no such file|not exist)/,
      /unable to (open|read|load) .*\/etc\/pve\/(local|nodes)\S* .*no such file/,
    ],
    meaning:
      "/etc/pve is not mounted: the service pve-cluster does not run, or its mount was removed. " +
      "Do not create files in the empty directory: they prevent the C server from mounting over " +
      "it.",
    causes: [
      { code: "UNIT_FAILED", check: "`systemctl status pve-cluster` says failed" },
      { code: "SOCKET_ABSENT", check: "`pgrep pmxcfs` prints nothing" },
      { code: "PVE_NOT_MOUNTED", check: "pmxcfs runs, and `findmnt /etc/pve` prints nothing" },
      { code: "PVE_DEAD_MOUNT", check: "`ls /etc/pve` says Transport endpoint is not connected" },
      {
        code: "NODE_DIRECTORY_MISSING",
        check: "mounted, and the target of /etc/pve/local does not exist: the host was renamed",
        signs: /\/etc\/pve\/local/,
      },
    ],
  },
  {
    id: "read-only-file-system",
    title: "Read-only file system (on /etc/pve)",
    errno: ["EROFS"],
    places: ["pve", "shm", "database"],
    meaning:
      "The mount is read-only in the mount namespace of this process. Without quorum the error " +
      "is Permission denied instead; old documentation confuses the two.",
    causes: [
      {
        code: "PVE_NAMESPACE_READ_ONLY",
        check: "only one service gets it: its unit has ProtectSystem",
        signs: /\/etc\/pve/,
      },
      { code: "PVE_REMOUNTED_READ_ONLY", check: "`grep /etc/pve /proc/mounts` has ro" },
      { code: "PVE_READ_ONLY", check: "`pvecm status` says Quorate: No" },
      { code: "SHM_READ_ONLY", check: "`grep /dev/shm /proc/mounts` has ro", signs: /\/dev\/shm/ },
      {
        code: "DB_READ_ONLY",
        check: "`findmnt -T /var/lib/pve-cluster` shows ro: `dmesg | grep -i remount`",
        signs: /\/var\/lib/,
      },
    ],
  },
];
