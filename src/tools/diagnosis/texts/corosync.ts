/** Error texts of corosync: its service, links, members, quorum device. */
import type { ErrorText } from "../error-text.ts";

/** The commands that show the state of corosync's links. */
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
      "This node has no corosync.conf: it is not, or no longer, in a cluster. That is normal for " +
      "a single node: pmxcfs then works without corosync, and /etc/pve is always writable.",
    causes: [
      { text: "It is a single node: nothing to do.", check: "`ls /etc/pve/nodes` shows one name" },
      {
        text:
          "It belongs to a cluster, and its /etc/corosync/corosync.conf is missing. Copy the " +
          "file from another node, or from the tree (`pmxcfs-ipc config cat corosync.conf`).",
        check: "`ls /etc/pve/nodes` shows several names",
      },
      {
        text: "The package corosync is not installed.",
        check: "`dpkg -l corosync`",
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
      "corosync does not run, ended or was restarted: pmxcfs and pvecm cannot connect to it. " +
      "pmxcfs tries again every few seconds; until it is connected, this node has no quorum.",
    causes: [
      { code: "COROSYNC_UNREACHABLE", check: "`systemctl status corosync`" },
      {
        text:
          "A single node has no corosync.conf and runs no corosync, so pvecm has no status to " +
          "show.",
        check: "/etc/pve/corosync.conf does not exist",
      },
      {
        text: "corosync ended: its last log lines have the reason.",
        check: "`journalctl -u corosync -n 30`; `corosync -t` checks its configuration",
      },
      { code: "NO_QUORUM", check: "`pvecm status` says Quorate: No" },
      { code: "MEMORY_LOW", check: "Out of memory: `free -m`", signs: /out of memory|oom|task=/ },
      {
        text: "It crashed: update corosync and libknet1t64; systemd starts it again.",
        check: "`coredumpctl list corosync`",
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
      "or interrupted, or corosync was not scheduled on a node. corosync then forms a new " +
      "membership, and pmxcfs waits for it.",
    causes: [
      { code: "CPG_RETRIES", check: LINKS },
      {
        text:
          "Backup, storage or migration traffic uses the network of corosync: give corosync a " +
          "network of its own.",
        check: "it happens at the time of backups",
      },
      {
        text:
          "The MTU of the path is smaller than that of the interface: set netmtu, or correct the " +
          "switch.",
        check: "`ping -M do -s 1472` to the other node fails",
        signs: /mtu/,
      },
      {
        code: "MEMORY_PRESSURE",
        check: "Process pause detected, not scheduled",
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
      "corosync's members or the link in use have changed. That is normal if a node or a switch " +
      "was restarted. At each change of members all nodes synchronise their trees, and writes to " +
      "/etc/pve wait for it.",
    causes: [
      { text: "A node was started, stopped or restarted.", check: "it comes once: nothing to do" },
      { code: "CPG_RETRIES", check: `it comes again and again: ${LINKS}` },
      {
        code: "NO_QUORUM",
        check: "too few members remain: `pvecm status`",
        signs: /members left|left: \d/,
      },
    ],
  },
  {
    id: "qdevice",
    title: "corosync-qdevice: Can't connect to qnetd host",
    patterns: [/corosync-q(device|netd)|\bqdevice\b|\bqnetd\b|quorum device/],
    meaning:
      "corosync-qdevice gets an extra vote from corosync-qnetd on another host, which does not " +
      "answer. The cluster stays quorate as long as the nodes alone have a majority.",
    causes: [
      {
        text:
          "That host is down, its corosync-qnetd (TCP port 5403) does not run, or a firewall " +
          "blocks it.",
        check: "`pvecm status` (flags A, V, NMW); there `systemctl status corosync-qnetd`",
      },
      {
        text:
          "The setup was refused: all nodes must be online, and an old qdevice must be removed " +
          "first: `pvecm qdevice remove`, then `pvecm qdevice setup ADDRESS` again.",
        check: "the line is about the setup, or says that a qdevice is configured already",
        signs: /already (configured|set)|setup|not configured|must be/,
      },
      { code: "NO_QUORUM", check: "`pvecm status` says Quorate: No" },
    ],
  },
];
