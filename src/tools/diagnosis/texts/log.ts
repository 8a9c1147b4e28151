/**
 * Texts for lines of which only the program, the severity or a path is known. They are used if no
 * other text matches, and name the log or command to check next.
 */
import type { ErrorText } from "../error-text.ts";

export const LOG_TEXTS: readonly ErrorText[] = [
  {
    id: "pmxcfs-database-crit",
    title: "[database] crit: ...",
    patterns: [/\[(database|memdb|cfs-plug\S*)\] (crit|error|err|fatal|warning)/],
    meaning:
      "An error of pmxcfs about its database or the tree in memory. If pmxcfs ended after it, " +
      'the last lines before "exit proxmox configuration filesystem" have the reason.',
    causes: [
      { code: "DB_CORRUPT", check: "`pmxcfs-ipc --check --only database` as root" },
      { code: "DB_DISK_LOW", check: "`df /var/lib/pve-cluster`" },
      {
        code: "UNIT_FAILED",
        check: "`systemctl status pve-cluster`, `journalctl -b -u pve-cluster`",
      },
    ],
  },
  {
    id: "pmxcfs-main-crit",
    title: "[main] crit: ...",
    patterns: [/\[main\] (crit|error|err|fatal|warning)/],
    meaning:
      "pmxcfs could not set up something at its start: a directory, its pid file, the mount, a " +
      "process. After most of these lines it ends. The end of the line has the system's error " +
      "text.",
    causes: [
      {
        text:
          "One of its directories is missing or does not belong to root: /var/lib/pve-cluster, " +
          "/run, /etc/pve.",
        check: "`ls -ld /var/lib/pve-cluster /run /etc/pve`, `df /run /var/lib/pve-cluster`",
      },
      {
        code: "UNIT_FAILED",
        check: "`systemctl status pve-cluster`, `journalctl -b -u pve-cluster`",
      },
      {
        code: "MEMORY_LOW",
        check: "the line says Cannot allocate memory",
        signs: /allocate|memory/,
      },
    ],
  },
  {
    id: "pmxcfs-ipc-crit",
    title: "[ipcs] crit: ... / [libqb] error: ...",
    patterns: [/\[(ipcs|ipcc|libqb) *\] (crit|error|err|fatal|warning)/],
    meaning:
      "The IPC server of pmxcfs (libqb) could not serve a client or set up its socket. Clients " +
      "then get Connection refused, Transport endpoint is not connected, or hang.",
    causes: [
      {
        text: "Find out what a client gets now.",
        check:
          "`pmxcfs-ipc call get-fs-version`, then `pmxcfs-ipc --check --only " +
          "listener,handshake`",
      },
      { code: "SHM_FULL", check: "`df /dev/shm`", signs: /shm|space|allocat/ },
      {
        code: "DESCRIPTORS_LOW",
        check: "the line says Too many open files, or rlimit",
        signs: /too many|rlimit/,
      },
    ],
  },
  {
    id: "pmxcfs-cluster-crit",
    kind: "symptom",
    title: "[dcdb] crit: ... / [status] crit: ...",
    patterns: [
      /\[(dcdb|status|quorum|confdb|cpg|dfsm|cluster|loop)\] (crit|error|err|fatal|warning)/,
    ],
    meaning:
      "An error of pmxcfs about the cluster. After most of these lines it leaves its group in " +
      "corosync, joins again and synchronises. Investigate it if the same line repeats.",
    causes: [
      {
        text: "It came once, when a node or a link went down: nothing to do.",
        check:
          "`pvecm status` says Quorate: Yes; `journalctl -u pve-cluster -n 50` ends in normal " +
          "lines",
      },
      {
        text: "This node is not synced: `systemctl restart pve-cluster` (guests keep running).",
        check: "the same line comes every few seconds, and not on other nodes",
      },
      { code: "CPG_RETRIES", check: "`corosync-cfgtool -s`, `journalctl -u corosync -n 50`" },
      { code: "NO_QUORUM", check: "`pvecm status` says Quorate: No" },
    ],
  },
  {
    id: "pmxcfs-notice",
    kind: "normal",
    title: "pmxcfs: [dcdb] notice: ...",
    patterns: [
      /pmxcfs\[\d+\]: \[[\w-]+\] (notice|info|message|debug)/,
      /^\[(dcdb|status|main|database|quorum|confdb)\] (notice|info|message|debug)/,
    ],
    meaning: "A notice of pmxcfs about normal operation.",
    causes: [
      {
        text: "Normal operation.",
        check: "`journalctl -b -u pve-cluster | grep -E 'crit|error'` shows errors, if any",
      },
    ],
  },
  {
    id: "corosync-log",
    kind: "symptom",
    title: "corosync: [TOTEM ] / [KNET ] / [QUORUM] ...",
    patterns: [
      /corosync\[\d+\]: .{0,60}\[(totem|knet|quorum|voteq|main|cpg) *\]/,
      /corosync\[\d+\]: .{0,60}\[(cfg|serv|sync|cmap|wd|mon|qb) *\]/,
      /^(error|warning|notice|info)? ?:? ?\[(totem|knet|voteq|cpg|cfg|cmap) *\] /,
      /corosync\[\d+\]: (error|parse error|can't|could not|failed)/,
    ],
    meaning:
      "A line of corosync that explain has no text for. corosync determines the members of the " +
      "cluster and the quorum; pmxcfs follows it.",
    causes: [
      {
        text: "It matters only if a link is down or there is no quorum.",
        check: "`corosync-cfgtool -n`, `pvecm status`, `journalctl -u corosync -p warning -n 50`",
      },
      { code: "NO_QUORUM", check: "`pvecm status` says Quorate: No" },
    ],
  },
  {
    id: "ha-log",
    kind: "symptom",
    title: "pve-ha-lrm: ... / pve-ha-crm: ...",
    patterns: [/pve-ha-[cl]rm\[\d+\]: /],
    meaning: "A line of the HA daemons that explain has no text for. Not a fault of the IPC.",
    causes: [
      {
        text: "It matters only if the state of HA shows a fault.",
        check: "`ha-manager status --verbose`",
      },
      { code: "NO_QUORUM", check: "`pvecm status`" },
    ],
  },
  {
    id: "pve-busy",
    kind: "symptom",
    title: "unable to open file '/etc/pve/...' - Device or resource busy",
    errno: ["EBUSY", "EAGAIN", "EINTR", "ETIMEDOUT"],
    places: ["pve"],
    patterns: [/'\/etc\/pve\/\S+ - device or resource busy/],
    meaning:
      "The cluster did not confirm a change to /etc/pve in time: the nodes were synchronising, " +
      "or corosync accepted no message. The change was not made, or can still be made: check the " +
      "file, then try again.",
    causes: [
      { code: "CPG_RETRIES", check: "the log of pmxcfs has cpg_send_message at that time" },
      {
        text: "A node joined, left or was restarted at that time: try again.",
        check: '`journalctl -u pve-cluster -n 30` has "starting data syncronisation"',
      },
      { code: "NO_QUORUM", check: "`pvecm status`" },
    ],
  },
  {
    id: "pve-not-empty",
    title: "Directory not empty / File exists (in /etc/pve)",
    errno: ["ENOTEMPTY", "EEXIST", "EISDIR", "ENOTDIR", "ENAMETOOLONG"],
    places: ["pve"],
    meaning:
      "pmxcfs renames and removes only empty directories, allows each VMID once in the cluster, " +
      "and allows names of up to 255 bytes.",
    causes: [
      {
        text: "Move the files one by one (`mv /etc/pve/nodes/OLD/qemu-server/*.conf ...`).",
        check: "the line names a directory, and `ls` shows files in it",
        signs: /not empty/,
      },
      {
        text: "The VMID is in use elsewhere in the cluster.",
        check: "`ls /etc/pve/nodes/*/*/ID.conf`",
        signs: /exists/,
      },
    ],
  },
  {
    id: "pve-no-file",
    kind: "symptom",
    title: "/etc/pve/...: No such file or directory",
    errno: ["ENOENT"],
    places: ["pve"],
    patterns: [/\/etc\/pve\/\S+ (does not exist|not found|is missing)/],
    meaning:
      "The file is not in the cluster's tree, or /etc/pve is not mounted. Many files of PVE do " +
      "not exist until a setting is made (datacenter.cfg, ceph.conf, ha/resources.cfg).",
    causes: [
      {
        code: "PVE_NOT_MOUNTED",
        check: "`findmnt /etc/pve` prints nothing, `ls /etc/pve` is empty",
      },
      {
        text: "It was never created, was removed, or is below another node's name.",
        check: "`pmxcfs-ipc config ls` as root lists the entries of the database",
      },
    ],
  },
  {
    id: "pve-log",
    kind: "symptom",
    title: "pvestatd, pveproxy, pvedaemon, ...: another error",
    patterns: [
      /\b(pvestatd|pveproxy|pvedaemon)\[\d+\]: .*(error|fail|unable|can't|cannot)/,
      /\b(pvescheduler|spiceproxy)\[\d+\]: .*(error|fail|unable|can't|cannot)/,
      /\b(pvestatd|pveproxy|pvedaemon)\[\d+\]: .*(could not|refused|denied)/,
      /\b(pvestatd|pveproxy|pvedaemon)\[\d+\]: .*(time(d )?out|malformed)/,
      /\b(pvescheduler|spiceproxy)\[\d+\]: .*(could not|refused|denied|time(d )?out|malformed)/,
      /\b(pve-guests|pvesr|vzdump|qmeventd)\[\d+\]: .*(error|fail|unable|can't|cannot)/,
      /\b(pve-guests|pvesr|vzdump|qmeventd)\[\d+\]: .*(could not|refused|denied)/,
      /\b(pve-guests|pvesr|vzdump|qmeventd)\[\d+\]: .*(time(d )?out|malformed)/,
      /^vzdump(\[\d+\])?: job errors/,
    ],
    meaning:
      "A daemon of PVE reports an error of a storage, a guest, another host or a file. Its line " +
      "names the part that failed. pmxcfs answered the daemon, or the line would name the IPC.",
    causes: [
      {
        text:
          "The part that the line names failed. Lines of the same second " +
          "often have more details.",
        check: "`journalctl -b -t PROGRAM -n 50`, `pvesm status`, the task list",
      },
      { code: "UNIT_FAILED", check: "every daemon reports errors: `pmxcfs-ipc --check`" },
    ],
  },
  {
    id: "pve-path",
    kind: "symptom",
    title: "ls: '/etc/pve': (an error text in another language)",
    patterns: [/^[\w./-]+: .{0,80}['\s]\/etc\/pve\b/, /^[\w./-]+: '?\/etc\/pve\b/],
    meaning:
      "A command failed at a path below /etc/pve. explain has no such error text: run the " +
      "command again with LC_ALL=C in front, and paste that line.",
    causes: [
      { code: "PVE_DEAD_MOUNT", check: "`stat -f /etc/pve` fails" },
      { code: "PVE_READ_ONLY", check: "only writes fail: `pvecm status` says Quorate: No" },
      { code: "PVE_NOT_MOUNTED", check: "`findmnt /etc/pve` prints nothing" },
    ],
  },
  {
    id: "task-error",
    kind: "symptom",
    title: "TASK ERROR: ... / ... (500)",
    patterns: [
      /^.{0,40}\btask error: /,
      /> end task upid:/,
      /^error: (backup|restore|vzdump) of |^error: job failed with err/,
      /\S \((400|404|500|501)\)$/,
      /received an http (400|404|500|501) response/,
    ],
    meaning:
      "The last line of a failed task, or an answer of the API. Its words come from the tool " +
      "that was run; explain has no text for them. Not a fault of the IPC.",
    causes: [
      {
        text: "The lines above it in the task's log have the reason.",
        check: "`pvenode task list --errors`, then `pvenode task log UPID`",
      },
      { code: "UNIT_FAILED", check: "every task fails: `pmxcfs-ipc --check`" },
    ],
  },
];
