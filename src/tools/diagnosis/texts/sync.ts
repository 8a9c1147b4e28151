/** Error texts of pmxcfs about its groups: synchronisation of the trees, the cluster log. */
import type { ErrorText } from "../error-text.ts";
import { LINKS } from "./corosync.ts";

export const SYNC_TEXTS: readonly ErrorText[] = [
  {
    id: "sync-message",
    title: "[dcdb] crit: received unknown message type / mailformed / short message",
    patterns: [
      /\[memdb\] crit: memdb index|can'?t? get inode data|found strange placeholder/,
      /received (mailformed|malformed|short|unknown|unexpected|invalid|wrong) [\w ]*/,
      /\[(dcdb|status)\] crit: .*(not terminated|wrong (type|size|length)|can't parse|cant parse)/,
      /\[(dcdb|status)\] crit: (cant? (encode|decode|create)|got (wrong|unknown))/,
      /\[(dcdb|status)\] crit: (ignore|skip)\b.*(message|version|state)|newer protocol/,
      /protocol version/,
    ],
    meaning:
      "pmxcfs received a message from another node that it cannot decode. It drops the message, " +
      "or leaves its group, joins again and synchronises. The nodes run different versions of " +
      "pve-cluster, or the message was damaged.",
    causes: [
      {
        text: "Different versions of pve-cluster in the cluster: upgrade all nodes.",
        check: "`pveversion -v | grep -E 'pve-cluster|corosync|knet'` on each node",
      },
      {
        text:
          "It came once, while a node was upgraded or restarted: nothing to " +
          "do unless it repeats.",
        check: '`journalctl -u pve-cluster -n 50` ends in "all data is up to date"',
      },
      { code: "CPG_RETRIES", check: LINKS },
    ],
  },
  {
    id: "sync-failed",
    title: "[dcdb] crit: serious problem - (re)sync failed, leaving group",
    patterns: [
      /(re)?\(?re\)?sync failed|resync failed|leaving group|failed to (start|restart) sync/,
      /failed to send (state|sync|update|verify|resync)\w*|send\w* \w+ (message )?failed - leav/,
      /cpg_join (retry|failed)|cpg_join\b.*try_again/,
      /can't (start|send) .*(sync|update|state)|sync(hronisation)? .*(timed out|aborted)/,
      /detected inconsistent|checksum.*(differ|mismatch|wrong)|data (verification|does not) .*fail/,
      /\[(database|dcdb)\] crit: (new index|can'?t encode new index|no such inode)/,
      /\[(dcdb|status)\] crit: (sending|unable to (select|find) leader|failed to send)\b/,
      /dfsm_\w+ (failed|error)|(unable|failed) to (merge|commit|apply) .*(update|state|tree|memdb)/,
    ],
    meaning:
      "The nodes could not bring their trees to the same state, or pmxcfs cannot join its group " +
      "in corosync. It leaves the group and joins again, until it is synced. Until then a write " +
      "to /etc/pve on this node waits, or fails with Device or resource busy.",
    causes: [
      { code: "CPG_RETRIES", check: LINKS },
      {
        text:
          "corosync waits for its members, or was just restarted. If it lasts: `systemctl " +
          "restart corosync pve-cluster` on this node only (guests keep running).",
        check: "`corosync-cfgtool -n` and `pvecm status` on this and another node differ",
      },
      { code: "DB_DISK_LOW", check: "the updates could not be written: `df /var/lib/pve-cluster`" },
    ],
  },
  {
    id: "leader-refused",
    title: "[memdb] crit: new index does not match master index - the leader's tree is refused",
    patterns: [/leader's tree is refused/],
    meaning:
      "In a synchronisation the entries that the leader sent do not give its tree, or no tree " +
      "that pmxcfs can load. This node keeps its own, which is not affected, leaves the group, " +
      "and joins it again. Until it is synced, a write to /etc/pve on this node fails with " +
      "Device or resource busy.",
    causes: [
      {
        text:
          "The leader's config.db has an entry that pmxcfs refuses; the line begins with it. " +
          "Find it on the node that the last line 'leader is' names.",
        check: "`pmxcfs-ipc config verify` on that node",
        signs: /\binode\b|parent is not/,
      },
      {
        text:
          "A file of the leader has a size and no bytes, which a truncate by a C server leaves. " +
          "The next synchronisation takes it: nothing to do unless the line repeats.",
        check: '`journalctl -u pve-cluster -n 50` ends in "all data is up to date"',
        signs: /new index/,
      },
    ],
  },
  {
    id: "cluster-log",
    title: "[status] crit: unable to merge log files / unterminated string in log message",
    patterns: [
      /unable to (merge|parse|read|add) (cluster )?log\b|unterminated string in log/,
      /clusterlog\b.*(corrupt|wrong|bad|invalid)/,
      /log(_| )(entry|message|size|file).*(too (big|large)|wrong size|not terminated)/,
      /insert of duplicate cluster log/,
    ],
    meaning:
      "The cluster log (tasks and logins, shared by the nodes) had an entry that could not be " +
      "decoded. That entry is dropped. The files below /etc/pve are not affected.",
    causes: [
      {
        text:
          "A node of another version, or a damaged message. The log is kept in memory only: if " +
          "the line repeats, restart pve-cluster on that node.",
        check: "`pveversion` on each node",
      },
    ],
  },
];
