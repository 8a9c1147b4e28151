/** Error texts of corosync itself: its service, links, members, configuration, extra vote. */
import type { ErrorText } from "../error-text.ts";

/** Where to see how its links are. */
export const LINKS =
  "`corosync-cfgtool -s`, and the [KNET] and [TOTEM] lines of `journalctl -u corosync`";

export const COROSYNC_TEXTS: readonly ErrorText[] = [
  {
    id: "no-cluster",
    title: "Corosync config does not exist - is this node part of a cluster?",
    patterns: [
      /is this node part of a cluster|(host|node) is not (part of|in) a cluster/,
      /corosync cluster engine (being |was )?skipped/,
      /conditionpathexists=\S*corosync\.conf/,
      /exec of corosync\S* .*failed|corosync(-\w+)?: (command )?not found/,
    ],
    meaning:
      "This node is not in a cluster, or not any more: there is no corosync.conf. Alone that is " +
      "right; pmxcfs then works without corosync and is always writable.",
    causes: [
      { text: "The node stands alone: nothing to do.", tell: "`ls /etc/pve/nodes` shows one name" },
      {
        text:
          "It should be in a cluster: its /etc/corosync/corosync.conf is gone. Take the one of " +
          "another node; the tree has a copy (`pmxcfs-ipc config cat corosync.conf`).",
        tell: "`ls /etc/pve/nodes` shows several names",
      },
      {
        text: "The package corosync is not installed.",
        tell: "`dpkg -l corosync`",
        signs: /exec of|not found/,
      },
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
      /failed to (initialize|finalize|connect to) (the )?(cmap|corosync|cpg|quorum)/,
      /could not (initialise|initialize) corosync/,
      /cs_err_(library|bad_handle|not_exist)/,
      /corosync\.service.*(failed|inactive|not found|exit|start request|killed|timed out)/,
      /\[main *\] node was shut down by a signal/,
      /cpg iteration error|(start|stop) quorum status tracking/,
      /(unable|failed) to (set votes|get (node|quorum|ring|link|expected)|kill node|set expected)/,
      /failed to start corosync|corosync cluster engine.*failed/,
      /\[(quorum|confdb|loop)\] crit: /,
      /(killed process \d+ |process \d+ )\(corosync\)|task=corosync\b/,
      /corosync\[\d+\]: segfault|traps: corosync/,
      /\b(quorum|cmap|cpg|votequorum)_(iter|context|fd|track|local|membership)\w* .*(fail|error)/,
      /qb_loop_poll_(add|mod) .*fail|disabling service$/,
    ],
    meaning:
      "corosync does not run, ended or was restarted: pmxcfs and pvecm cannot reach it. pmxcfs " +
      "tries again every few seconds; until it can, there is no quorum.",
    causes: [
      { code: "COROSYNC_UNREACHABLE", tell: "`systemctl status corosync`" },
      {
        text:
          "A node without a cluster has no corosync.conf, and no corosync: pvecm has nothing to " +
          "ask.",
        tell: "/etc/pve/corosync.conf does not exist",
      },
      {
        text: "corosync ended: its last lines say why.",
        tell: "`journalctl -u corosync -n 30`; `corosync -t` reads its configuration",
      },
      { code: "NO_QUORUM", tell: "`pvecm status` says Quorate: No" },
      { code: "MEMORY_LOW", tell: "Out of memory: `free -m`", signs: /out of memory|oom|task=/ },
      {
        text: "It crashed: update corosync and libknet1t64; systemd starts it again.",
        tell: "`coredumpctl list corosync`",
        signs: /segfault|traps/,
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
      /\[totem *\] .*(token was lost|multicast (group|packets)|heartbeat timer expired|queue full)/,
      /totem is unable to form a cluster|incrementing problem counter/,
      /\[totem *\] .*(consensus timeout|network interface is down|not delivered)/,
      /\[totem *\] .*(sendmsg|sendto|faulty|interface .*down)/,
      /\[knet *\] (loopback|udp|sctp): /,
      /\[knet *\] .*(misconfiguration|not acknowledg|not reachable|unable to (send|find|get))/,
      /\[knet *\] .*(icmp error|not permitted|link .*(down|dead|not connected))/,
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
        text:
          "The MTU of the path is smaller than that of the interface: set netmtu, or the " +
          "switch.",
        tell: "`ping -M do -s 1472` to the other node fails",
        signs: /mtu/,
      },
      {
        code: "MEMORY_PRESSURE",
        tell: "Process pause detected, not scheduled",
        signs: /pause|scheduled/,
      },
    ],
  },
  {
    id: "corosync-membership",
    title: "[TOTEM] A new membership (1.2f) was formed. Members left: 3",
    patterns: [
      /a new membership \(\S+\) was formed|new membership was formed/,
      /downlist left_list|entering (gather|commit|recovery|operational) state/,
      /\[knet *\] host: host: \d+ .*best link/,
      /join or leave message was thrown away/,
      /node \d+ was shut ?down|\[cfg *\] killed by node/,
    ],
    meaning:
      "corosync's members or the link in use have changed. Once, when a node or a switch was " +
      "restarted, it is normal; each time all nodes compare their trees, and writes to /etc/pve " +
      "wait meanwhile.",
    causes: [
      { text: "A node was started, stopped or restarted.", tell: "it comes once: nothing to do" },
      { code: "CPG_RETRIES", tell: `it comes again and again: ${LINKS}` },
      {
        code: "NO_QUORUM",
        tell: "too few members are left: `pvecm status`",
        signs: /members left|left: \d/,
      },
    ],
  },
  {
    id: "qdevice",
    title: "corosync-qdevice: Can't connect to qnetd host",
    patterns: [/corosync-q(device|netd)|\bqdevice\b|\bqnetd\b|quorum device/],
    meaning:
      "The extra vote of a small cluster comes from a qnetd on another machine, and it does not " +
      "answer. The cluster goes on as long as the nodes alone have a majority.",
    causes: [
      {
        text: "That machine, its corosync-qnetd (TCP port 5403), or a firewall.",
        tell: "`pvecm status` (flags A, V, NMW); there `systemctl status corosync-qnetd`",
      },
      {
        text: "Setting it up was refused: all nodes must be online, and an old one removed before.",
        tell: "`pvecm qdevice remove`, then `pvecm qdevice setup ADDRESS` again",
        signs: /already (configured|set)|setup|not configured|must be/,
      },
      { code: "NO_QUORUM", tell: "`pvecm status` says Quorate: No" },
    ],
  },
];
