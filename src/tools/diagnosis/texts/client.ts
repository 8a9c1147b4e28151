/** Error texts that clients print: libc's text of the errno that the IPC or /etc/pve gave. */
import type { Cause, ErrorText } from "../error-text.ts";

const REQUEST = /ipcc_?send_rec|access control list|\bqb_/;

/** Causes of a refusal by the access rule, the most frequent first. */
const REFUSED: readonly Cause[] = [
  {
    code: "ACCESS_REFUSED_UID",
    check: "`id -u` is not 0: the command was run without root (no sudo), or by a service account",
  },
  { code: "ACCESS_REFUSED_GID", check: "`id -u` is 0 and `id -g` is not" },
  { code: "CREDENTIALS_DIFFER", check: "the program has a set-uid or set-gid bit" },
  { code: "USER_NAMESPACE", check: "/proc/self/uid_map is not `0 0 4294967295`" },
];

export const CLIENT_TEXTS: readonly ErrorText[] = [
  {
    id: "unknown-error",
    kind: "symptom",
    title: "Unknown error -1",
    errno: ["UNKNOWN"],
    places: ["ipc"],
    meaning:
      "The server refused this caller at connect. The C server's accept callback returns +1, " +
      "which libqb clients turn into errno -1, for which strerror has no text. The IPC works; " +
      "this is not a sign of a missing cluster.",
    causes: REFUSED,
  },
  {
    id: "connection-refused",
    kind: "symptom",
    title: "Connection refused",
    errno: ["ECONNREFUSED"],
    places: ["ipc"],
    patterns: [
      /(unable|failed|could not|cannot|can't) .*(from|to|reach|contact|query) pmxcfs($|:.*refused)/,
    ],
    meaning:
      "No process listens on the service's abstract socket in this network namespace. The caller " +
      "is not at fault.",
    causes: [
      { code: "SOCKET_ABSENT", check: "`grep @pve2 /proc/net/unix` prints nothing" },
      { code: "UNIT_FAILED", check: "`systemctl is-failed pve-cluster` says failed" },
      { code: "NAME_LOOPBACK", check: "`getent ahosts $(hostname)` shows only 127.x or ::1" },
      { code: "SOCKET_TAKEN", check: "pmxcfs runs, and @pve2 belongs to another process" },
      { code: "NETNS_DIFFERS", check: "`readlink /proc/self/ns/net /proc/1/ns/net` differ" },
      { code: "SOCKET_FILESYSTEM_MISMATCH", check: "/etc/libqb/force-filesystem-sockets exists" },
      { code: "SOCKET_SHORT_ADDRESS", check: "a systemd socket unit listens on @pve2" },
      {
        text:
          "Boot order: the caller started before pmxcfs. Add After=pve-cluster.service to its " +
          "unit. A unit ordered Before=network-pre.target starts before pmxcfs: split it in two.",
        check: "it works later, and only the first lines of a boot have the error",
      },
    ],
  },
  {
    id: "not-connected",
    kind: "symptom",
    title: "Transport endpoint is not connected",
    errno: ["ENOTCONN", "ESHUTDOWN", "ECONNABORTED"],
    places: ["ipc", "pve"],
    patterns: [
      /fuse: bad mount point '?\/etc\/pve/,
      /can't stat\(\) fuse\S* file system '?\/etc\/pve/,
    ],
    meaning:
      "The connection to the server or the mount has ended: (a) the server ended or closed the " +
      "connection; (b) the reply did not fit into the ring, and the C server disconnected, as it " +
      "does each time for this request; (c) if ls, cat, stat or a shell prints it for a path in " +
      "/etc/pve, that is a dead FUSE mount.",
    causes: [
      {
        code: "REQUEST_DISCONNECTED",
        check: "(a) once, at the time of a restart: `systemctl show -p NRestarts pve-cluster`",
        signs: REQUEST,
      },
      {
        code: "REPLY_TOO_LARGE",
        check: "(b) always the same request, and the log has qb_ipcs_response_send",
        signs: REQUEST,
      },
      {
        code: "PVE_DEAD_MOUNT",
        check: "(c) the line names a path below /etc/pve, and `stat -f /etc/pve` fails",
        signs: /\/etc\/pve/,
      },
      { code: "PVE_OLD_MOUNT_HELD", check: "(c) only one container or service gets it" },
      { code: "UNIT_RESTARTS", check: "(a) repeatedly: the server crashes" },
      { code: "HANDSHAKE_CLOSED", check: "(a) at connect: the server has no room, or is stopping" },
    ],
  },
  {
    id: "no-buffer-space",
    title: "No buffer space available",
    errno: ["ENOBUFS", "EMSGSIZE"],
    places: ["ipc"],
    meaning:
      "The reply is larger than the client's buffer of 1 MiB (header included). This request " +
      "fails each time, for every client.",
    causes: [
      { code: "REPLY_TOO_LARGE", check: "`pmxcfs-ipc --check --only requests` names the request" },
      {
        code: "DB_FILE_LARGE",
        check: "on [6]: a file of close to 1 MiB in /etc/pve",
        signs: /\[6\]/,
      },
      { code: "STATUS_KEYS_MANY", check: "on [1]: too many status keys", signs: /\[1\]/ },
    ],
  },
  {
    id: "file-too-large",
    title: "File too large",
    errno: ["EFBIG"],
    places: ["ipc", "pve"],
    meaning:
      "A value or a file exceeds its limit. A status value ([4]) may have up to 32 KiB; the " +
      "server keeps the old value. A file in /etc/pve may have up to 1 MiB.",
    causes: [
      {
        code: "STATUS_LARGE",
        check: "on [4]: a task list, ceph, sdn or network status",
        signs: /\[4\]/,
      },
      { code: "DB_FILE_LARGE", check: "the line names a path below /etc/pve", signs: /\/etc\/pve/ },
    ],
  },
  {
    id: "no-space",
    title: "No space left on device",
    errno: ["ENOSPC"],
    patterns: [/couldn't (create|allocate) .*(\/dev\/shm\/|\bqb-)|\/run\/.*no space left/],
    places: ["ipc", "pve", "shm", "database"],
    meaning:
      "At connect it means /dev/shm, not a disk: each client takes 3.05 MiB there, reserved at " +
      "connect. For a path below /etc/pve, or in a line about the database, it means the disk of " +
      "/var/lib/pve-cluster; for a pid file or socket, /run.",
    causes: [
      {
        code: "SHM_FULL",
        check: "`df /dev/shm` is full",
        signs: /ipcc_?send_rec|\bqb_|\/dev\/shm/,
      },
      { code: "SHM_STALE", check: "`pmxcfs-ipc --check --clean-stale --dry-run` lists some" },
      { code: "SHM_LOW", check: "a container with a /dev/shm of 64 MiB" },
      { code: "SHM_INODES_LOW", check: "`df -i /dev/shm` is full" },
      {
        code: "DB_DISK_LOW",
        check: "`df /var/lib/pve-cluster` is full",
        signs: /\/etc\/pve|\/var\/lib|database|sqlite/,
      },
      { code: "DB_INODES_LOW", check: "`df -i /var/lib/pve-cluster` is full" },
      { code: "RUN_FULL", check: "`df /run` and `df -i /run` are full", signs: /\/run\// },
    ],
  },
  {
    id: "operation-not-permitted",
    title: "Operation not permitted",
    errno: ["EPERM", "ENOSYS", "EOPNOTSUPP"],
    places: ["ipc", "pve"],
    meaning:
      "The server accepted this caller but refused the operation: group www-data may read, but " +
      "may not set a status ([4]), write the log ([7]) or read private files ([6] on priv/...). " +
      "Our server also answers this to a refused connect, for which clients of the C server " +
      "print Unknown error -1.",
    causes: [
      {
        text:
          "A read-only caller (group www-data: pveproxy, spiceproxy) sent a request that only " +
          "root may send.",
        check: "the number is [4], [6] or [7], and the process runs as www-data",
        signs: /\[[467]\]/,
      },
      { code: "ACCESS_REFUSED_UID", check: "it happens at connect, to every request" },
      { code: "SERVER_READ_ONLY", check: "the server is ours and was started with --read-only" },
      { code: "PERMISSIONS_WRONG", check: "`pmxcfs-ipc --check --only permissions` as root fails" },
      {
        text:
          "On a path below /etc/pve: pmxcfs allows no other mode, no other owner and no links, " +
          "not even to root. cp, mv and rsync print this and continue; the file is written.",
        check: "the line names chmod, chown, ln, rsync or cp -a",
        signs: /\/etc\/pve|chmod|chown|\bln\b|rsync|preserv|\blink\b/,
      },
    ],
  },
  {
    id: "permission-denied",
    kind: "symptom",
    title: "Permission denied",
    errno: ["EACCES"],
    places: ["ipc", "pve", "shm"],
    patterns: [/\/etc\/pve\/\S*.*(e212|e166|e45:|can't open file for writing)/],
    meaning:
      "The caller may not open or change a file. At connect that is a ring file in /dev/shm: the " +
      "server accepted the caller (a refusal would be Unknown error -1). On a path below " +
      "/etc/pve there is no quorum (root gets the error too), or the user is not root.",
    causes: [
      { code: "RINGS_NOT_OPENABLE", check: "the line has ipcc_send_rec", signs: REQUEST },
      {
        code: "PVE_READ_ONLY",
        check: "a write to /etc/pve, also as root: `pvecm status` says Quorate: No",
        signs: /\/etc\/pve/,
      },
      {
        text: "Only root may write below /etc/pve; group www-data may read most of it.",
        check: "`id -u` is not 0",
        signs: /\/etc\/pve/,
      },
      {
        text:
          "pmxcfs itself is refused: it does not run as root, or one of its directories does not " +
          "belong to root.",
        check: "`ps -o user= -C pmxcfs`, `ls -ld /var/lib/pve-cluster /run`",
        signs: /\[(main|database|status|dcdb)\] (crit|notice)|\/var\/lib\/pve-cluster/,
      },
      { code: "USER_NAMESPACE", check: "/proc/self/uid_map is not `0 0 4294967295`" },
      { code: "SHM_READ_ONLY", check: "`grep /dev/shm /proc/mounts` has ro" },
    ],
  },
  {
    id: "bad-descriptor",
    title: "Bad file descriptor",
    errno: ["EBADF"],
    places: ["ipc"],
    meaning:
      "The client's own connection is broken: the client closed the descriptor, or inherited it " +
      "across a fork or a daemonisation that closed all descriptors. The server is not at fault.",
    causes: [
      {
        text:
          "A bug of the client: it must connect again after fork (PVE's client has one " +
          "connection per process). Restart that program.",
        check: "`pmxcfs-ipc --check` passes, and only one program gets it",
      },
    ],
  },
  {
    id: "resource-unavailable",
    title: "Resource temporarily unavailable",
    errno: ["EAGAIN"],
    places: ["ipc", "database"],
    meaning:
      "The server applies flow control to its clients, or the request ring is full because the " +
      "server does not read it. PVE clients do not retry. In a line of pmxcfs's own log about " +
      "the pmxcfs lock it means that another pmxcfs runs.",
    causes: [
      {
        code: "DB_LOCKED_BY_OTHER",
        check: "the line names the lock",
        signs: /pmxcfs lock|lockfile/,
      },
      { code: "FLOW_CONTROL_ON", check: "`pmxcfs-ipc --check --only flow`", signs: REQUEST },
      { code: "QUEUE_WAITING", check: "the server hangs: other clients get no error but wait" },
      { code: "HANDSHAKE_ERROR", check: "at connect: the server has its maximum of connections" },
      { code: "DESCRIPTORS_LOW", check: "`ls /proc/PID/fd | wc -l` near `prlimit -n --pid PID`" },
    ],
  },
  {
    id: "no-such-entry",
    title: "ipcc_send_rec[...] failed: No such file or directory",
    errno: ["ENOENT"],
    places: ["ipc"],
    meaning:
      "The requested item does not exist. On [6] that is a file below /etc/pve, on [5] a status " +
      "key, on [11] and [13] a guest, on [12] a token.",
    causes: [
      {
        text: "The name is wrong, or the file, guest or token was removed or is on another node.",
        check: "`pmxcfs-ipc call get-guest-list`, and `pmxcfs-ipc config ls` as root",
      },
      { code: "NODE_DIRECTORY_MISSING", check: "after the host was renamed" },
      { code: "DB_NOT_PMXCFS", check: "nothing else is found either: the database is empty" },
    ],
  },
  {
    id: "invalid-argument",
    title: "ipcc_send_rec[...] failed: Invalid argument",
    errno: ["EINVAL", "EBADMSG", "EPROTO"],
    places: ["ipc"],
    meaning:
      "The server could not decode the request: a name is not terminated, is too long, or has " +
      "bytes that are not allowed. On [7] (the cluster log) the user, tag or text is invalid: " +
      "that entry is not written, and nothing else is affected.",
    causes: [
      {
        text: "The client is of another version, or encodes its requests itself.",
        check: "only one program gets it; PVE's own tools do not",
      },
      {
        text: "The log entry has an empty tag or text.",
        check: "the line has [7], or says writing cluster log failed",
        signs: /\[7\]|cluster log/,
      },
    ],
  },
  {
    id: "descriptors",
    title: "Too many open files / Cannot allocate memory",
    errno: ["EMFILE", "ENFILE", "ENOMEM"],
    places: ["ipc", "shm"],
    patterns: [/fork rejected by pids controller/],
    meaning:
      "The server or the client has no free descriptors, no memory, or has reached its limit of " +
      "processes.",
    causes: [
      { code: "DESCRIPTORS_LOW", check: "`ls /proc/PID/fd | wc -l` near `prlimit -n --pid PID`" },
      { code: "MEMORY_LOW", check: "`free -m`", signs: /memory|enomem/ },
      {
        text: "The unit has reached its limit of processes and threads (TasksMax).",
        check: "`systemctl show -p TasksCurrent -p TasksMax pve-cluster`",
        signs: /pids controller/,
      },
      { code: "SHM_FULL", check: "`df /dev/shm` is full" },
    ],
  },
  {
    id: "ipc-timeout",
    title: "ipcc_send_rec[...] failed: Connection timed out",
    errno: ["ETIMEDOUT", "EINTR"],
    places: ["ipc"],
    meaning:
      "The server did not answer within the time limit of this client, or the wait was " +
      "interrupted.",
    causes: [
      { code: "SERVER_STOPPED", check: "/proc/PID/status says T (stopped)" },
      { code: "RRDCACHED_HUNG", check: "`pmxcfs-ipc --check --only rrd`" },
      { code: "REQUEST_HUNG", check: "`pmxcfs-ipc --check --only requests`" },
    ],
  },
  {
    id: "ipc-other-error",
    title: "ipcc_send_rec[...] failed: an errno that no request answers",
    meaning:
      "No request is answered with this errno, so the connect failed. libqb's client takes any " +
      "value that the server's accept callback returns as an errno, and Perl prints the text of " +
      "that number: a refused caller can get Is a directory.",
    causes: [
      ...REFUSED.slice(0, 2),
      { code: "SOCKET_ABSENT", check: "`grep @pve2 /proc/net/unix` prints nothing" },
      { code: "HANDSHAKE_ERROR", check: "`pmxcfs-ipc --check --only handshake` gives its name" },
    ],
  },
  {
    id: "acl-list",
    kind: "symptom",
    title: "Unable to load access control list",
    patterns: [/unable to load access control list/, /malformed json string.*\/pve\/cluster\.pm/],
    meaning:
      "A PVE command could not get the versions from pmxcfs, its first request. This line " +
      "follows the three ipcc_send_rec lines and repeats their error after its colon. ACLs are " +
      "not involved.",
    causes: [
      { code: "SOCKET_ABSENT", check: "it ends in Connection refused", signs: /refused/ },
      {
        code: "ACCESS_REFUSED_UID",
        check: "it ends in Unknown error -1: the caller is not root (no sudo)",
        signs: /unknown error/,
      },
      {
        code: "ACCESS_REFUSED_GID",
        check: "it ends in Unknown error -1: the caller is root with another group",
      },
      {
        code: "REPLY_NOT_JSON",
        check: "it ends in an error about JSON",
        signs: /json|malformed/,
      },
      { code: "REPLY_EMPTY", check: "another program answers on the socket" },
    ],
  },
  {
    id: "hang",
    title: "(no text at all: commands hang, the GUI is grey)",
    patterns: [
      /(pmxcfs|pvesh|pvestatd|pvedaemon|pveproxy|\/etc\/pve).*\b(hangs?|hung)\b/,
      /task '?(pmxcfs|cfs_loop|pve|spiceproxy|pct|qm|corosync)[^:]{0,20}:\d+ blocked for more/,
      /task:(pmxcfs|cfs_loop|pve\S*|corosync)( worker)? +state:d\b/,
      /\b(pmxcfs|cfs_loop|pve\w+) +d +\d/,
      /soft lockup.*\[(pmxcfs|cfs_loop|corosync|pve\S*):\d+\]/,
      /^(it |everything |pvesh |qm |pct |the gui )?(just )?(hangs|is hanging)\b/,
      /fuse_(request|wait|simple|get|dev|lookup|readdir|send|do)\w*\+0x/,
      /\bd state\b.*(pmxcfs|pve)|(pmxcfs|pve\w*)\b.*\bd state\b/,
    ],
    meaning:
      "A command waits for pmxcfs, without a time limit. The C server has one IPC thread, and " +
      "holds a lock while it waits for rrdcached, corosync or the disk: if one of these hangs, " +
      "all requests hang.",
    causes: [
      { code: "SERVER_STOPPED", check: "/proc/PID/status says T (stopped)" },
      { code: "RRDCACHED_HUNG", check: "`pmxcfs-ipc --check --only rrd`" },
      { code: "SERVER_STUCK", check: "/proc/PID/status says D", signs: /blocked for more than/ },
      { code: "CPG_RETRIES", check: "the log has cpg_send_message retried" },
      { code: "PVE_HUNG", check: "`timeout 2 stat -f /etc/pve` does not return" },
      { code: "RESTART_FLAG_STALE", check: "each command takes 10 s and then works" },
    ],
  },
];
