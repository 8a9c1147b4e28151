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
