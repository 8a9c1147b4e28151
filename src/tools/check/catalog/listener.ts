/** Codes about the listening socket, the process that has it, its unit and its log. */
import type { Code } from "./code.ts";

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
    seen: ["cpg-join", "corosync-links", "cpg-retried"],
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
    seen: ["status-update-time"],
  },
} as const satisfies Record<string, Code>;
