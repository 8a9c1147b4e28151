/**
 * What is known of a line only from its program, its severity, or a path in it: used when no other
 * text matches, so that the reader learns where to look next.
 */
import type { ErrorText } from "../error-text.ts";

export const LOG_TEXTS: readonly ErrorText[] = [
  {
    id: "pmxcfs-database-crit",
    title: "[database] crit: ...",
    patterns: [/\[(database|memdb|cfs-plug\S*)\] (crit|error|err|fatal|warning)/],
    meaning:
      "A severe line of pmxcfs about its database or the tree in memory. When it ended after it, " +
      'the last lines before "exit proxmox configuration filesystem" say why.',
    causes: [
      { code: "DB_CORRUPT", tell: "`pmxcfs-ipc --check --only database` as root" },
      { code: "DB_DISK_LOW", tell: "`df /var/lib/pve-cluster`" },
      {
        code: "UNIT_FAILED",
        tell: "`systemctl status pve-cluster`, `journalctl -b -u pve-cluster`",
      },
    ],
  },
  {
    id: "pmxcfs-main-crit",
    title: "[main] crit: ...",
    patterns: [/\[main\] (crit|error|err|fatal|warning)/],
    meaning:
      "pmxcfs could not set something up at its start: a directory, its pid file, the mount, a " +
      "process. After most of these lines it ends. The words at the end of the line are the " +
      "system's reason.",
    causes: [
      {
        text:
          "A directory or file of it is missing, or not root's: /var/lib/pve-cluster, /run, " +
          "/etc/pve.",
        tell: "`ls -ld /var/lib/pve-cluster /run /etc/pve`, `df /run /var/lib/pve-cluster`",
      },
      {
        code: "UNIT_FAILED",
        tell: "`systemctl status pve-cluster`, `journalctl -b -u pve-cluster`",
      },
      { code: "MEMORY_LOW", tell: "Cannot allocate memory", signs: /allocate|memory/ },
    ],
  },
  {
    id: "pmxcfs-ipc-crit",
    title: "[ipcs] crit: ... / [libqb] error: ...",
    patterns: [/\[(ipcs|ipcc|libqb) *\] (crit|error|err|fatal|warning)/],
    meaning:
      "The part of pmxcfs that answers requests (libqb) could not serve a client or set up its " +
      "socket. Clients then see Connection refused, Transport endpoint is not connected, or hang.",
    causes: [
      {
        text: "What a client sees now: one call tells.",
        tell:
          "`pmxcfs-ipc call get-fs-version`, then `pmxcfs-ipc --check --only " +
          "listener,handshake`",
      },
      { code: "SHM_FULL", tell: "`df /dev/shm`", signs: /shm|space|allocat/ },
      { code: "DESCRIPTORS_LOW", tell: "Too many open files, rlimit", signs: /too many|rlimit/ },
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
      "A severe line of pmxcfs about the cluster. After most of them it leaves its group in " +
      "corosync, joins again and compares the trees; it is worth a look when the same line comes " +
      "again.",
    causes: [
      {
        text: "It came once, at the time a node or a link went away: nothing to do.",
        tell:
          "`pvecm status` says Quorate: Yes; `journalctl -u pve-cluster -n 50` goes on " +
          "normally",
      },
      {
        text: "This node is not in step: `systemctl restart pve-cluster` (guests go on running).",
        tell: "the same line every few seconds, and other nodes do not have it",
      },
      { code: "CPG_RETRIES", tell: "`corosync-cfgtool -s`, `journalctl -u corosync -n 50`" },
      { code: "NO_QUORUM", tell: "`pvecm status` says Quorate: No" },
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
    meaning: "A notice of pmxcfs: what it did, not what failed.",
    causes: [
      {
        text: "Normal operation.",
        tell: "`journalctl -b -u pve-cluster | grep -E 'crit|error'` shows whether there is more",
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
      "A line of corosync that is not among the known ones. corosync decides who is in the " +
      "cluster and whether there is quorum; pmxcfs follows it.",
    causes: [
      {
        text: "Whether it matters: are all links connected, and is there quorum?",
        tell: "`corosync-cfgtool -n`, `pvecm status`, `journalctl -u corosync -p warning -n 50`",
      },
      { code: "NO_QUORUM", tell: "`pvecm status` says Quorate: No" },
    ],
  },
  {
    id: "ha-log",
    kind: "symptom",
    title: "pve-ha-lrm: ... / pve-ha-crm: ...",
    patterns: [/pve-ha-[cl]rm\[\d+\]: /],
    meaning: "A line of the HA daemons that is not among the known ones. Not the IPC.",
    causes: [
      { text: "The state of HA tells whether it matters.", tell: "`ha-manager status --verbose`" },
      { code: "NO_QUORUM", tell: "`pvecm status`" },
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
      "A change to /etc/pve did not get through the cluster: the nodes were comparing their " +
      "trees, or corosync took no message until the time limit. The change was not made (or " +
      "not seen to be made): look, then try again.",
    causes: [
      { code: "CPG_RETRIES", tell: "the log of pmxcfs has cpg_send_message at that time" },
      {
        text: "A node joined, left or was restarted just then: try again.",
        tell: '`journalctl -u pve-cluster -n 30` has "starting data syncronisation"',
      },
      { code: "NO_QUORUM", tell: "`pvecm status`" },
    ],
  },
  {
    id: "pve-not-empty",
    title: "Directory not empty / File exists (in /etc/pve)",
    errno: ["ENOTEMPTY", "EEXIST", "EISDIR", "ENOTDIR", "ENAMETOOLONG"],
    places: ["pve"],
    meaning:
      "pmxcfs renames and removes only empty directories, has a guest's number once in the " +
      "cluster, and has no names above 255 bytes.",
    causes: [
      {
        text: "Move the files one by one (`mv /etc/pve/nodes/OLD/qemu-server/*.conf ...`).",
        tell: "a directory is named, and `ls` shows files in it",
        signs: /not empty/,
      },
      {
        text: "A guest's number is in use elsewhere in the cluster.",
        tell: "`ls /etc/pve/nodes/*/*/ID.conf`",
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
      "The file is not in the cluster's tree, or the tree is not mounted. Many files of PVE " +
      "exist only once something was set (datacenter.cfg, ceph.conf, ha/resources.cfg).",
    causes: [
      {
        code: "PVE_NOT_MOUNTED",
        tell: "`findmnt /etc/pve` prints nothing, `ls /etc/pve` is empty",
      },
      {
        text: "It was never made, was removed, or lies below another node's name.",
        tell: "`pmxcfs-ipc config ls` as root lists what the database has",
      },
    ],
  },
  {
    id: "pve-log",
    kind: "symptom",
    title: "pvestatd, pveproxy, pvedaemon, ...: an error that is not among the known ones",
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
      "A daemon of PVE reports an error of what it works on: a storage, a guest, another host, a " +
      "file. It got that far, so pmxcfs answered it; its words name the part that failed.",
    causes: [
      {
        text: "The part that the line names. The lines of the same second often say more.",
        tell: "`journalctl -b -t PROGRAM -n 50`, `pvesm status`, the task list",
      },
      { code: "UNIT_FAILED", tell: "every daemon reports errors: `pmxcfs-ipc --check`" },
    ],
  },
  {
    id: "pve-path",
    kind: "symptom",
    title: "ls: '/etc/pve': (words in a language that is not known here)",
    patterns: [/^[\w./-]+: .{0,80}['\s]\/etc\/pve\b/, /^[\w./-]+: '?\/etc\/pve\b/],
    meaning:
      "A command failed at a path below /etc/pve. Its words are not among the known ones: run it " +
      "again with LC_ALL=C before it, and paste that line.",
    causes: [
      { code: "PVE_DEAD_MOUNT", tell: "`stat -f /etc/pve` fails" },
      { code: "PVE_READ_ONLY", tell: "only writes fail: `pvecm status` says Quorate: No" },
      { code: "PVE_NOT_MOUNTED", tell: "`findmnt /etc/pve` prints nothing" },
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
      "The last line of a failed task, or what the API answered. What stands in it comes from " +
      "the tool that was run; it is not among the texts that are known here, and not the IPC.",
    causes: [
      {
        text: "The lines above it in the task's log have the reason.",
        tell: "`pvenode task list --errors`, then `pvenode task log UPID`",
      },
      { code: "UNIT_FAILED", tell: "every task fails: `pmxcfs-ipc --check`" },
    ],
  },
];
