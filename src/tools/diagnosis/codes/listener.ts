/**
 * Codes about the two ends of a connection: the listening socket with its process, unit and log;
 * the caller with its ids and namespaces, and the access rule.
 */
import { PVE, PVE_RESTART_FLAG } from "../../../base/paths.ts";
import type { Code } from "../code.ts";

/** The advice if another service is examined than that of the node's server, which listens. */
export const NODE_IS_SERVED =
  "The node's own server listens on @pve2: `pmxcfs-ipc --check` without --socket examines it. " +
  "Start the server of @{service}, or correct the name.";

/** The advice if another service is examined, and the node's own server does not listen either. */
export const NODE_NOT_SERVED =
  "Correct the name, or start the server of @{service}. The node's own server does not listen on " +
  "@pve2 either: `pmxcfs-ipc --check` without --socket examines it, and its log is in " +
  "`journalctl -b -u pve-cluster -n 30`.";

/** The advice if a server that was not started by the unit prevents the unit's start. */
export const STARTED_BY_HAND =
  "pid {pid} ({command}) serves @{service} and holds pmxcfs's lock, and was not started by " +
  "{unit}, which fails again while that process runs. When its work is done: `kill {pid}`, then " +
  "`systemctl reset-failed {unit}; systemctl start {unit}`.";

