/** Lines of systemd about PVE's units, except pve-cluster and corosync. */
import type { ErrorText } from "../error-text.ts";

/** The beginning of a line of systemd about a unit of PVE. */
export const UNIT_NAME =
  "\\b(pveproxy|pvedaemon|pvestatd|pvescheduler|spiceproxy|pvebanner|pvenetcommit|pvesr|qmeventd" +
  "|pve-(ha-[cl]rm|firewall|guests|lxc-syscalld|daily-update|storage)|proxmox-firewall)" +
  "\\.(service|timer): ";

/** A pattern: the name of a PVE unit, and the words that follow it. */
function unit(words: string): RegExp {
  return new RegExp(`${UNIT_NAME}(${words})`);
}

export const UNIT_TEXTS: readonly ErrorText[] = [
  {
    id: "unit-normal",
    kind: "normal",
    title: "corosync.service: Referenced but unset environment variable",
    patterns: [
      /referenced but unset environment variable evaluates to an empty string/,
      /(pve\S*|corosync|rrdcached)\.service: (deactivated successfully|consumed|succeeded)/,
      /(spiceproxy|watchdog-mux)\.service: (deactivated successfully|consumed|succeeded)/,
    ],
    meaning: "systemd writes these when units of a node start or stop.",
    causes: [{ text: "Normal operation.", check: "other lines, with failed or timed out" }],
  },
  {
    id: "mount-unit",
    title: "systemd: Failed to mount /etc/pve",
    patterns: [
      /failed to (re)?mount '?\/etc\/pve\b/,
      /\betc-pve\.mount\b.*(fail|error|exit|not found|timed out)/,
      /dependency failed for .*\/etc\/pve|(mounting|mount of) '?\/etc\/pve.*failed/,
    ],
    meaning:
      "/etc/pve is mounted by pmxcfs itself, not by systemd. A mount unit for it was made from a " +
      "line in /etc/fstab or was added by hand, and prevents pmxcfs from mounting.",
    causes: [
      {
        text:
          "Remove that line or unit, then `systemctl daemon-reload; systemctl restart " +
          "pve-cluster`.",
        check: "`grep -n /etc/pve /etc/fstab`, `systemctl cat etc-pve.mount`",
      },
      { code: "PVE_NOT_MOUNTED", check: "`findmnt /etc/pve` prints nothing" },
    ],
  },
  {
    id: "daemon-failed",
    kind: "symptom",
    title: "pveproxy.service (or another daemon of PVE) failed",
    patterns: [
      unit(
        "failed|main|control|start request|state '|killing|scheduled restart|unit entered failed",
      ),
      /failed to start (pveproxy|pvedaemon|pvestatd|pvescheduler|spiceproxy|pve-)/,
      /failed to start .*(pve (api|status|local ha|cluster ha|spice|guests))/,
      /failed to start .*(proxmox ve (firewall|sched))/,
      /can't connect to (127\.0\.0\.1|localhost):85\b/,
      /job for (pve\w*|pve-\S+|spiceproxy)\.service (failed|canceled)/,
      /(traps: )?(pve\w+|pve-ha-\w+|spiceproxy)\[\d+\]:? (general protection|segfault|trap )/,
      /\b(pve\w*|pve-ha-\w+|spiceproxy)\[\d+\]: (start failed|start-stop failed)/,
      /\b(pve\w*|pve-ha-\w+|spiceproxy)\[\d+\]: (unable to create (pid|lock))/,
    ],
    meaning: "All daemons of PVE need pmxcfs: check pve-cluster first, then the daemon's own log.",
    causes: [
      { code: "SOCKET_ABSENT", check: "`systemctl status pve-cluster`" },
      {
        text: "pmxcfs runs, and the daemon itself fails.",
        check: "`journalctl -b -u pveproxy -n 30`, or its unit",
      },
    ],
  },
  {
    id: "daemon-timeout",
    kind: "symptom",
    title: "pveproxy.service: Start-pre operation timed out. Terminating.",
    patterns: [
      unit("(start|stop|start-pre|start-post|reload|stop-\\w+) .*timed out|stopping timed out"),
      unit("(unit process|processes still|found left-over process|killing process) .*"),
      /timed out (starting|stopping|while waiting for) .*(pve|proxmox)/,
    ],
    meaning:
      "A daemon of PVE did not start or stop in time, usually because it waits for /etc/pve. At " +
      "its start pveproxy runs `pvecm updatecerts`, which waits for quorum and for a lock of the " +
      "cluster.",
    causes: [
      { code: "PVE_HUNG", check: "`time stat /etc/pve/local` does not return" },
      { code: "NO_QUORUM", check: "`pvecm status` says Quorate: No" },
      { code: "STATUS_SLOW", check: "`pvesm status` hangs: a storage does not answer" },
    ],
  },
  {
    id: "unit-dependency",
    kind: "symptom",
    title: "Dependency failed for corosync.service - Corosync Cluster Engine.",
    patterns: [
      /dependency failed for (\S*(corosync|pve|proxmox|pmxcfs)|.*(proxmox|corosync))/,
      /job (pve[\w-]*|corosync|proxmox[\w-]*)\.service\/start failed with result 'dependency'/,
    ],
    meaning: "systemd did not start the unit, because a unit that it requires has failed.",
    causes: [
      { code: "UNIT_FAILED", check: "`systemctl --failed` lists pve-cluster" },
      {
        text: "Another unit failed: corosync requires network-online.target.",
        check: "`systemctl list-dependencies UNIT` marks the failed one",
      },
    ],
  },
  {
    id: "ordering-cycle",
    title: "Job pve-cluster.service/start deleted to break ordering cycle",
    patterns: [
      /(pve|proxmox|corosync|rrdcached)\S*\.(service|target|mount)\b.*ordering cycle/,
      /ordering cycle.*\b(pve|proxmox|corosync|rrdcached)/,
    ],
    meaning:
      "Units wait for each other in a circle, so systemd left one of them out at this boot. Most " +
      "often a unit of another program is ordered after pve-cluster and before the network.",
    causes: [
      {
        text:
          "The lines with Found ordering cycle and Found dependency name the circle. Correct " +
          "After= and Before= of the unit that is not PVE's (`systemctl edit --full UNIT`), or " +
          "split it.",
        check: "`journalctl -b -g 'ordering cycle|Found dependency'`",
      },
      { code: "UNIT_INACTIVE", check: "until the next boot: `systemctl status pve-cluster`" },
    ],
  },
  {
    id: "unit-condition",
    title: "The Proxmox VE cluster filesystem was skipped because of an unmet condition check",
    patterns: [
      /(pve-cluster\.service|proxmox ve cluster file\s?system)\b.*(condition|skipped)/,
      /condition check resulted in .*proxmox ve cluster file\s?system/,
      /conditionfileisexecutable=\S*pmxcfs/,
    ],
    meaning:
      "systemd did not start pve-cluster, and counts that as no failure: the program of the " +
      "unit, /usr/bin/pmxcfs, is not there or cannot be executed.",
    causes: [{ code: "UNIT_SKIPPED", check: "`ls -lL /usr/bin/pmxcfs`" }],
  },
  {
    id: "unit-job",
    kind: "symptom",
    title: "A start job is running for The Proxmox VE cluster filesystem (1min 12s / no limit)",
    patterns: [/a (start|stop) job is running for .*(proxmox|\bpve\b|corosync)/],
    meaning:
      "systemd waits for the start or the stop of a service. All services of PVE wait for " +
      "pve-cluster, and guests that start at boot wait for quorum.",
    causes: [
      { code: "NO_QUORUM", check: "the line names PVE guests: `pvecm status`", signs: /guests/ },
      {
        text:
          "The stop of the C server hangs (a known fault): any connection to its socket ends the " +
          "hang.",
        check: "it is a stop job of the cluster filesystem",
        signs: /stop job.*file/,
      },
      { code: "UNIT_STARTING", check: "`journalctl -b -u pve-cluster -n 10` in another console" },
      { code: "NAME_SLOW", check: "`getent ahosts $(hostname)` takes seconds" },
      { code: "DB_LOCKED_BY_OTHER", check: "its log has unable to acquire pmxcfs lock" },
    ],
  },
  {
    id: "unit-watchdog",
    title: "pve-ha-lrm.service: Watchdog timeout",
    patterns: [unit("watchdog timeout"), /(corosync|pve-cluster)\.service: watchdog timeout/],
    meaning: "systemd ended the daemon, because it did not report within the time of its unit.",
    causes: [
      { code: "PVE_HUNG", check: "`time stat /etc/pve/local` does not come back" },
      { code: "MEMORY_PRESSURE", check: "`cat /proc/pressure/memory`" },
      { code: "CLIENTS_STUCK", check: "`ps axo pid,stat,wchan:32,comm | awk '$2 ~ /^D/'`" },
    ],
  },
];
