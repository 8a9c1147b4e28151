/** Codes about corosync and the members of pmxcfs's groups. */
import type { Code } from "../code.ts";

/** The advice if corosync does not run because this node's copy of its configuration is missing. */
export const NO_HOST_FILE =
  "There is no {path}, without which systemd does not start corosync. pmxcfs writes it from the " +
  "tree when it starts: `systemctl restart pve-cluster`, then `systemctl start corosync`. A node " +
  "that was taken out of its cluster must not have /etc/pve/corosync.conf either.";

export const MEMBER_CODES = {
  COROSYNC_UNREACHABLE: {
    title: "corosync does not answer",
    check: "cluster",
    severity: "fail",
    line: "{count} of {all} services of corosync {count:does|do} not answer: {list}",
    cause:
      "corosync does not run, hangs, or is starting. Without it this node is not part of its " +
      "cluster: /etc/pve is read-only, and shows its last state.",
    advice:
      "Look at `systemctl status corosync` and `journalctl -u corosync -n 30`. When corosync " +
      "runs again, pmxcfs connects by itself.",
    seen: ["corosync-connect", "no-quorum"],
  },
  GROUP_GHOST: {
    title: "a process in the group whose node is not in the cluster",
    check: "cluster",
    severity: "fail",
    line:
      "{member} (node {node}) is in pmxcfs's groups ({groups}), but quorum " +
      "does not have its node",
    cause:
      "A ghost: its corosync ended while it joined (an older config_version is enough), and a " +
      "corosync older than mid-2026 keeps its process in the group. All members wait for it, and " +
      "no write of any node is answered.",
    advice:
      "Restart corosync on the remaining members, one at a time: `systemctl restart corosync`, " +
      "then wait for `corosync-quorumtool -s` to show all of them before the next. Keep corosync " +
      "of node {node} stopped until its corosync.conf is that of the cluster.",
    seen: ["hang"],
  },
  MEMBER_SILENT: {
    title: "a member that does not answer",
    check: "cluster",
    severity: "fail",
    line:
      "{group}: for {seconds} s {waiting} for the {awaited} of {member} " +
      "(node {node}){changes}",
    cause:
      "Its pmxcfs hangs, is stopped, or waits for its disk. Until it answers or ends, members " +
      "that wait answer no write (in the group dcdb), or take over no status value and log entry " +
      "of other nodes (in the group status); reads go on.",
    advice:
      "On node {node}: `pmxcfs-ipc --check`, `cat /proc/{pid}/stack`; if it does not recover, " +
      "`systemctl restart pve-cluster` there. The other members continue as soon as it has left.",
    seen: ["hang"],
  },
  GROUP_MEMBER_ABSENT: {
    title: "a node without pmxcfs in the group",
    check: "cluster",
    severity: "warn",
    line: "node {node} (id {id}) is in the cluster, but no pmxcfs of it is in the groups {groups}",
    cause:
      "Its pmxcfs does not run, runs with -l, or left the group because of an error. It does not " +
      "receive changes of the cluster, and its status values are not updated.",
    advice: "On node {node}: `pmxcfs-ipc --check` and `journalctl -u pve-cluster -n 30`.",
    seen: ["hang"],
  },
  LOCK_OF_GONE_NODE: {
    title: "a lock of a node that is not a member",
    check: "cluster",
    severity: "notice",
    line:
      "priv/lock/{lock} was taken by node id {id}, which is no node of the " +
      "cluster ({age} s old)",
    cause: "The node was removed while it held the lock, or the id is from another cluster.",
    advice:
      "120 s after its last refresh others may take the lock: nothing has to be removed. Make " +
      "sure that the node is off and stays off.",
    seen: ["lock-timeout"],
  },
  LOCK_FROM_FUTURE: {
    title: "a lock with a time that is still to come",
    check: "cluster",
    severity: "warn",
    line:
      "priv/lock/{lock}, taken by node id {id}, has a time {seconds} s after now (limit {limit} " +
      "s)",
    cause:
      "The clock of that node or of this node went back. Every node refuses a refresh with an " +
      "older time, so the holder cannot keep the lock, and HA loses it.",
    advice:
      "Look at `chronyc tracking` (or `timedatectl`) on both nodes. The lock can be refreshed " +
      "again when the clock of its node has reached that time.",
    seen: ["lock-timeout"],
  },
  CLUSTER_CLOCK_DIFFERS: {
    title: "a node with another time",
    check: "cluster",
    severity: "warn",
    line: "the clock of node {node} is {seconds} s {way} this node's (limit {limit} s)",
    cause:
      "Locks, HA and the cluster log compare times of different nodes: locks last too long or " +
      "cannot be refreshed, and log entries are in the wrong order.",
    advice: "Look at `chronyc tracking` (or `timedatectl`) on both nodes.",
  },
} as const satisfies Record<string, Code>;