export const LISTENER_CODES = {
  NOT_INSTALLED: {
    title: "no pmxcfs on this machine",
    check: "listener",
    severity: "fail",
    line: "no pmxcfs on this machine: nothing listens on @{service}, and none is installed",
    cause:
      "No listener, no unit or program of pmxcfs or pmxcfs-ipc, no mount on /etc/pve and no " +
      "config.db: this host is not a Proxmox VE node, or not yet.",
    fix: "pmxcfs-ipc serve --socket {service}",
    advice:
      "The command serves an empty tree until ^C. To make this host a node, install the package " +
      "pve-cluster from Proxmox's repository. In a container, run the check on its host.",
    seen: ["connection-refused"],
  },
  SERVER_STOPPED: {
    title: "the server is stopped",
    check: "listener",
    severity: "fail",
    line: "the server (pid {pid}, {command}) is stopped: state {state}",
    cause:
      "It received SIGSTOP, or a debugger stopped it. Clients wait without a time limit, so " +
      "every PVE daemon hangs.",
    fix: "kill -CONT {pid}",
    advice:
      "In state t a debugger stopped it: end the debugger (TracerPid in `grep Tracer " +
      "/proc/{pid}/status`).",
    seen: ["hang"],
  },
  SERVER_STUCK: {
    title: "the server sleeps uninterruptibly",
    check: "listener",
    severity: "fail",
    line: "the server (pid {pid}, {command}) sleeps uninterruptibly (state D) in {wchan}",
    cause: "It waits in the kernel for a disk, a network file system or a FUSE daemon.",
    advice:
      "Look at `cat /proc/{pid}/stack` and `dmesg | tail -n 30`. Signals have no effect in this " +
      "state.",
    seen: ["hang"],
  },
  SOCKET_TAKEN: {
    title: "another program has the socket",
    check: "listener",
    severity: "fail",
    line: "@{service} belongs to pid {pid} ({command}), which is not pmxcfs{rival}",
    cause:
      'Another process bound the name first. A pmxcfs that finds it taken logs "Could not bind ' +
      'AF_UNIX: Address already in use", keeps running with /etc/pve mounted, and serves no IPC.',
    advice:
      "Identify pid {pid} (`ls -l /proc/{pid}/exe` and `cat /proc/{pid}/cgroup`), stop it by its " +
      "own unit or program, then `systemctl restart pve-cluster`.",
    seen: ["connection-refused", "unknown-error", "address-in-use"],
  },
  SOCKET_SHORT_ADDRESS: {
    title: "listening on an address libqb does not use",
    check: "listener",
    severity: "fail",
    line: "pid {pid} ({command}) listens on @{service} with a {length}-byte address, libqb on 110",
    cause:
      "The length is part of an abstract address. systemd sockets and most libraries bind the " +
      "exact name; libqb clients connect to the name padded with NULs to 110 bytes, which is " +
      "another address.",
    advice:
      "The server must bind its socket itself: disable the socket unit and restart the service.",
    seen: ["connection-refused"],
  },
  SOCKET_FILESYSTEM_MISMATCH: {
    title: "abstract and file-system sockets mixed",
    check: "listener",
    severity: "fail",
    usualPath: "/run/pve2",
    line: "{flag} {state}, but the server listens on {where}",
    cause:
      "/etc/libqb/force-filesystem-sockets makes libqb use {path} instead of the abstract name, " +
      "in every process that starts after that file was created. Server and clients must use the " +
      "same kind of socket.",
    fix: "systemctl restart pve-cluster",
    seen: ["connection-refused"],
  },
  SOCKET_SEVERAL: {
    title: "several listeners",
    check: "listener",
    severity: "warn",
    line: "{count} sockets listen for {service}: {list}",
    cause:
      "Two servers have the same service name with different kinds of address. The libqb of a " +
      "client determines to which one it connects.",
    advice: "Stop the one that is not the node's pmxcfs, by its own unit.",
  },
  SERVER_TWICE: {
    title: "two servers write config.db",
    check: "database",
    severity: "fail",
    usualPath: PVE.database,
    line: "{count} servers have {path} open for writing: {list}",
    cause:
      "A pmxcfs was started while another one ran, because its lock file was removed. Each has a " +
      "tree of its own in memory: one answers requests, the other one has the mount, and a start " +
      "loads a mixture of what both wrote.",
    advice:
      "Keep what is mounted: `cp -a /etc/pve /root/pve-kept`. Then stop both (`systemctl stop " +
      "pve-cluster`, and `kill` for the one that still runs), `systemctl start pve-cluster`, and " +
      "compare: `diff -r /root/pve-kept /etc/pve`.",
    seen: ["address-in-use"],
  },
  SOCKET_ABSENT: {
    title: "no listener",
    check: "listener",
    severity: "fail",
    line: "nothing listens on @{service}",
    cause:
      "pmxcfs is not running, or not yet (boot order), or it runs in another network namespace. " +
      "Clients get ECONNREFUSED at once.",
    fix: "systemctl start pve-cluster",
    advice: "If it does not keep running: `journalctl -b -u pve-cluster -n 30`.",
    seen: ["proxy-key", "ipc-other-error", "connection-refused", "acl-list"],
  },
  RESTART_FLAG: {
    title: "the restart flag is set",
    check: "listener",
    severity: "notice",
    usualPath: PVE_RESTART_FLAG,
    line: "{path} is there ({age} s old): Perl clients wait up to 10 s before they report an error",
    cause:
      "A clean stop creates this flag, and the next start removes it. While it exists, PVE's " +
      "clients retry every 100 ms for 10 s, because a restart is likely.",
    seen: ["hang", "connection-refused"],
  },
  RESTART_FLAG_STALE: {
    title: "a stale restart flag",
    check: "listener",
    severity: "warn",
    usualPath: PVE_RESTART_FLAG,
    line: "{path} is {age} s old although the server listens",
    cause:
      "The start of the server should have removed it. While it exists, every client without a " +
      "connection waits for up to 10 s.",
    fix: "rm -f {path}",
    seen: ["hang"],
  },
  UNIT_FAILED: {
    title: "the service has failed",
    check: "unit",
    severity: "fail",
    line: "{unit} has failed: {result}",
    cause: "The service ended with an error; its last log lines have the reason.",
    fix: "systemctl reset-failed {unit}; systemctl restart {unit}",
    advice: "If it fails again: `journalctl -b -u {unit} -n 30`.",
    seen: ["service-failed"],
  },
  UNIT_INACTIVE: {
    title: "the service is not started",
    check: "unit",
    severity: "warn",
    line: "{unit} is {state}",
    cause: "The unit is installed, but was not started, or was stopped.",
    fix: "systemctl start {unit}",
    seen: ["connection-refused", "ordering-cycle"],
  },
  UNIT_SKIPPED: {
    title: "systemd skips the service",
    check: "unit",
    severity: "fail",
    line: "{unit} is {state}: systemd did not start it, because of a condition of the unit",
    cause:
      "The unit has ConditionFileIsExecutable=/usr/bin/pmxcfs: that file is missing, is not " +
      "executable, or is a link to a program that was removed. A start reports no error.",
    advice:
      "`systemctl status {unit}` names the condition. Look at `ls -lL /usr/bin/pmxcfs` and `dpkg " +
      "--verify pve-cluster`; `apt-get install --reinstall pve-cluster` puts the file back.",
    seen: ["unit-condition"],
  },
  UNIT_STARTING: {
    title: "the start of the service has not ended",
    check: "unit",
    severity: "warn",
    line: "{unit} is {state}",
    cause:
      "The node boots, or systemd starts the service again after an error. A start waits for " +
      "pmxcfs's lock, and for the address of the node's name.",
    advice:
      "Run `pmxcfs-ipc --check` again after some seconds. If the state stays: `journalctl -b -u " +
      "{unit} -n 30`.",
    seen: ["connection-refused", "unit-job"],
  },
  UNIT_MASKED: {
    title: "the service is masked",
    check: "unit",
    severity: "warn",
    line: "{unit} is masked",
    cause: "`systemctl mask` was used on it: it cannot be started, not even by hand.",
    // One without an option leaves the mask of `mask --runtime`.
    fix: "systemctl unmask {unit} && systemctl unmask --runtime {unit} && systemctl start {unit}",
    seen: ["connection-refused", "service-failed"],
  },
  UNIT_RESTARTS: {
    title: "the service keeps restarting",
    check: "unit",
    severity: "warn",
    line: "systemd has restarted {unit} {count} times (limit {limit})",
    cause: "The server crashes or its watchdog ends it; each restart flushes all client caches.",
    advice: "Look at `journalctl -b -u {unit} -n 100` and `coredumpctl list`.",
    seen: ["server-killed", "not-connected"],
  },
  LOG_ERROR: {
    title: "a known error in the log",
    check: "unit",
    severity: "warn",
    line: "{unit} logged: {message}",
    cause: "A known line of the server's own log: {meaning}",
    advice: "See `pmxcfs-ipc explain -- {message}`.",
  },
  CPG_RETRIES: {
    title: "corosync is slow",
    check: "unit",
    severity: "warn",
    line: "cpg_send_message was retried {count} times in the last hour (limit {limit})",
    cause: "corosync is slow or its links lose packets. Writes to /etc/pve wait for it.",
    advice: "Look at `corosync-cfgtool -s` and `journalctl -u corosync --since -1h`.",
    seen: ["cpg-join", "corosync-links", "cpg-retried", "sync-failed"],
  },
  STATUS_SLOW: {
    title: "pvestatd is slow",
    check: "unit",
    severity: "warn",
    line:
      "{count} slow {count:cycle|cycles} of pvestatd in the last hour, the longest {seconds} s " +
      "(limit 5 s)",
    cause:
      "A status update took longer than 5 s, because of a storage that hangs, a guest that does " +
      "not answer, or a slow pmxcfs. The GUI shows grey question marks meanwhile.",
    advice: "Look at `journalctl -u pvestatd --since -1h` and `pvesm status`.",
    seen: ["status-update-time", "daemon-timeout"],
  },
} as const satisfies Record<string, Code>;

