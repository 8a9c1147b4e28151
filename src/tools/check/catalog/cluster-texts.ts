/** Error texts of the cluster: quorum, corosync, the group of databases, locks, HA. */
import type { ErrorText } from "./code.ts";

const LINKS = "`corosync-cfgtool -s`, and the [KNET] and [TOTEM] lines of `journalctl -u corosync`";

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
      /wait_for_quorum/,
      /(waiting for|wait_for|without|lost|loss of) quorum/,
      /received write while not quorate/,
      /quorum (not reached|lost)/,
    ],
    meaning:
      "This node does not see a majority of the cluster: /etc/pve is read-only (Permission " +
      "denied), and nothing may be started or changed. The IPC works and answers reads.",
    causes: [
      { code: "NO_QUORUM", tell: "`pvecm status` says Quorate: No" },
      { code: "PVE_READ_ONLY", tell: "`stat -c %a /etc/pve/local` has no write bit" },
      { code: "CPG_RETRIES", tell: `corosync's links lose packets: ${LINKS}` },
      {
        text:
          "corosync is quorate again and pmxcfs did not notice: `systemctl restart " +
          "pve-cluster`.",
        tell: "`corosync-quorumtool -s` says Quorate: Yes and /etc/pve is still read-only",
      },
    ],
  },
  {
    id: "cpg-retried",
    title: "cpg_send_message retried N times",
    patterns: [
      /cpg_send_message (retr|failed)/,
      /cpg_mcast_joined (retr|failed)/,
      /failed: cs_err_try_again/,
    ],
    meaning:
      "corosync did not take a message at once, because the cluster's token goes round too " +
      "slowly or not at all. pmxcfs tries again up to 100 times, 100 ms apart, and everybody " +
      "waits.",
    causes: [
      { code: "CPG_RETRIES", tell: LINKS },
      { code: "NO_QUORUM", tell: "`pvecm status`" },
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
      /received unknown node leave|received unexpected (state|sync)/,
      /dfsm .*failed|wrong (checksum|message|sync)|bad sync/,
      /(remove|ignore|got) message from non-?member/,
    ],
    meaning:
      "pmxcfs left its process group in corosync and joined it again. CS_ERR_EXIST: corosync " +
      "still has the old membership, because it came back too early, or because a second pmxcfs " +
      "is in the group. It tries again by itself; when it does not end, the tree of this node is " +
      "not in step and read-only.",
    causes: [
      {
        text:
          "The links of corosync were down for a moment: after they are up again, " +
          "`systemctl restart pve-cluster` on the node that stays out.",
        tell: LINKS,
      },
      { code: "DB_LOCKED_BY_OTHER", tell: "`pgrep -a pmxcfs` shows two" },
      { code: "NO_QUORUM", tell: "`pvecm status`" },
    ],
  },
  {
    id: "sync-waiting",
    title: "[dcdb] notice: waiting for updates from leader",
    patterns: [/waiting for updates from leader/, /queue not empty - rese/],
    meaning:
      "The node has joined and waits for the tree of the leader. It takes a moment; when it does " +
      "not end, large messages are lost on the way while small ones pass, or a member is silent.",
    causes: [
      {
        text: "The MTU of a link is smaller than corosync believes: set netmtu, or fix the switch.",
        tell: "`ping -M do -s 1472` to the other nodes fails",
      },
      { code: "CPG_RETRIES", tell: LINKS },
    ],
  },
  {
    id: "corosync-connect",
    title: "quorum_initialize failed / Cannot initialize CMAP service",
    patterns: [
      /(quorum|cmap|cpg|votequorum|cfg|confdb)_(initialize|dispatch)\S* failed/,
      /(quorum|cmap|cpg|votequorum|cfg|confdb)_(fd_get|track\w*|trackstart)\S* failed/,
      /cannot (initialise|initialize) (cmap|quorum|votequorum|cfg|cpg)/,
      /can't initialize service/,
      /corosync cluster engine exiting|service engine unloaded: corosync/,
      /failed to (initialize|connect to) (the )?(cmap|corosync|cpg|quorum)/,
      /could not (initialise|initialize) corosync/,
      /cs_err_(library|bad_handle|not_exist)/,
      /corosync\.service.*(failed|inactive|not found|exit)/,
      /failed to start corosync|corosync cluster engine.*failed/,
    ],
    meaning:
      "corosync does not run, ended or was restarted: pmxcfs and pvecm cannot reach it. pmxcfs " +
      "tries again every few seconds; until it can, there is no quorum.",
    causes: [
      { code: "NO_QUORUM", tell: "`systemctl status corosync`" },
      {
        text:
          "A node without a cluster has no corosync.conf, and no corosync: pvecm has nothing to " +
          "ask.",
        tell: "/etc/pve/corosync.conf does not exist",
      },
      {
        text: "corosync ended: its last lines say why.",
        tell: "`systemctl start corosync; journalctl -u corosync -n 30`",
      },
    ],
  },
  {
    id: "corosync-links",
    title: "[KNET] link: host: 2 link: 0 is down / [TOTEM] Retransmit List",
    patterns: [
      /\[knet *\] (link: )?host: .*(is down|no active links)/,
      /host: \d+ has no active links/,
      /link: \d+ is down/,
      /\[totem *\] (retransmit list|token has not been received|a processor failed)/,
      /\[totem *\] (failed to receive|process pause detected|totem is unable|marking ringid)/,
      /retransmit list:/,
      /token has not been received|token timed out/,
      /a processor failed, forming new configuration/,
      /failed to receive the leave message/,
      /corosync .*not scheduled for/,
      /main process was not scheduled|was not scheduled \(on time\)/,
      /different crypto type|crypto: .*(failed|wrong)|packet has different/,
    ],
    meaning:
      "corosync loses packets or a whole link: the network between the nodes is overloaded, slow " +
      "or interrupted, or a node was not scheduled. The cluster forms anew each time; pmxcfs " +
      "waits meanwhile.",
    causes: [
      { code: "CPG_RETRIES", tell: LINKS },
      {
        text:
          "Backup, storage or migration traffic on the network of corosync: give it one of its " +
          "own.",
        tell: "it happens at the time of backups",
      },
      {
        text: "The nodes have different keys in /etc/corosync/authkey.",
        tell: "the line names the crypto type or key",
        signs: /crypto|key/,
      },
      {
        code: "MEMORY_PRESSURE",
        tell: "Process pause detected, not scheduled",
        signs: /pause|scheduled/,
      },
    ],
  },
  {
    id: "corosync-conf",
    title: "corosync.conf: cannot be used, or differs between nodes",
    patterns: [
      /unable to parse cluster config_version/,
      /local corosync\.conf is newer/,
      /parse error in (config|\/etc)/,
      /(can't|could not|cannot|unable to) (read|open) (file )?'?\/etc\/corosync/,
      /local node (address )?not found|failed to parse node address|no interfaces defined/,
      /nodelist.*(two|same) nodeid|duplicate nodeid/,
      /corosync\.conf.*(not|cannot|failed|invalid|differs|missing)/,
      /unable to import corosync\.conf|invalid corosync\.conf/,
      /config version .*(different|lower|mismatch)|received config version/,
    ],
    meaning:
      "The configuration of corosync in /etc/pve/corosync.conf is the cluster's, the one in " +
      "/etc/corosync is this node's copy; a node whose config_version is older than the others' " +
      "leaves again and again.",
    causes: [
      {
        text: "The copy of this node is old: compare config_version of both files on all nodes.",
        tell: "`grep config_version /etc/pve/corosync.conf /etc/corosync/corosync.conf`",
      },
      { code: "NAME_UNRESOLVED", tell: "an address in it is a name that does not resolve" },
    ],
  },
  {
    id: "join-refused",
    title: "pvecm add: this node cannot join",
    patterns: [
      /authentication key '?\/etc\/corosync\/authkey'? already exists/,
      /cluster config '?\/etc\/pve\/corosync\.conf'? already exists/,
      /corosync is already running/,
      /this host already contains virtual guests/,
      /check if node may join a cluster failed/,
      /is already (part of|in) a cluster|node .* already defined/,
    ],
    meaning:
      "Only a node without guests and without traces of an earlier cluster can join: its own " +
      "/etc/pve is replaced by the cluster's.",
    causes: [
      {
        text:
          "Traces of an earlier cluster, or guests of its own. Keep a copy first " +
          "(`pmxcfs-ipc config export /root/rescued`), then follow Proxmox's page on separating a node.",
        tell: "the lines above name each obstacle",
      },
    ],
  },
  {
    id: "ha-lost-lock",
    title: "HA: lost lock 'ha_agent_...' / watchdog",
    patterns: [
      /lost lock 'ha_/,
      /unable to (write|read) lrm status/,
      /ha_(agent|manager)\S*lock.*(failed|error|lost)/,
      /client watchdog expired/,
      /watchdog-mux.*(expired|exit)/,
      /unable to open watchdog socket/,
      /loop take too long/,
      /lost_agent_lock|lost_manager_lock|=> lost_/,
      /got unexpected error - (error )?(during|ipcc|unable)/,
    ],
    meaning:
      "HA keeps its lock by touching it below /etc/pve/priv/lock. When it cannot for 60 s the " +
      "watchdog resets the node.",
    causes: [
      { code: "NO_QUORUM", tell: "`pvecm status`" },
      { code: "PVE_SLOW", tell: "`time stat /etc/pve/local`" },
      { code: "CLOCK_BACKWARDS", tell: "Operation not permitted or Permission denied with quorum" },
      {
        text: "The service watchdog-mux does not run.",
        tell: "`systemctl status watchdog-mux`",
        signs: /watchdog socket/,
      },
    ],
  },
  {
    id: "lock-timeout",
    title: "cfs-lock '...' error: got lock request timeout",
    patterns: [
      /got lock request timeout/,
      /cfs[- ]lock(ed)?( operation)? '?\S+'? error/,
      /(can't|could not|unable to|trying to) (get|acquire|acquiring) cfs lock/,
      /error (during|with) cfs lock/,
      /cfs lock update failed/,
      /unable to acquire lock .*\/etc\/pve/,
    ],
    meaning:
      "A lock below /etc/pve/priv/lock could not be had within 10 s: another task, perhaps on " +
      "another node, holds it, there is no quorum, or pmxcfs is slow.",
    causes: [
      {
        code: "LOCKS_HELD",
        tell: "`ls -l /etc/pve/priv/lock`: age and name of the locks",
        signs: /timeout|trying|can't get/,
      },
      { code: "NO_QUORUM", tell: "`pvecm status`", signs: /quorum|permission|denied/ },
      { code: "PVE_SLOW", tell: "`time stat /etc/pve/local`" },
      {
        code: "SOCKET_ABSENT",
        tell: "it says that the cluster file system is not online",
        signs: /not online|not mounted/,
      },
      {
        text:
          "Many tasks at once for one storage (clones, backups): fewer in parallel, or try " +
          "again.",
        tell: "it names a storage, and happens only under load",
        signs: /storage-/,
      },
      { code: "CLOCK_BACKWARDS", tell: "cfs lock update failed: the clock went back" },
    ],
  },
  {
    id: "status-update-time",
    title: "status update time (12.3 seconds)",
    patterns: [/status update time/, /pvestatd\[\d+\]: .{0,20}got timeout/],
    meaning:
      "pvestatd needed longer than 5 s for a round of status values. Until it is done, the GUI " +
      "shows old values, then grey question marks.",
    causes: [
      { code: "STATUS_SLOW", tell: "`pvesm status` hangs: a storage does not answer" },
      { code: "RRDCACHED_HUNG", tell: "`pmxcfs-ipc --check --only rrd`" },
      { code: "CPG_RETRIES", tell: "the log has cpg_send_message retried" },
      { code: "MEMORY_PRESSURE", tell: "`cat /proc/pressure/memory`" },
    ],
  },
  {
    id: "cluster-normal",
    title: "lines of a healthy cluster",
    patterns: [
      /\[dcdb\] notice: (data verification successful|all data is up to date)/,
      /\[dcdb\] notice: (leader is|synced members)/,
      /\[dcdb\] notice: (sent all|start sending)/,
      /\[dcdb\] notice: (members:|received (sync|all)|starting data sync)/,
      /\[status\] notice: (received (log|sync|all)|node has quorum|members:|starting data sync)/,
      /\[status\] notice: (all data is up to date|update cluster info|sent all|queue)/,
      /\[status\] notice: quorum gained/,
      /\[quorum *\] (members\[\d+\]|sync (members|joined))/,
      /within the primary component and will provide service/,
      /\[main\] notice: (teardown filesystem)/,
      /\[main\] notice: (exit proxmox configuration filesystem \(0\)|resolved node name)/,
    ],
    meaning: "pmxcfs and corosync write these while everything works. Nothing to do.",
    causes: [{ text: "Normal operation.", tell: "look for crit and error lines instead" }],
  },
];
