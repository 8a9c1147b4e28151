/**
 * Nodes that hear each other and form no membership: two nodes with a real corosync, and a path
 * that drops the packets which form one.
 */
import { expect } from "bun:test";
import { noCluster, TestCluster } from "../corosync/support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { noPrivateNode } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";
import { checkedOn, filter, linkCodes, noFilter, OWN_INTERFACES } from "./support/links.ts";
import { codesOf, expectFound } from "./support/run.ts";

const testLinks = testUnless(noCluster() ?? noPrivateNode() ?? noFilter());

/** Drops packets above 150 bytes: pings pass, and messages that form a membership do not. */
const DROP_ALL_BUT_PINGS = filter("4,128 0 0 0,37 0 1 150,6 0 0 2,6 0 0 0");

testLinks(
  "LARGE_MESSAGES_LOST: two nodes that hear each other and form no membership have no quorum",
  async () => {
    await using two = await TestCluster.up(2, { corosync: false });
    for (const { holder } of two.nodes) await holder.run(OWN_INTERFACES);
    expect((await two.node(2).sh(DROP_ALL_BUT_PINGS)).stderr).toBe("");
    for (const one of two.nodes) one.startCorosync();
    for (const [id, other] of [
      [1, 2],
      [2, 1],
    ] as const) {
      let seen = "";
      const report = await eventually(
        "it is found",
        async () => {
          const now = await checkedOn(two.node(id));
          seen = JSON.stringify(now.findings, undefined, 1);
          return codesOf(now).includes("LARGE_MESSAGES_LOST") ? now : undefined;
        },
        60_000,
      ).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${seen}`, { cause: error });
      });
      expectFound(report, "LARGE_MESSAGES_LOST", {
        line: new RegExp(
          `\\(MTU\\): the links to n${other} are up and its corosync is heard, but it is not in ` +
            String.raw`this node's membership; within \d+\.\d s the token was lost \d+ times?$`,
        ),
        fix: /^`ping -M do -c 3 -s 1472`/,
        exit: 2,
      });
      const quorum = report.findings.find(({ code }) => code === "NO_QUORUM");
      expect(quorum?.follows_from).toBe("LARGE_MESSAGES_LOST");
      expect(report.verdict.code).toBe("LARGE_MESSAGES_LOST");
    }
  },
  120_000,
);

testLinks(
  "a node whose corosync has ended is lost by its link, not by its messages",
  async () => {
    await using two = await TestCluster.up(2);
    await two.agreed([1, 2]);
    await two.node(2).stopCorosync("SIGKILL");
    const report = await eventually(
      "quorum is lost",
      async () => {
        const now = await checkedOn(two.node(1));
        return codesOf(now).includes("NO_QUORUM") ? now : undefined;
      },
      30_000,
    );
    expect(linkCodes(report)).toEqual([]);
  },
  60_000,
);