export const ACCESS_CODES = {
  NETNS_DIFFERS: {
    title: "another network namespace",
    check: "identity",
    severity: "warn",
    line: "this process is in network namespace {own}, pid 1 is in {init}",
    cause:
      "The service is an abstract socket, and abstract names belong to a network namespace: a " +
      "server in another one cannot be reached from here.",
    fix: "nsenter --target 1 --net pmxcfs-ipc --check --socket {service}",
    seen: ["connection-refused"],
  },
  USER_NAMESPACE: {
    title: "a user namespace",
    check: "identity",
    severity: "notice",
    line: "uid {uid}, gid {gid} of this user namespace are uid {outside}, gid {outsideGid} outside",
    cause:
      "The server checks the ids in its own user namespace. Root of this namespace is an " +
      "ordinary uid there, and ring files that belong to an unmapped uid cannot be opened here.",
    advice: "Run the program as root of the host, outside the user namespace.",
    seen: ["unknown-error", "permission-denied"],
  },
  IN_CONTAINER: {
    title: "a container",
    check: "identity",
    severity: "notice",
    line: "this is a container ({sign})",
    cause:
      "A container has its own /dev/shm and usually its own network namespace, so it cannot " +
      "reach the pmxcfs of its host. This is intended.",
    advice: "Run `pmxcfs-ipc --check` on the host as well.",
  },
  CREDENTIALS_DIFFER: {
    title: "real and effective ids differ",
    check: "identity",
    severity: "notice",
    line: "real and effective ids differ: uid {ruid}/{euid}, gid {rgid}/{egid}",
    cause:
      "libqb servers check the real ids (SCM_CREDENTIALS), which a set-uid or set-gid bit does " +
      "not change.",
    advice:
      "Start the program with these ids as its real ids: `setpriv --reuid {euid} --regid {egid} " +
      "--clear-groups` in front of its command line.",
    seen: ["unknown-error"],
  },
  ACCESS_REFUSED_UID: {
    title: "refused: neither root nor www-data",
    check: "handshake",
    severity: "fail",
    line: "refused: uid {uid} with gid {gid} is neither root nor of group www-data",
    cause:
      "The server accepts uid 0 with gid 0, and group www-data as the primary group. " +
      "Supplementary groups do not count.",
    advice:
      "Run the program as root (sudo). To read only: with www-data as its primary group, " +
      "`setpriv --regid www-data --clear-groups` in front of its command line.",
    seen: ["ipc-other-error", "unknown-error", "operation-not-permitted"],
  },
  ACCESS_REFUSED_GID: {
    title: "refused: root with another group",
    check: "handshake",
    severity: "fail",
    line: "refused: uid 0 is right, but gid {gid} ({group}) is neither 0 nor www-data ({wwwdata})",
    cause:
      "The C server accepts root only together with gid 0. Backup and monitoring agents that run " +
      "as root in a group of their own are refused.",
    advice:
      "Run the program with gid 0: `setpriv --regid 0 --clear-groups` in front of its command " +
      "line; in its unit Group=root.",
    seen: ["ipc-other-error", "unknown-error"],
  },
  ACCESS_REFUSED_RULE: {
    title: "refused by a rule of this server",
    check: "handshake",
    severity: "fail",
    line: "refused: uid {uid}, gid {gid}, which pmxcfs's usual rule accepts",
    cause:
      "The server accepts other ids than pmxcfs: it was started with access options, or it does " +
      "not run as root and so cannot give its ring files to other users, or it runs in another " +
      "user namespace.",
    advice:
      "Run the client as the user of the server, or start the server as root and without access " +
      "options (`pmxcfs-ipc serve --help`).",
    seen: ["unknown-error", "operation-not-permitted"],
  },
  ROOT_GID_UNUSUAL: {
    title: "root with a group that the C server refuses",
    check: "identity",
    severity: "notice",
    line: "uid 0 has gid {gid} ({group}): this server accepts that, a C pmxcfs would not",
    cause: "The C server accepts root only together with gid 0; ours accepts any gid of uid 0.",
    advice: "In the program's unit: Group=root.",
    seen: ["unknown-error"],
  },
  GROUP_MISSING: {
    title: "no group www-data",
    check: "identity",
    severity: "fail",
    line: "there is no group www-data",
    cause:
      'At its start pmxcfs reads the id of this group, and ends if it does not exist ("Unable to ' +
      'get www-data group ID"). Minimal images and containers do not have it.',
    fix:
      "{ groupadd --system --gid 33 www-data || groupadd --system www-data; } && " +
      "systemctl restart pve-cluster",
    seen: ["www-data-group", "service-failed"],
  },
} as const satisfies Record<string, Code>;
