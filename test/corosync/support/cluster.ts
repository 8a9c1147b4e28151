/**
 * A cluster of nodes on this host, each with a real corosync: every node has its own network,
 * mounts (/etc, /var/lib, /run, /dev/shm), host name and processes; links can be cut. Needs root.
 * Nothing outlives `await using`, or this process.
 */
import { writeFileSync } from "node:fs";
import { eventually } from "../../support/eventually.ts";
import { corosyncConf } from "./corosync-conf.ts";
import { Holder, innerPid, type Ran, signalInner } from "./holder.ts";

/** Why no cluster can run here; undefined if one can. */
export function noCluster(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root, for namespaces";
  for (const [command, packageName] of [
    ["corosync", "corosync"],
    ["unshare", "util-linux"],
    ["ip", "iproute2"],
  ] as const) {
    if (Bun.which(command) === null) return `needs ${command} (${packageName})`;
  }
  const tried = Bun.spawnSync([
    "unshare",
    "--net",
    "sh",
    "-c",
    "ip link add br0 type bridge && ip link add port1 type veth peer name eth0",
  ]);
  return tried.success ? undefined : "needs network namespaces with bridges";
}

/** A process that runs in a node until it is stopped, with its output. */
export class NodeProcess {
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #inner: Promise<number>;
  output = "";
  /** Both streams have ended. */
  readonly drained: Promise<unknown>;

