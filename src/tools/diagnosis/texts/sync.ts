/** Error texts of pmxcfs while the nodes compare their trees, and of its ties to corosync. */
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
      "pmxcfs got a message from another node that it does not understand. It drops it, and may " +
      "leave its group and compare the trees anew. The nodes run different versions of " +
      "pve-cluster, or the message was damaged on its way.",
    causes: [
      {
        text: "Different versions of pve-cluster in the cluster: upgrade all nodes.",
        tell: "`pveversion -v | grep -E 'pve-cluster|corosync|knet'` on each node",
      },
      {
        text:
          "Once, while a node was upgraded or restarted: nothing to do when it does not " +
          "return.",
        tell: '`journalctl -u pve-cluster -n 50` ends in "all data is up to date"',
      },
      { code: "CPG_RETRIES", tell: LINKS },
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
      "The nodes could not bring their trees to the same state, or pmxcfs does not get into its " +
      "group in corosync. It leaves, joins again and tries anew; until it succeeds /etc/pve is " +
      "read-only here.",
    causes: [
      { code: "CPG_RETRIES", tell: LINKS },
      {
        text:
          "corosync waits for its own members or was just restarted: when it stays, " +
          "`systemctl restart corosync pve-cluster` on this node only (guests go on running).",
        tell: "`corosync-cfgtool -n` and `pvecm status` on this and another node differ",
      },
      { code: "DB_DISK_LOW", tell: "the update could not be written: `df /var/lib/pve-cluster`" },
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
      "The log of tasks and logins that the nodes share (not the files below /etc/pve) had an " +
      "entry " +
      "that could not be read. That entry is left out; nothing else is affected.",
    causes: [
      {
        text: "A node of another version, or a damaged message. It is kept in memory only.",
        tell: "when it comes again and again: `pveversion` on each node; restart pve-cluster there",
      },
    ],
  },
];
