/**
 * A soak of one or three nodes of ours: load on the mount, IPC clients, keys, floods of the cluster
 * log and locks, while servers are killed and restarted; three nodes have a corosync each, and the
 * network between them is partitioned. After each round the load stops; then trees, keys and logs
 * must be equal on all nodes, no acknowledged change lost, and the resources of servers not grown.
 */
import { LoopPauses } from "../../../src/observe/loop-pauses.ts";
import { TestCluster } from "../../corosync/support/cluster.ts";
import { eventually } from "../../support/eventually.ts";
import { judge } from "./judgement.ts";
import { ownPauses, pausesText } from "./pauses.ts";
import { SoakedNode } from "./soaked-node.ts";

const LOAD_MS = 8_000;
const CUT_MS = 6_000;
const AGREE_MS = 60_000;

/** The disturbance of a round, and the ids of the nodes on which calls may fail. */
interface Act {
  readonly what: string;
  readonly disturbed: readonly number[];
  readonly run: (soak: NodesSoak) => Promise<void>;
}

function cut(...groups: readonly (readonly number[])[]): Act {
  return {
    what: `partition ${groups.map((group) => group.join("+")).join(" | ")}`,
    disturbed: groups.flat(),
    run: async ({ cluster }) => {
      cluster.partition(...groups);
      await Bun.sleep(CUT_MS);
      cluster.heal();
    },
  };
}

function restart(id: number, signal: "SIGTERM" | "SIGKILL", all: readonly number[]): Act {
  return {
    what: `${signal} and restart of n${id}`,
    disturbed: all,
    run: async (soak) => await soak.restart(id, signal),
  };
}

/** A server is killed while it has no quorum, and rejoins nodes that have changed meanwhile. */
const KILLED_ALONE: Act = {
  what: "SIGKILL of n3 while it is cut off",
  disturbed: [1, 2, 3],
  run: async (soak) => {
    soak.cluster.partition([1, 2], [3]);
    await Bun.sleep(CUT_MS / 2);
    await soak.restart(3, "SIGKILL");
    soak.cluster.heal();
  },
};

const OF_THREE: readonly Act[] = [
  cut([1, 2], [3]),
  restart(2, "SIGKILL", [1, 2, 3]),
  cut([1], [2], [3]),
  restart(3, "SIGTERM", [1, 2, 3]),
  cut([1], [2, 3]),
  KILLED_ALONE,
];
const NONE: Act = { what: "nothing", disturbed: [], run: async () => await Bun.sleep(CUT_MS) };
const OF_ONE: readonly Act[] = [
  NONE,
  NONE,
  restart(1, "SIGTERM", [1]),
  NONE,
  restart(1, "SIGKILL", [1]),
];

export class NodesSoak implements AsyncDisposable {
  readonly cluster: TestCluster;
  readonly #nodes: readonly SoakedNode[];
  readonly #acts: readonly Act[];
  readonly #began = performance.now();
  /** Pauses of this process, which mostly waits: those that the load of the machine causes. */
  readonly #idlePauses = new LoopPauses();

  private constructor(cluster: TestCluster, nodes: readonly SoakedNode[], acts: readonly Act[]) {
    this.cluster = cluster;
    this.#nodes = nodes;
    this.#acts = acts;
  }

  /** `count`: one node without corosync, or three with one each. */
  static async start(count: 1 | 3): Promise<NodesSoak> {
    const cluster = await TestCluster.up(count, { corosync: count === 3 });
    const names = cluster.nodes.map(({ name }) => name);
    const words = count === 1 ? ["-l"] : [];
    const nodes = cluster.nodes.map((node) => new SoakedNode(node, names, words));
    const soak = new NodesSoak(cluster, nodes, count === 1 ? OF_ONE : OF_THREE);
    try {
      await Promise.all(nodes.map((node) => node.start()));
      await soak.#inStep();
      for (const node of nodes) await node.enter();
    } catch (error) {
      await soak[Symbol.asyncDispose]();
      throw error;
    }
    return soak;
  }

  #say(text: string): void {
    const seconds = Math.round((performance.now() - this.#began) / 1000);
    console.log(`${String(seconds).padStart(4)} s  ${text}`);
  }

  async restart(id: number, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const node = this.#nodes[id - 1];
    await node?.end(signal);
    await node?.start();
  }

  /** Waits until every node sees all of them online and accepts a change. */
  async #inStep(): Promise<void> {
    const count = this.#nodes.length;
    for (const { node } of this.#nodes) {
      await eventually(
        `${node.name} sees ${count} nodes and takes changes`,
        async () => {
          const { stdout } = await node.run("cat", "/etc/pve/.members");
          if (count > 1 && stdout.match(/"online": 1/g)?.length !== count) return false;
          return (await node.sh("echo x >/etc/pve/in-step")).exitCode === 0;
        },
        AGREE_MS,
      );
    }
  }

