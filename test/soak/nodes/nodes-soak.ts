/**
 * One or three of our nodes under everything at once: /etc/pve mounted and used, IPC clients, keys,
 * floods of the cluster log, locks; three nodes over a real corosync whose cables are pulled every
 * 20 s; servers killed and restarted. After each round everything rests, and trees, keys and logs
 * must be equal, every acknowledged change there, and what the servers hold flat.
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

/** What is done in a round, and the ids of nodes that may notice. */
interface Act {
  readonly what: string;
  readonly noticed: readonly number[];
  readonly run: (soak: NodesSoak) => Promise<void>;
}

function cut(...groups: readonly (readonly number[])[]): Act {
  return {
    what: `partition ${groups.map((group) => group.join("+")).join(" | ")}`,
    noticed: groups.flat(),
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
    noticed: all,
    run: async (soak) => await soak.restart(id, signal),
  };
}

/** A node is killed while it has no quorum, and comes back to a cluster that went on. */
const KILLED_ALONE: Act = {
  what: "SIGKILL of n3 while it is cut off",
  noticed: [1, 2, 3],
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
const OF_ONE: readonly Act[] = [
  { what: "nothing", noticed: [], run: async () => await Bun.sleep(CUT_MS) },
  { what: "nothing", noticed: [], run: async () => await Bun.sleep(CUT_MS) },
  restart(1, "SIGTERM", [1]),
  { what: "nothing", noticed: [], run: async () => await Bun.sleep(CUT_MS) },
  restart(1, "SIGKILL", [1]),
];

export class NodesSoak implements AsyncDisposable {
  readonly cluster: TestCluster;
  readonly #nodes: readonly SoakedNode[];
  readonly #acts: readonly Act[];
  readonly #began = performance.now();
  /** Of this process, which mostly waits: what the machine alone makes late. */
  readonly #idlePauses = new LoopPauses();

  private constructor(cluster: TestCluster, nodes: readonly SoakedNode[], acts: readonly Act[]) {
    this.cluster = cluster;
    this.#nodes = nodes;
    this.#acts = acts;
  }

  /** `count`: one node without corosync, or three with. */
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

  /** Every node sees all of them, with quorum, and takes a change. */
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

  /** Waits until all have the same texts; what still differs after that. */
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

  /** With everything at rest: after a cut of all from all the logs are one log, entry for entry. */
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
      if (act?.noticed.includes(node.node.id) === true) node.disturb(act.what);
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
      `round ${number + 1}: ${act?.what}, in step after ${ms} ms, ${end}; ${memory.join(", ")} MiB`,
    );
    return different;
  }

  /** Soaks for `ms`, whole rounds; the faults found. */
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
      const told = await node.pauses().then(pausesText, () => "no metrics");
      console.log(`${node.name}: event loop, all its servers: ${told}`);
      if (faults.length > 0) console.log(`${node.name}: ${node.lastWords}`);
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

/** The first lines that differ. */
function firstDifference(one = "", other = ""): string {
  const [ours, theirs] = [one.split("\n"), other.split("\n")];
  const at = ours.findIndex((line, index) => line !== theirs[index]);
  return `${ours[at] ?? "(nothing)"} / ${theirs[at] ?? "(nothing)"}`;
}
