/**
 * C servers and ours in one cluster. Run by hand, because it needs the C server's binary:
 * PMXCFS_C_SERVER=/path/to/pmxcfs bun test ./test/corosync/mixed-with-c.ts
 */
import { expect } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { noPrivateNode } from "../support/private-node.ts";
import { program } from "../support/service.ts";
import { testUnless } from "../support/unless.ts";
import { noCluster, TestCluster } from "./support/cluster.ts";

const original = process.env["PMXCFS_C_SERVER"];
const reason = original === undefined ? "needs PMXCFS_C_SERVER" : (noCluster() ?? noPrivateNode());

testUnless(reason)(
  "beside two C servers, ours has the same tree and keys, and passes their verification",
  async () => {
    await using cluster = await TestCluster.up(3);
    const commands = [
      [original ?? "", "-f"],
      [...program(), "pmxcfs", "-f"],
      [original ?? "", "-f"],
    ];
    const servers = cluster.nodes.map((node, index) => node.start(commands[index] ?? []));
    for (const node of cluster.nodes) {
      await eventually(
        `all online on ${node.name}`,
        async () => {
          const { stdout } = await node.run("cat", "/etc/pve/.members");
          return stdout.match(/"online": 1/g)?.length === 3 && stdout.includes('"quorate": 1');
        },
        30_000,
      );
    }
    for (const node of cluster.nodes) {
      const own = `/etc/pve/${node.name}`;
      const done = await node.sh(`mkdir ${own} && echo one >${own}/a && mv ${own}/a ${own}/b`);
      expect(done.stderr).toBe("");
    }
    const tree = "cd /etc/pve && sha256sum n1/b n2/b n3/b && ls n1 n2 n3";
    await eventually("the same files", async () => {
      const seen = await Promise.all(cluster.nodes.map(async (node) => await node.sh(tree)));
      return seen.every(({ exitCode, stdout }) => exitCode === 0 && stdout === seen[0]?.stdout);
    });
    // Ours knows the C servers from corosync alone.
    const status = await cluster.node(2).run(...program(), "cluster", "status");
    expect(status.stdout).toContain("3 of 3 members synced");
    expect(status.stdout).toContain("no problem found");
    const seenByC = await cluster.node(1).run(...program(), "cluster", "members", "--json");
    expect(JSON.parse(seenByC.stdout)).toHaveLength(3);
    for (const { running, output } of servers) {
      expect(running).toBe(true);
      expect(output).not.toContain("leaving CPG group");
    }
  },
  120_000,
);