  /** Waits until all nodes have the same texts; the differences that remain after AGREE_MS. */
  async #equal(texts: (node: SoakedNode) => Promise<Record<string, string>>): Promise<string[]> {
    let different: string[] = [];
    const look = async (): Promise<boolean> => {
      const [first = {}, ...others] = await Promise.all(this.#nodes.map(texts));
      different = Object.entries(first).flatMap(([what, text]) => {
        const index = others.findIndex((other) => other[what] !== text);
        if (index === -1) return [];
        return [`${what} of n${index + 2}: ${firstDifference(text, others[index]?.[what])}`];
      });
      return different.length === 0;
    };
    await eventually("all equal", look, AGREE_MS).catch(() => {});
    return different;
  }

  /** At rest, after a partition of each node from all others: the logs must have equal entries. */
  async #equalLogs(): Promise<string[]> {
    if (this.#nodes.length > 1) {
      this.cluster.partition(...this.#nodes.map(({ node }) => [node.id]));
      await Bun.sleep(CUT_MS);
      this.cluster.heal();
      await this.#inStep();
    }
    return await this.#equal(async (node) => ({ log: await node.log() }));
  }

  async #round(number: number): Promise<string[]> {
    const act = this.#acts[number % this.#acts.length];
    for (const node of this.#nodes) await node.go();
    await Bun.sleep(LOAD_MS);
    for (const node of this.#nodes) {
      if (act?.disturbed.includes(node.node.id) === true) node.disturb(act.what);
    }
    const began = performance.now();
    await act?.run(this);
    await this.#inStep();
    const ms = Math.round(performance.now() - began);
    await Promise.all(this.#nodes.map((node) => node.rest()));
    for (const node of this.#nodes) node.calm();
    for (const node of this.#nodes) await node.enter();
    await this.#nodes[0]?.unlock();
    await Promise.all(this.#nodes.map((node) => node.check()));
    for (const node of this.#nodes) await node.mark(number);
    const different = await this.#equal(async (node) => ({ ...(await node.state(number)) }));
    for (const node of this.#nodes) await node.sample();
    const memory = this.#nodes.map(({ holdings }) =>
      Math.round((holdings.at(-1)?.residentKib ?? 0) / 1024),
    );
    const end = different.length === 0 ? "equal" : "DIFFERENT";
    this.#say(
      `round ${number + 1}: ${act?.what}, synced after ${ms} ms, ${end}; ${memory.join(", ")} MiB`,
    );
    return different;
  }

  /** Runs whole rounds for at least `ms`; returns the faults. */
  async run(ms: number): Promise<string[]> {
    const faults: string[] = [];
    const deadline = performance.now() + ms;
    for (let round = 0; performance.now() < deadline && faults.length === 0; round++) {
      try {
        faults.push(...(await this.#round(round)));
      } catch (error) {
        faults.push(error instanceof Error ? error.message : String(error));
      }
      faults.push(...this.#nodes.flatMap((node) => node.faults));
    }
    if (faults.length === 0) {
      faults.push(...(await this.#equalLogs()));
      this.#say(`cluster logs, entry for entry: ${faults.length === 0 ? "equal" : "DIFFERENT"}`);
    }
    for (const node of this.#nodes) {
      const pauses = await node.pauses().then(pausesText, () => "no metrics");
      console.log(`${node.name}: event loop, all its servers: ${pauses}`);
      if (faults.length > 0) console.log(`${node.name}: ${node.lastLines}`);
    }
    console.log(`this process: event loop: ${pausesText(ownPauses(this.#idlePauses))}`);
    for (const node of this.#nodes) {
      await node.end("SIGTERM");
      const unsound = await node.unsound();
      if (unsound !== undefined) faults.push(`${node.name}: config.db: ${unsound}`);
    }
    return [...faults, ...judge(this.#nodes)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#idlePauses.close();
    for (const node of this.#nodes) await node[Symbol.asyncDispose]();
    await this.cluster[Symbol.asyncDispose]();
  }
}

/** The first lines that differ, `(nothing)` after the end of a text. */
function firstDifference(first = "", second = ""): string {
  const [ours, theirs] = [first.split("\n"), second.split("\n")];
  const found = ours.findIndex((line, index) => line !== theirs[index]);
  const at = found === -1 ? ours.length : found;
  return `${ours[at] ?? "(nothing)"} / ${theirs[at] ?? "(nothing)"}`;
}
