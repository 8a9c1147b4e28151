/**
 * What is known of a line only from its program, its severity, or a path in it: used when no other
 * text matches, so that the reader learns where to look next.
 */
import type { ErrorText } from "../error-text.ts";

export const LOG_TEXTS: readonly ErrorText[] = [
  {
    id: "pmxcfs-database-crit",
    title: "[database] crit: ... / [main] crit: ...",
    patterns: [/\[(database|main|memdb|cfs-plug\S*)\] (crit|error|err|fatal|warning)/],
    meaning:
      "A severe line of pmxcfs about its start or its database. When it ended after it, the last " +
      'lines before "exit proxmox configuration filesystem" say why.',
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
    id: "pmxcfs-cluster-crit",
    title: "[dcdb] crit: ... / [status] crit: ...",
    patterns: [
      /\[(dcdb|status|quorum|confdb|cpg|dfsm)\] (crit|error|err|fatal|warning)/,
      /\[(cluster|loop|ipcs|ipcc|libqb)\] (crit|error|err|fatal|warning)/,
    ],
    meaning:
      "A severe line of pmxcfs about the cluster or its clients. After most of them it leaves " +
      "its group in corosync, joins again and compares the trees; it is worth a look when the " +
      "same line comes again.",
    causes: [
      { code: "NO_QUORUM", tell: "`pvecm status`" },
      { code: "CPG_RETRIES", tell: "`corosync-cfgtool -s`, `journalctl -u corosync -n 50`" },
      {
        text: "This node is not in step: `systemctl restart pve-cluster` (guests go on running).",
        tell: "the same line every few seconds, and other nodes do not have it",
      },
    ],
  },
  {
    id: "pmxcfs-notice",
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
      { code: "NO_QUORUM", tell: "`pvecm status` tells whether it matters now" },
      {
        text: "Its links: are all of them connected, on all nodes?",
        tell: "`corosync-cfgtool -n`, `journalctl -u corosync -p warning -n 50`",
      },
    ],
  },
  {
    id: "ha-log",
    title: "pve-ha-lrm: ... / pve-ha-crm: ...",
    patterns: [/pve-ha-[cl]rm\[\d+\]: /],
    meaning: "A line of the HA daemons that is not among the known ones. Not the IPC.",
    causes: [
      { text: "The state of HA tells whether it matters.", tell: "`ha-manager status --verbose`" },
      { code: "NO_QUORUM", tell: "`pvecm status`" },
    ],
  },
  {
    id: "task-error",
    title: "TASK ERROR: ...",
    patterns: [/^.{0,40}\btask error: /, /> end task upid:/, /^error: (backup|restore|vzdump) of /],
    meaning:
      "The last line of a failed task. What stands after the colon comes from the tool it ran; " +
      "it is not among the texts that are known here.",
    causes: [
      {
        text: "The lines above it in the task's log have the reason.",
        tell: "`pvenode task list --errors`, then `pvenode task log UPID`",
      },
      { code: "UNIT_FAILED", tell: "every task fails: `pmxcfs-ipc --check`" },
    ],
  },
  {
    id: "pve-busy",
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
    title: "/etc/pve/...: No such file or directory",
    errno: ["ENOENT"],
    places: ["pve"],
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
];
