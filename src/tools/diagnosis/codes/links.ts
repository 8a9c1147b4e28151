/** Codes about corosync messages that are lost between the nodes. */
import type { Code } from "../code.ts";

export const LINK_CODES = {
  LARGE_MESSAGES_LOST: {
    title: "large messages are lost, small ones pass: MTU",
    check: "cluster",
    severity: "fail",
    line: "large messages are lost between the nodes, small ones pass (MTU): {evidence}",
    cause:
      "Packets of full size do not arrive: an interface, bond, switch or tunnel on the path has " +
      "a smaller MTU, or an adapter drops them. corosync shows no fault, because its own " +
      "messages are small. A node that joins waits without limit, and so does every message " +
      "after a large one.",
    advice:
      "`ping -M do -c 3 -s 1472` to the address of each other node, from both sides (8972 where " +
      "the MTU is 9000), shows which path drops them. Set one MTU on all interfaces, bonds and " +
      "switch ports of corosync's network: `ip -br link`. No restart is needed: corosync sends " +
      "missing messages again.",
    seen: ["sync-waiting", "corosync-links", "hang"],
  },
  MESSAGES_RESENT: {
    title: "messages of corosync are lost",
    check: "cluster",
    severity: "warn",
    line:
      "corosync sent {count} messages again within {seconds} s (limit {limit}), {total} since " +
      "its start",
    cause:
      "Another node did not receive them: its network drops packets, or it is too busy to read " +
      "them. All nodes wait for each of them, and changes of /etc/pve become slow.",
    advice:
      "Look at `corosync-cfgtool -s`, at errors of the interface (`ip -s link`), and for backup, " +
      "storage or migration traffic on the network of corosync.",
    seen: ["corosync-links"],
  },
  LINK_MTU_SMALL: {
    title: "a link of corosync with a small MTU",
    check: "cluster",
    severity: "notice",
    line: "link {link} to {node} carries packets of {mtu} bytes, at least {usual} are usual here",
    cause:
      "corosync measured that larger packets do not arrive, and splits its messages accordingly. " +
      "Other programs do not: migration or storage traffic on this path can hang.",
    advice:
      "`ping -M do -c 3 -s 1472` to the address of {node} (8972 where the MTU is 9000), and `ip " +
      "-br link` on both: all interfaces, bonds and switch ports of a network need the same MTU. " +
      "A smaller MTU of a tunnel is not a fault.",
    seen: ["corosync-links"],
  },
} as const satisfies Record<string, Code>;
