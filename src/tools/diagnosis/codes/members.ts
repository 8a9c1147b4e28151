/** Codes about corosync and the members of pmxcfs's groups. */
import type { Code } from "../code.ts";

export const MEMBER_CODES = {
  COROSYNC_UNREACHABLE: {
    title: "corosync does not answer",
    check: "cluster",
    severity: "fail",
    line: "{count} of {all} services of corosync do not answer: {list}",
    cause:
      "corosync does not run, hangs, or is starting. Without it this node is not part of its " +
      "cluster: /etc/pve is read-only, and shows what it had before.",
    advice:
      "Look at `systemctl status corosync` and `journalctl -u corosync -n 30`. When it runs " +
      "again pmxcfs connects by itself.",
    seen: ["corosync-connect", "no-quorum"],
  },
  GROUP_GHOST: {
    title: "a process in the group whose node is not in the cluster",
    check: "cluster",
    severity: "fail",
    line:
      "{member} (node {node}) is in pmxcfs's groups ({groups}), " +
      "but quorum does not have its node",
    cause:
      "A ghost: its corosync ended while it joined (an older config_version is enough), and a " +
      "corosync before the middle of 2026 keeps its process in the group. All members wait for " +
      "it, and no write of any node is answered.",
    advice:
      "Restart corosync on the remaining members, one at a time: `systemctl restart corosync`, " +
      "then wait for `corosync-quorumtool -s` to show all of them before the next. Keep corosync " +
      "of node {node} stopped until its corosync.conf is the cluster's.",
    seen: ["hang"],
  },
  MEMBER_SILENT: {
    title: "a member that does not answer",
    check: "cluster",
    severity: "fail",
    line:
      "{group}: for {seconds} s all members wait for the {awaited} of {member} " +
      "(node {node}){changes}",
    cause:
      "Its pmxcfs hangs, is stopped, or waits for its disk. Until it answers or ends, no write " +
      "of any node is answered; reads go on.",
    advice:
      "On node {node}: `pmxcfs-ipc --check`, `cat /proc/{pid}/stack`; when it does not recover, " +
      "`systemctl restart pve-cluster` there. The others go on as soon as it has gone.",
    seen: ["hang"],
  },
  GROUP_MEMBER_ABSENT: {
    title: "a node without pmxcfs in the group",
    check: "cluster",
    severity: "warn",
    line: "node {node} (id {id}) is in the cluster, but no pmxcfs of it is in the groups {groups}",
    cause:
      "Its pmxcfs does not run, runs with -l, or left the group because of an error: what the " +
      "cluster changes does not reach it, and its status grows old.",
    advice: "On node {node}: `pmxcfs-ipc --check` and `journalctl -u pve-cluster -n 30`.",
    seen: ["hang"],
  },
  LOCK_OF_GONE_NODE: {
    title: "a lock of a node that is not a member",
    check: "cluster",
    severity: "notice",
    line: "priv/lock/{lock} was taken by node id {id}, which is no node of the cluster ({age} s old)",
    cause: "The node was removed while it held the lock, or it writes by another cluster.",
    advice:
      "120 s after its last refresh others may take the lock: nothing has to be removed. Make " +
      "sure that the node is off and stays off.",
    seen: ["lock-timeout"],
  },
  LOCK_FROM_FUTURE: {
    title: "a lock with a time that is still to come",
    check: "cluster",
    severity: "warn",
    line: "priv/lock/{lock}, taken by node id {id}, has a time {seconds} s after now (limit {limit} s)",
    cause:
      "The clock of that node, or this one's, went back. A refresh with an older time is refused " +
      "on every node, so the lock's holder cannot keep it: HA gives up its services.",
    advice:
      "Look at `chronyc tracking` (or `timedatectl`) on both nodes. The lock can be refreshed " +
      "again when the clock of its node shows the later time.",
    seen: ["lock-timeout"],
  },
  CLUSTER_CLOCK_DIFFERS: {
    title: "a node with another time",
    check: "cluster",
    severity: "warn",
    line: "the clock of node {node} is {seconds} s {way} this node's (limit {limit} s)",
    cause:
      "Locks, HA and the cluster log compare times of different nodes: locks are kept too long " +
      "or cannot be refreshed, log entries are sorted wrongly.",
    advice: "Look at `chronyc tracking` (or `timedatectl`) on both nodes.",
  },
} as const satisfies Record<string, Code>;
