/** Three nodes that are pmxcfs: /etc/pve mounted, served by IPC, replicated by a real corosync. */
import { eventually } from "../../support/eventually.ts";
import { program } from "../../support/service.ts";
import { type ClusterNode, type NodeProcess, TestCluster } from "./cluster.ts";
import type { Ran } from "./holder.ts";
import { ALL } from "./served-cluster.ts";

/** The same in every node, which has its own network. */
export const METRICS = "127.0.0.1:9090";
/** Prints the regular files of a node's mount with their digests. */
const TREE =
  "cd /etc/pve && find . -path ./local -prune -o -type f -not -name '.[a-z]*' -print0 | " +
  "sort -z | xargs -0 sha256sum";

export class MountedCluster implements AsyncDisposable {
  readonly cluster: TestCluster;
  readonly servers: NodeProcess[];

  private constructor(cluster: TestCluster) {
    this.cluster = cluster;
    this.servers = cluster.nodes.map((node) => serve(node));
  }

  /** Starts it; returns when all nodes are online. */
  static async up(): Promise<MountedCluster> {
    const mounted = new MountedCluster(await TestCluster.up(ALL.length));
    try {
      await mounted.allOnline();
      return mounted;
    } catch (error) {
      await mounted[Symbol.asyncDispose]();
      throw error;
    }
  }

  at(id: number): ClusterNode {
    return this.cluster.node(id);
  }

  server(id: number): NodeProcess {
    const found = this.servers[id - 1];
    if (found === undefined) throw new Error(`no server ${id}`);
    return found;
  }

  /** Starts the server of a node again after it has ended. */
  restart(id: number, ...words: readonly string[]): void {
    this.servers[id - 1] = serve(this.at(id), words);
  }

  /** Runs our program in a node. */
  async ours(id: number, ...words: readonly string[]): Promise<Ran> {
    return await this.at(id).run(...program(), ...words);
  }

  /** Waits until every node's .members shows quorum and all nodes online. */
  async allOnline(): Promise<void> {
    for (const { id, holder } of this.cluster.nodes) {
      const isOnline = async (): Promise<boolean> => {
        const { stdout } = await holder.run(["cat", "/etc/pve/.members"]);
        return (
          stdout.includes('"quorate": 1') && stdout.match(/"online": 1/g)?.length === ALL.length
        );
      };
      try {
        await eventually(`node ${id} sees all online`, isOnline, 30_000);
      } catch (error) {
        const outputs = this.servers.map((server) => server.output).join("\n");
        throw new Error(`${String(error)}\n${outputs}`, { cause: error });
      }
    }
  }

  /** Waits until these nodes have the same files. */
  async sameFiles(ids: readonly number[] = ALL): Promise<void> {
    await eventually("the same files", async () => {
      const trees = await Promise.all(ids.map(async (id) => (await this.at(id).sh(TREE)).stdout));
      return trees.every((tree) => tree === trees[0]);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
  }
}

function serve(node: ClusterNode, words: readonly string[] = []): NodeProcess {
  return node.start([...program(), "pmxcfs", "-f", "--metrics", METRICS, ...words]);
}
