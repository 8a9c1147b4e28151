/** Codes about messages of corosync that are lost between the nodes. */
import type { Code } from "../code.ts";

export const LINK_CODES = {
  LARGE_MESSAGES_LOST: {
    title: "large messages are lost, small ones pass: MTU",
    check: "cluster",
    severity: "fail",
    line: "large messages are lost between the nodes, small ones pass (MTU): {evidence}",
    cause:
      "Packets of full size do not arrive: an interface, bond, switch or tunnel on the way has a " +
      "smaller MTU, or an adapter drops them. corosync looks fine, because its own messages are " +
      "small; a node that joins, and whatever comes after a large message, waits without end.",
    advice:
      "`ping -M do -c 3 -s 1472` to the address of each other node, from both sides (8972 where " +
      "the MTU is 9000), shows which path drops them. Give all interfaces, bonds and switch " +
      "ports of corosync's network one MTU: `ip -br link`. Nothing has to be restarted: corosync " +
      "sends again what is missing.",
    seen: ["sync-waiting", "corosync-links", "hang"],
  },
  MESSAGES_RESENT: {
    title: "messages of corosync are lost",
    check: "cluster",
    severity: "warn",
    line:
      "corosync sent {count} messages again within {seconds} s (limit {limit}), " +
      "{total} since its start",
    cause:
      "Another node did not get them: its network drops packets, or it is too busy to take them. " +
      "Everybody waits for each of them, and changes of /etc/pve become slow.",
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
      "corosync measured that larger ones do not arrive, and cuts its messages smaller. Other " +
      "programs do not: migration or storage traffic on this path may hang.",
    advice:
      "`ping -M do -c 3 -s 1472` to the address of {node} (8972 where the MTU is 9000), and " +
      "`ip -br link` on both: all interfaces, bonds and switch ports of a network need one MTU. " +
      "A tunnel with a smaller one is no fault.",
    seen: ["corosync-links"],
  },
} as const satisfies Record<string, Code>;
