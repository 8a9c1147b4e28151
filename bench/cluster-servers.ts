/** The servers of the cluster benchmark: one on each of three nodes. */
import type { NodeProcess, TestCluster } from "../test/corosync/support/cluster.ts";
import { eventually } from "../test/support/eventually.ts";

const ONLINE_MS = 30_000;
const STOP_MS = 10_000;

/** The commands of the servers of nodes 1, 2 and 3. */
export type Commands = readonly [readonly string[], readonly string[], readonly string[]];

/** Three servers of one side, with new databases. */
export class Servers implements AsyncDisposable {
  readonly #cluster: TestCluster;
  readonly #commands: Commands;
  readonly #servers: NodeProcess[];

  private constructor(cluster: TestCluster, commands: Commands) {
    this.#cluster = cluster;
    this.#commands = commands;
    this.#servers = commands.map((command, index) => cluster.node(index + 1).start(command));
  }

  /** Starts a server on each node; waits until all are online. */
  static async start(cluster: TestCluster, commands: Commands): Promise<Servers> {
    for (const node of cluster.nodes) await node.sh("rm -rf /var/lib/pve-cluster/*");
    const servers = new Servers(cluster, commands);
    await servers.online();
    return servers;
  }

  /** Waits until each node has quorum and sees all nodes online. */
  async online(): Promise<void> {
    for (const node of this.#cluster.nodes) {
      const isOnline = async (): Promise<boolean> => {
        const { stdout } = await node.run("cat", "/etc/pve/.members");
        return stdout.match(/"online": 1/g)?.length === 3 && stdout.includes('"quorate": 1');
      };
      try {
        await eventually("all online", isOnline, ONLINE_MS);
      } catch (error) {
        const outputs = this.#servers.map(({ output }) => output).join("\n");
        throw new Error(`${node.name}: ${String(error)}\n${outputs}`, { cause: error });
      }
    }
  }

  /** The pid, outside the node, of a node's server. */
  async pid(id: number): Promise<number> {
    const server = this.#servers[id - 1];
    if (server === undefined) throw new Error(`no server ${id}`);
    return await server.pid;
  }

  /** Ends a node's server. One that hangs, as C's may, is killed, and its mount removed. */
  async stop(id: number): Promise<void> {
    const server = this.#servers[id - 1];
    if (server === undefined) return;
    const late = Bun.sleep(STOP_MS).then(() => "late" as const);
    if ((await Promise.race([server.stop("SIGTERM"), late])) !== "late") return;
    console.error(`  node ${id} did not end within ${STOP_MS} ms: killed`);
    await server.stop("SIGKILL");
    await this.#cluster.node(id).run("umount", "-l", "/etc/pve");
  }

  /** Starts a node's server again, which was stopped. */
  restart(id: number): void {
    const command = this.#commands[id - 1];
    if (command !== undefined) this.#servers[id - 1] = this.#cluster.node(id).start(command);
  }

  /** All that a node's server has written. */
  output(id: number): string {
    return this.#servers[id - 1]?.output ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { id } of this.#cluster.nodes) await this.stop(id);
  }
}
