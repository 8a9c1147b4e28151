/** Error texts of the cluster: quorum, process groups, locks, members. */
import type { ErrorText } from "../error-text.ts";
import { LINKS } from "./corosync.ts";

export const CLUSTER_TEXTS: readonly ErrorText[] = [
  {
    id: "no-quorum",
    title: "cluster not ready - no quorum?",
    patterns: [
      /cluster not ready/,
      /no quorum\b/,
      /node lost quorum/,
      /\bnot quorate\b/,
      /activity blocked/,
      /quorate: +no\b/,
      /non-primary component/,
      /(?<!startup => )wait_for_quorum/,
      /waiting for all cluster members|(unable to|can't) set expected votes/,
      /(waiting for|wait_for|without|lost|loss of) quorum(?!\.* ?ok)/,
      /received write while not quorate|quorum timeout/,
      /quorum (not reached|lost)|no longer part of the quorate|quorate status set: false/,
    ],
    meaning:
      "This node's partition does not have a majority of the votes: /etc/pve is read-only " +
      "(Permission denied), and no guest can be started or changed. The IPC answers reads.",
    causes: [
      { code: "NO_QUORUM", check: "`pvecm status` says Quorate: No" },
      { code: "PVE_READ_ONLY", check: "`stat -c %a /etc/pve/local` has no write bit" },
      { code: "CPG_RETRIES", check: `corosync's links lose packets: ${LINKS}` },
      {
        text:
          "corosync is quorate again, and pmxcfs missed that event: `systemctl restart " +
          "pve-cluster`.",
        check: "`corosync-quorumtool -s` says Quorate: Yes and /etc/pve is still read-only",
      },
    ],
  },
  {
    id: "cpg-retried",
    title: "cpg_send_message retried N times",
    patterns: [
      /cpg_send_message (retr|failed)/,
      /cpg_mcast_joined (retr|failed)|(cmap|quorum|cpg)_(dispatch|leave)\w* retr/,
      /failed: cs_err_try_again/,
    ],
    meaning:
      "corosync did not accept a message (CS_ERR_TRY_AGAIN), because its token circulates too " +
      "slowly or not at all, or because the members change. pmxcfs repeats the send every 100 " +
      "ms, up to 100 times; writes to /etc/pve wait meanwhile.",
    causes: [
      { code: "CPG_RETRIES", check: LINKS },
      { code: "NO_QUORUM", check: "`pvecm status`" },
    ],
  },
  {
    id: "cpg-join",
    title: "[dcdb] crit: cpg_join failed: CS_ERR_EXIST",
    patterns: [
      /cpg_join failed/,
      /can't join cpg group|failed to join cpg/,
      /leaving cpg group/,
      /cpg_leave failed/,
      /(start|starting) cluster connection/,
      /received unknown node leave/,
      /(remove|ignore|got) message from non-?member/,
      /\[(dcdb|status)\] crit: serious internal error/,
      /ignore (sync|verify|update|state) (request|message)/,
      /we \(\d+\/\w+\) left the process group|not a member of the process group/,
    ],
    meaning:
      "pmxcfs left its process group in corosync and joins it again. CS_ERR_EXIST: corosync " +
      "still has the old membership of this pid; pmxcfs then tries again after 6 s. If that does " +
      "not end, this node is not synced, and its writes to /etc/pve wait or fail with Device or " +
      "resource busy.",
    causes: [
      {
        text:
          "The links of corosync were down for a moment. When they are up again: `systemctl " +
          "restart pve-cluster` on the node that does not join.",
        check: LINKS,
      },
      { code: "DB_LOCKED_BY_OTHER", check: "`pgrep -a pmxcfs` shows two" },
      { code: "NO_QUORUM", check: "`pvecm status`" },
    ],
  },
  {
    id: "sync-waiting",
    title: "[dcdb] notice: waiting for updates from leader",
    patterns: [/waiting for updates from leader/, /queue not em(tp|pt)y - rese/],
    meaning:
      "The node has joined and waits for the leader's tree. This takes a moment. If it does not " +
      "end, large messages are lost in the network while small ones arrive, or the leader does " +
      "not send.",
    causes: [
      { code: "LARGE_MESSAGES_LOST", check: "`ping -M do -s 1472` to the other nodes fails" },
      { code: "CPG_RETRIES", check: LINKS },
    ],
  },
  {
    id: "node-unknown",
    title: "no such cluster node 'pve3'",
    patterns: [
      /no such (cluster )?node\b|unknown node '/,
      /(target |cluster )?node '?[\w.-]+'? (does not exist|is not online|not online|is unknown)/,
      /node\/ip: .*not a known host|is not a known host of the cluster/,
      /could not kill node|all nodes must be online|node \S+ is offline, abort/,
      /node '?[\w.-]+'? not (found|in cluster|part of)/,
    ],
    meaning:
      "The name is not in pmxcfs's member list (GET_CLUSTER_INFO). Its names are the short names " +
      "of corosync.conf, in the same case. After `pvecm delnode`, Could not kill node is " +
      "harmless: the node was off already.",
    causes: [
      {
        text: "The name is misspelled, has a domain, or has another case than in corosync.conf.",
        check: "`pvecm nodes`, `pmxcfs-ipc call get-cluster-info`",
      },
      {
        code: "NODENAME_DIFFERS",
        check: "the host was renamed: `hostname` and `pvecm nodes` differ",
      },
      { code: "MEMBERS_OFFLINE", check: "the node is in the list and offline: `pvecm status`" },
      { code: "NODE_GONE", check: "the node was removed, and its directory is still there" },
    ],
  },
  {
    id: "lock-timeout",
    kind: "symptom",
    title: "cfs-lock '...' error: got lock request timeout",
    patterns: [
      /got lock request timeout/,
      /cfs[- ]lock(ed)?( operation)? '?\S+'? error/,
      /(can't|could not|unable to|trying to) (get|acquire|acquiring) cfs lock/,
      /'-locked command timed out/,
      /error (during|with) cfs lock/,
      /cfs lock update failed/,
      /unable to acquire lock .*\/etc\/pve/,
    ],
    meaning:
      "A lock below /etc/pve/priv/lock could not be acquired within 10 s: another task holds it " +
      "(perhaps on another node), there is no quorum, or pmxcfs is slow.",
    causes: [
      {
        code: "LOCKS_HELD",
        check: "`ls -l /etc/pve/priv/lock`: age and name of the locks",
        signs: /timeout|trying|can't get/,
      },
      { code: "NO_QUORUM", check: "`pvecm status`", signs: /quorum|permission|denied/ },
      { code: "PVE_SLOW", check: "`time stat /etc/pve/local`" },
      {
        code: "SOCKET_ABSENT",
        check: "the line says that the cluster file system is not online",
        signs: /not online|not mounted/,
      },
      {
        text:
          "Many parallel tasks use one storage (clones, backups): run fewer at a time, or try " +
          "again.",
        check: "the line names a storage, and comes only under load",
        signs: /storage-/,
      },
      { code: "CLOCK_BACKWARDS", check: "cfs lock update failed: the clock went back" },
    ],
  },
  {
    id: "status-update-time",
    kind: "symptom",
    title: "status update time (12.3 seconds)",
    patterns: [
      /status update time/,
      /pvestatd\[\d+\]: .{0,20}got timeout/,
      /pvestatd\[\d+\]: [\w ]{1,20}status update error: (?!.*(refused|not connected|ipcc))/,
    ],
    meaning:
      "pvestatd took longer than 5 s for one cycle of status values. Until it ends, the GUI " +
      "shows old values, then grey question marks.",
    causes: [
      { code: "STATUS_SLOW", check: "`pvesm status` hangs: a storage does not answer" },
      {
        text: "A guest ended while its values were read: harmless if it comes once.",
        check: "the line names a file of one guest below /sys or /proc",
        signs: /cgroup|\/proc\/|\btail\b/,
      },
      { code: "RRDCACHED_HUNG", check: "`pmxcfs-ipc --check --only rrd`" },
      { code: "CPG_RETRIES", check: "the log has cpg_send_message retried" },
      { code: "MEMORY_PRESSURE", check: "`cat /proc/pressure/memory`" },
    ],
  },
  {
    id: "lock-changed",
    kind: "normal",
    title: "[main] crit: wrong lock csum - reset timeout",
    patterns: [/wrong lock csum/],
    meaning:
      "A process asked for the release of a lock below /etc/pve/priv/lock that has changed since " +
      "it was asked for before: its holder lives. Its 120 s begin again.",
    causes: [
      {
        text: "Two processes want one lock, or the holder refreshes it: nothing to do.",
        check: "`ls -l --time-style=full-iso /etc/pve/priv/lock`",
      },
    ],
  },
  {
    id: "cluster-normal",
    kind: "normal",
    title: "lines of a healthy cluster",
    patterns: [
      /\[dcdb\] notice: (data verification successful|all data is up to date)/,
      /\[dcdb\] notice: (leader is|synced members)/,
      /\[dcdb\] notice: (sent all|start sending)/,
      /\[dcdb\] notice: (members:|received (sync|all)|starting data sync)/,
      /\[status\] notice: (received (log|sync|all)|node has quorum|members:|starting data sync)/,
      /\[status\] notice: (all data is up to date|update cluster info|sent all|queue)/,
      /\[status\] notice: quorum gained/,
      /\[quorum *\] (members\[\d+\]|sync (members|joined|left))/,
      /\[dcdb\] notice: (update complete|wrote new corosync config|all data)/,
      /deliver_(sync_)?queue: queue length/,
      /\[cfg *\] config reload requested/,
      /completed service synchronization|ready to provide service/,
      /\[knet *\] (rx|link): .*is up|global data mtu changed|pmtud link change/,
      /forcing local mode|within the primary component/,
      /within the primary component and will provide service/,
      /\[main\] notice: teardown filesystem/,
      /\[main\] notice: (exit proxmox configuration filesystem \(0\)|resolved node name)/,
    ],
    meaning: "pmxcfs and corosync write these in normal operation. Nothing to do.",
    causes: [{ text: "Normal operation.", check: "other lines, with crit or error" }],
  },
];
