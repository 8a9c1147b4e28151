/** Three nodes with a corosync and a replicated server (servers/node.ts) each, for tests. */
import { TestCluster } from "./cluster.ts";
import { NodeServer } from "./node-server.ts";

/** The nodes' ids. */
export const ALL = [1, 2, 3];

export class ServedCluster implements AsyncDisposable {
  readonly cluster: TestCluster;
  readonly servers: NodeServer[];
  readonly #words: readonly string[];

  private constructor(cluster: TestCluster, words: readonly string[]) {
    this.cluster = cluster;
    this.#words = words;
    this.servers = cluster.nodes.map((node) => new NodeServer(node, ...words));
  }

  /** Starts it and waits until it is synced; an unconfirmed change fails after `deadlineMs`. */
  static async up(deadlineMs: number): Promise<ServedCluster> {
    const cluster = await TestCluster.up(ALL.length);
    const served = new ServedCluster(cluster, ["--deadline", String(deadlineMs)]);
    try {
      await served.allInStep();
      return served;
    } catch (error) {
      await served[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The server of a node. */
  at(id: number): NodeServer {
    const found = this.servers[id - 1];
    if (found === undefined) throw new Error(`no server ${id}`);
    return found;
  }

  /** Starts the server of a node again after it has ended. */
  restart(id: number, ...words: readonly string[]): void {
    this.servers[id - 1] = new NodeServer(this.cluster.node(id), ...this.#words, ...words);
  }

  async inStep(...ids: readonly number[]): Promise<void> {
    await Promise.all(ids.map(async (id) => await this.at(id).inStep(ids)));
  }

  async allInStep(): Promise<void> {
    await this.inStep(...ALL);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.servers) await server[Symbol.asyncDispose]();
    await this.cluster[Symbol.asyncDispose]();
  }
}
