/**
 * Codes about the two ends of a connection: the listening socket with its process, unit and log,
 * and the caller with its ids, its namespaces and the accept rule that judges them.
 */
import type { Code } from "../code.ts";

export const LISTENER_CODES = {
  NOT_INSTALLED: {
    title: "no pmxcfs on this machine",
    check: "listener",
    severity: "fail",
    line: "no pmxcfs on this machine: nothing listens on @{service}, and none is installed",
    cause:
      "No listener, no pmxcfs or pmxcfs-ipc unit or program, no /etc/pve mount and no config.db: " +
      "this is not a Proxmox VE node, or not yet.",
    fix: "pmxcfs-ipc serve --socket {service}",
    advice:
      "The command serves an empty tree until ^C. To make this machine a node install the " +
      "package pve-cluster from Proxmox's repository; inside a container run the check on its host.",
    seen: ["connection-refused"],
  },
  SERVER_STOPPED: {
    title: "the server is stopped",
    check: "listener",
    severity: "fail",
    line: "the server (pid {pid}, {command}) is stopped: state {state}",
    cause:
      "It got SIGSTOP, or a debugger holds it. Clients wait without a time limit, so every PVE " +
      "daemon hangs with it.",
    fix: "kill -CONT {pid}",
    advice: "State t is a debugger: end that one (TracerPid in `grep Tracer /proc/{pid}/status`).",
    seen: ["hang"],
  },
  SERVER_STUCK: {
    title: "the server sleeps uninterruptibly",
    check: "listener",
    severity: "fail",
    line: "the server (pid {pid}, {command}) sleeps uninterruptibly (state D) in {wchan}",
    cause: "The kernel waits for a disk, a network file system or a FUSE daemon on its behalf.",
    advice: "Look at `cat /proc/{pid}/stack` and `dmesg | tail -n 30`; no signal helps.",
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
      "Find out what pid {pid} is (`ls -l /proc/{pid}/exe` and `cat /proc/{pid}/cgroup`) and " +
      "stop it by its own unit or program, then `systemctl restart pve-cluster`.",
    seen: ["connection-refused", "unknown-error", "address-in-use"],
  },
  SOCKET_SHORT_ADDRESS: {
    title: "listening on an address libqb does not use",
    check: "listener",
    severity: "fail",
    line: "pid {pid} ({command}) listens on @{service} with a {length}-byte address, libqb on 110",
    cause:
      "An abstract address counts with its length. systemd sockets and most libraries bind the " +
      "exact name; libqb clients connect to the name padded with NULs, which is another address.",
    advice: "Let the server bind its socket itself: disable the socket unit, restart the service.",
    seen: ["connection-refused"],
  },
  SOCKET_FILESYSTEM_MISMATCH: {
    title: "abstract and file-system sockets mixed",
    check: "listener",
    severity: "fail",
    usualPath: "/run/pve2",
    line: "{flag} {state}, but the server listens on {where}",
    cause:
      "That file makes libqb use {path} instead of the abstract name, in every process that " +
      "starts after it appeared. Server and clients must see the same.",
    fix: "systemctl restart pve-cluster",
    seen: ["connection-refused"],
  },
  SOCKET_SEVERAL: {
    title: "several listeners",
    check: "listener",
    severity: "warn",
    line: "{count} sockets listen for {service}: {list}",
    cause:
      "Two servers answer for one service under different kinds of address; which one a client " +
      "gets depends on its libqb.",
    advice: "Stop the one that is not the node's pmxcfs, by its own unit.",
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
    advice: "When it does not stay up: `journalctl -b -u pve-cluster -n 30`.",
    seen: ["proxy-key", "ipc-other-error", "connection-refused", "acl-list"],
  },
  RESTART_FLAG: {
    title: "the restart flag is set",
    check: "listener",
    severity: "notice",
    usualPath: "/run/pve-cluster/cfs-restart-flag",
    line: "{path} is there ({age} s old): Perl clients wait up to 10 s before they report an error",
    cause:
      "A clean stop leaves this flag and the next start removes it: clients poll every 100 ms " +
      "for 10 s, because a restart is likely.",
    seen: ["hang", "connection-refused"],
  },
  RESTART_FLAG_STALE: {
    title: "a stale restart flag",
    check: "listener",
    severity: "warn",
    usualPath: "/run/pve-cluster/cfs-restart-flag",
    line: "{path} is {age} s old although the server listens",
    cause:
      "The start should have removed it. While it exists, every client that loses its connection " +
      "pauses for up to 10 s.",
    fix: "rm -f {path}",
    seen: ["hang"],
  },
  UNIT_FAILED: {
    title: "the service has failed",
    check: "unit",
    severity: "fail",
    line: "{unit} has failed: {result}",
    cause: "The service ended by itself; the reason is in its last log lines.",
    fix: "systemctl reset-failed {unit}; systemctl restart {unit}",
    advice: "When it fails again: `journalctl -b -u {unit} -n 30`.",
    seen: ["service-failed"],
  },
  UNIT_INACTIVE: {
    title: "the service is not started",
    check: "unit",
    severity: "warn",
    line: "{unit} is {state}",
    cause: "The unit is installed, but was not started, or was stopped.",
    fix: "systemctl start {unit}",
    seen: ["connection-refused"],
  },
  UNIT_MASKED: {
    title: "the service is masked",
    check: "unit",
    severity: "warn",
    line: "{unit} is masked",
    cause: "`systemctl mask` was used on it; it cannot start, not even by hand.",
    fix: "systemctl unmask {unit} && systemctl start {unit}",
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
    cause: "A line of the server's own log with a known meaning: {meaning}",
    advice: "See `pmxcfs-ipc explain -- {message}`.",
  },
  CPG_RETRIES: {
    title: "corosync is slow",
    check: "unit",
    severity: "warn",
    line: "cpg_send_message was retried {count} times in the last hour (limit {limit})",
    cause: "corosync is slow or its links lose packets; pmxcfs waits for it with a lock held.",
    advice: "Look at `corosync-cfgtool -s` and `journalctl -u corosync --since -1h`.",
    seen: ["cpg-join", "corosync-links", "cpg-retried", "sync-failed"],
  },
  STATUS_SLOW: {
    title: "pvestatd is slow",
    check: "unit",
    severity: "warn",
    line: "{count} slow cycles of pvestatd in the last hour, the longest {seconds} s (limit 5 s)",
    cause:
      "A status update took over 5 s: a hung storage, a guest that does not answer, or a slow " +
      "pmxcfs. The GUI shows grey question marks meanwhile.",
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
      "The service is an abstract socket, and abstract names exist per network namespace: a " +
      "server outside cannot be reached from this one.",
    fix: "nsenter --target 1 --net pmxcfs-ipc --check --socket {service}",
    seen: ["connection-refused"],
  },
  USER_NAMESPACE: {
    title: "a user namespace",
    check: "identity",
    severity: "notice",
    line: "uid {uid}, gid {gid} of this user namespace are uid {outside}, gid {outsideGid} outside",
    cause:
      "The server judges the ids of its own user namespace, not those in here. Root of a user " +
      "namespace is an ordinary uid to a server outside it, and ring files that are given to an " +
      "unmapped uid cannot be opened.",
    advice: "Run it as root of the host, outside of the user namespace.",
    seen: ["unknown-error", "permission-denied"],
  },
  IN_CONTAINER: {
    title: "a container",
    check: "identity",
    severity: "notice",
    line: "this is a container ({sign})",
    cause:
      "A container has its own /dev/shm and, as a rule, its own network namespace; the pmxcfs of " +
      "the host is not reachable from it, by design.",
    advice: "Run `pmxcfs-ipc --check` on the host as well.",
  },
  CREDENTIALS_DIFFER: {
    title: "real and effective ids differ",
    check: "identity",
    severity: "notice",
    line: "real and effective ids differ: uid {ruid}/{euid}, gid {rgid}/{egid}",
    cause:
      "libqb servers judge the real ids (SCM_CREDENTIALS); a set-uid or set-gid bit does not " +
      "change those.",
    advice:
      "Start the program with the ids it needs as real ones: " +
      "`setpriv --reuid {euid} --regid {egid} --clear-groups` in front of its command line.",
    seen: ["unknown-error"],
  },
  ACCESS_REFUSED_UID: {
    title: "refused: neither root nor www-data",
    check: "handshake",
    severity: "fail",
    line: "refused: uid {uid} with gid {gid} is neither root nor of group www-data",
    cause:
      "The server accepts uid 0 with gid 0, or the gid of group www-data as the primary group. " +
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
      "The server accepts other ids than pmxcfs does: it was started with rules of its own, it " +
      "does not run as root and can give its ring files to nobody else, or it lives in another " +
      "user namespace.",
    advice:
      "Ask as the user the server runs as, or start the server as root and without access " +
      "options (`pmxcfs-ipc serve --help`).",
    seen: ["unknown-error", "operation-not-permitted"],
  },
  ROOT_GID_UNUSUAL: {
    title: "root with a group a C pmxcfs refuses",
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
      'pmxcfs looks the group up at its start and ends without it ("Unable to get www-data group ' +
      'ID"). Minimal images and containers lack it.',
    fix:
      "{ groupadd --system --gid 33 www-data || groupadd --system www-data; } && " +
      "systemctl restart pve-cluster",
    seen: ["www-data-group", "service-failed"],
  },
} as const satisfies Record<string, Code>;