  constructor(child: Bun.Subprocess<"ignore", "pipe", "pipe">) {
    this.#child = child;
    this.#inner = innerPid(child.pid);
    // A command that ends at once has no process any more.
    this.#inner.catch(() => {});
    this.drained = Promise.all([this.#collect(child.stdout), this.#collect(child.stderr)]);
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get exited(): Promise<number> {
    return this.#child.exited;
  }

  /** Its pid in this host's namespace. */
  get pid(): Promise<number> {
    return this.#inner;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running) signalInner(this.#child.pid, signal);
  }

  /** Sends `signal` and waits for the end. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    await this.#inner;
    this.signal(signal);
    const code = await this.exited;
    await this.drained;
    return code;
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) this.output += decoder.decode(chunk, { stream: true });
  }
}

export class ClusterNode {
  readonly id: number;
  readonly name: string;
  readonly holder: Holder;
  #corosync: NodeProcess | undefined;

  constructor(id: number, name: string, holder: Holder) {
    this.id = id;
    this.name = name;
    this.holder = holder;
  }

  /** Output of this node's corosync so far. */
  get corosyncLog(): string {
    return this.#corosync?.output ?? "";
  }

  /** Runs a command in this node and waits for its end. */
  async run(...command: readonly string[]): Promise<Ran> {
    return await this.holder.run(command);
  }

  /** Runs a shell script in this node and waits for its end. */
  async sh(script: string): Promise<Ran> {
    return await this.holder.run(["sh", "-c", script]);
  }

  /** Starts a command in this node. */
  start(command: readonly string[], env: Record<string, string> = {}): NodeProcess {
    return new NodeProcess(this.holder.start(command, { stdin: "ignore", env }));
  }

  /** Pid of this node's running corosync in this host's namespace. */
  get corosyncPid(): Promise<number> {
    if (this.#corosync === undefined) throw new Error(`no corosync on ${this.name}`);
    return this.#corosync.pid;
  }

  startCorosync(): void {
    this.#corosync = this.start(["corosync", "-f"]);
  }

  async stopCorosync(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    await this.#corosync?.stop(signal);
    this.#corosync = undefined;
  }

  signalCorosync(signal: NodeJS.Signals): void {
    this.#corosync?.signal(signal);
  }

  /** Node ids of this node's partition, and whether it is quorate, from corosync-quorumtool. */
  async view(): Promise<{ readonly quorate: boolean; readonly ids: readonly number[] }> {
    // It waits forever if it connects while corosync starts.
    const { stdout } = await this.run("timeout", "3", "corosync-quorumtool", "-s", "-i");
    const rows = [...stdout.matchAll(/^\s*(\d+)\s+\d+\s+\S+/gm)];
    const ids = rows.map(([, id]) => Number(id)).toSorted((a, b) => a - b);
    return { quorate: /^Quorate:\s+Yes$/m.test(stdout), ids };
  }
}

export interface ClusterOptions {
  /** Start corosync on every node, and wait until each sees all others; default: true. */
  readonly corosync?: boolean;
  readonly version?: number;
}

export class TestCluster implements AsyncDisposable {
  readonly nodes: readonly ClusterNode[];
  readonly #switch: Holder;

  private constructor(cables: Holder, nodes: readonly ClusterNode[]) {
    this.#switch = cables;
    this.nodes = nodes;
  }

  /** Makes `count` nodes n1, n2, ... with ids 1, 2, ... */
  static async up(count: number, options: ClusterOptions = {}): Promise<TestCluster> {
    const ids = Array.from({ length: count }, (_, index) => index + 1);
    const bridges = ids.flatMap((id) => [
      `ip link add br${id} type bridge stp_state 0 forward_delay 0`,
      `ip link set br${id} up`,
    ]);
    const cables = await Holder.make(bridges.join("\n"));
    const nodes: ClusterNode[] = [];
    const cluster = new TestCluster(cables, nodes);
    try {
      for (const id of ids) nodes.push(await cluster.#node(id, count, options));
      if (options.corosync === false) return cluster;
      for (const node of nodes) node.startCorosync();
      await cluster.agreed(ids);
      return cluster;
    } catch (error) {
      const logs = nodes.map(({ name, corosyncLog }) => `${name}: ${corosyncLog}`);
      await cluster[Symbol.asyncDispose]();
      throw new Error(`${String(error)}\n${logs.join("\n")}`, { cause: error });
    }
  }

  /** Waits until the nodes of `ids` see exactly each other. */
  async agreed(ids: readonly number[]): Promise<void> {
    for (const id of ids) {
      await eventually(
        `node ${id} sees ${ids.join(",")}`,
        async () => {
          const view = await this.node(id).view();
          return view.ids.join(",") === ids.join(",");
        },
        60_000,
      );
    }
  }

  /** The node with this id. */
  node(id: number): ClusterNode {
    const node = this.nodes[id - 1];
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  /** Cuts the network between nodes of different groups. */
  partition(...groups: readonly (readonly number[])[]): void {
    for (const [side, group] of groups.entries()) {
      for (const id of group) cable(this.#switch, `link set port${id} master br${side + 1}`);
    }
  }

  heal(): void {
    this.partition(this.nodes.map(({ id }) => id));
  }

  async #node(id: number, count: number, options: ClusterOptions): Promise<ClusterNode> {
    const name = `n${id}`;
    const holder = await Holder.make(setUpOf(name, count));
    cable(this.#switch, `link add port${id} type veth peer name eth0 netns ${holder.pid}`);
    cable(this.#switch, `link set port${id} master br1 up`);
    for (const words of [`addr add ${addressOf(id)}/24 dev eth0`, "link set eth0 up"]) {
      cable(holder, words);
    }
    const conf = corosyncConf(count, addressOf, options.version ?? 1);
    writeFileSync(holder.path("/etc/corosync/corosync.conf"), conf);
    return new ClusterNode(id, name, holder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { holder } of this.nodes) await holder[Symbol.asyncDispose]();
    await this.#switch[Symbol.asyncDispose]();
  }
}

/** Runs ip(8) in a network namespace; throws its error output. */
function cable(holder: Holder, words: string): void {
  const done = Bun.spawnSync(holder.enterNetwork(["ip", ...words.split(" ")]), { stderr: "pipe" });
  if (!done.success) throw new Error(`ip ${words}: ${done.stderr.toString()}`);
}

function addressOf(id: number): string {
  return `10.99.0.${id}`;
}

/** Sets up a node's own directories, in memory, below /mnt of its mount namespace. */
function setUpOf(name: string, count: number): string {
  const hosts = Array.from({ length: count }, (_, at) => `${addressOf(at + 1)} n${at + 1}`);
  const overlays = ["/etc", "/var/lib"].map((path) => {
    const at = `/mnt${path}`;
    const layers = `lowerdir=${path},upperdir=${at}/upper,workdir=${at}/work`;
    return `mkdir -p ${at}/upper ${at}/work\nmount -t overlay overlay -o ${layers} ${path}`;
  });
  return [
    "mount -t tmpfs tmpfs /mnt",
    ...overlays,
    "mount -t tmpfs -o mode=1777 shm /dev/shm",
    "mount -t tmpfs -o mode=0755 run /run",
    // Hides the files of the host's own cluster, if it has one.
    ...["/etc/pve", "/etc/corosync", "/var/lib/pve-cluster", "/var/lib/corosync"].flatMap(
      (path) => [`mkdir -p ${path}`, `mount -t tmpfs tmpfs ${path}`],
    ),
    "mkdir -p /run/lock",
    `printf '127.0.0.1 localhost\\n${hosts.join("\\n")}\\n' >/etc/hosts`,
    `hostname ${name}`,
    "ip link set lo up",
  ].join("\n");
}
