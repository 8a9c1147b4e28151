/** Codes about the listening socket, the process behind it, its unit and its log. */
import type { Code } from "../code.ts";

export const LISTENER_CODES = {
  NOT_INSTALLED: {
    title: "no pmxcfs on this machine",
    check: "listener",
    severity: "fail",
    line: "no pmxcfs on this machine: nobody listens on @{service}, and none is installed",
    cause:
      "No listener, no pmxcfs or pmxcfs-ipc unit or program, no /etc/pve mount and no config.db: " +
      "this is not a Proxmox VE node, or not yet.",
    fix: "apt install pve-cluster, or: pmxcfs-ipc serve",
    seen: ["connection-refused"],
  },
  SERVER_STOPPED: {
    title: "the server is stopped",
    check: "listener",
    severity: "fail",
    line: "the server (pid {pid}, {command}) is stopped: state {state}",
    cause:
      "Somebody stopped it (SIGSTOP, a debugger, a frozen cgroup). Clients wait without a time " +
      "limit, so every PVE daemon hangs with it.",
    fix: "kill -CONT {pid}",
    seen: ["hang"],
  },
  SERVER_STUCK: {
    title: "the server sleeps uninterruptibly",
    check: "listener",
    severity: "fail",
    line: "the server (pid {pid}, {command}) sleeps uninterruptibly (state D) in {wchan}",
    cause: "The kernel waits for a disk, a network file system or a FUSE daemon on its behalf.",
    fix: "cat /proc/{pid}/stack; dmesg | tail -n 30",
    seen: ["hang"],
  },
  SOCKET_TAKEN: {
    title: "another process has the socket",
    check: "listener",
    severity: "fail",
    line: "@{service} belongs to pid {pid} ({command}), not to the running pmxcfs (pid {pmxcfs})",
    cause:
      'Another process had bound the name first. pmxcfs logs "Could not bind AF_UNIX: Address ' +
      'already in use", keeps running with /etc/pve mounted, and serves no IPC.',
    fix: "systemctl stop UNIT-OF-PID-{pid} && systemctl restart pve-cluster",
    seen: ["connection-refused", "unknown-error"],
  },
  SOCKET_SHORT_ADDRESS: {
    title: "listening on an address libqb does not use",
    check: "listener",
    severity: "fail",
    line: "pid {pid} ({command}) listens on @{service} with a {length}-byte address, libqb on 110",
    cause:
      "An abstract address counts with its length. systemd sockets and most libraries bind the " +
      "exact name; libqb clients connect to the name padded with NULs, which is another address.",
    fix: "let the server itself bind its socket (no socket unit); restart it",
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
    fix: "systemctl stop the one that should not be there",
  },
  SOCKET_ABSENT: {
    title: "nobody listens",
    check: "listener",
    severity: "fail",
    line: "nobody listens on @{service}",
    cause:
      "pmxcfs is not running, or not yet (boot order), or it runs in another network namespace. " +
      "Clients get ECONNREFUSED at once.",
    fix: "systemctl start pve-cluster; journalctl -b -u pve-cluster -n 30",
    seen: ["connection-refused", "acl-list"],
  },
  RESTART_FLAG: {
    title: "the restart flag is set",
    check: "listener",
    severity: "notice",
    usualPath: "/run/pve-cluster/cfs-restart-flag",
    line: "{path} is there ({age} s old): Perl clients wait up to 10 s before they report an error",
    cause:
      "A clean stop leaves this flag and the next start removes it: clients poll every 100 ms " +
      "for 10 s, in the hope of a restart.",
    fix: "systemctl start pve-cluster",
    seen: ["hang", "connection-refused"],
  },
  RESTART_FLAG_STALE: {
    title: "a stale restart flag",
    check: "listener",
    severity: "warn",
    usualPath: "/run/pve-cluster/cfs-restart-flag",
    line: "{path} is {age} s old although the server listens",
    cause:
      "The start should have removed it. While it lies there, every client that loses its " +
      "connection pauses for up to 10 s.",
    fix: "rm {path}",
    seen: ["hang"],
  },
  UNIT_FAILED: {
    title: "the service has failed",
    check: "unit",
    severity: "fail",
    line: "{unit} has failed: {result}",
    cause: "The service ended by itself; the reason is in its last log lines.",
    fix: "journalctl -b -u {unit} -n 30; systemctl reset-failed {unit}; systemctl restart {unit}",
    seen: ["service-failed"],
  },
  UNIT_INACTIVE: {
    title: "the service is not started",
    check: "unit",
    severity: "warn",
    line: "{unit} is {state}",
    cause: "The unit is installed, but nothing has started it.",
    fix: "systemctl enable --now {unit}",
    seen: ["connection-refused"],
  },
  UNIT_MASKED: {
    title: "the service is masked",
    check: "unit",
    severity: "warn",
    line: "{unit} is masked",
    cause: "Somebody ran systemctl mask; it cannot start, not even by hand.",
    fix: "systemctl unmask {unit} && systemctl start {unit}",
    seen: ["connection-refused"],
  },
  UNIT_RESTARTS: {
    title: "the service keeps restarting",
    check: "unit",
    severity: "warn",
    line: "systemd has restarted {unit} {count} times (limit {limit})",
    cause: "The server crashes or its watchdog ends it; each restart flushes all client caches.",
    fix: "journalctl -b -u {unit} | grep -E 'exited|Assertion|watchdog|crit'; coredumpctl list",
    seen: ["not-connected"],
  },
  LOG_ERROR: {
    title: "a known error in the log",
    check: "unit",
    severity: "warn",
    line: "{unit} logged: {message}",
    cause: "A line of the server's own log that is known to mean trouble: {meaning}",
    fix: "pmxcfs-ipc explain {message}",
  },
  CPG_RETRIES: {
    title: "corosync is slow",
    check: "unit",
    severity: "warn",
    line: "cpg_send_message was retried {count} times in the last hour (limit {limit})",
    cause: "corosync is slow or its links lose packets; pmxcfs waits for it with a lock held.",
    fix: "corosync-cfgtool -s; journalctl -u corosync --since -1h",
    seen: ["cpg-retried"],
  },
  STATUS_SLOW: {
    title: "pvestatd is slow",
    check: "unit",
    severity: "warn",
    line: "{count} slow cycles of pvestatd in the last hour, the longest {seconds} s (limit 5 s)",
    cause:
      "A status update took over 5 s: a hung storage, a guest that does not answer, or a slow " +
      "pmxcfs. The GUI shows grey question marks meanwhile.",
    fix: "journalctl -u pvestatd --since -1h; pvesm status",
    seen: ["status-update-time"],
  },
} as const satisfies Record<string, Code>;
