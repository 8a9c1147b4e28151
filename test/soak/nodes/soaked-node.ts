/** One node of a soak: its server, its load, and the resources of the server. */
import { readdirSync } from "node:fs";
import type { ClusterNode, NodeProcess } from "../../corosync/support/cluster.ts";
import { residentKib } from "../../robust/footprint.ts";
import { eventually } from "../../support/eventually.ts";
import { program } from "../../support/service.ts";
import type { Incident, Loss, Report } from "./journal.ts";
import { added, type Pauses, pausesIn } from "./pauses.ts";
import { Worker } from "./worker-process.ts";

/** An address in the node's own network. */
const METRICS = "127.0.0.1:9090";
/** Prints the digests of the regular files of the tree. */
const TREE =
  "cd /etc/pve && find . -path ./local -prune -o -type f -not -name '.[a-z]*' -print0 | " +
  "sort -z | xargs -0 -r sha256sum";
const DATABASE = "/var/lib/pve-cluster/config.db";
const START_MS = 30_000;
/** Directories in which a server makes files; backup/ has copies that it keeps on purpose. */
const WRITTEN = ["/run", "/var/lib/pve-cluster"] as const;

/** The resources of an idle server. */
export interface Holding {
  readonly residentKib: number;
  readonly descriptors: number;
  readonly shm: number;
  readonly files: number;
}

/** The texts that must be equal on all idle nodes: digests of files, keys, the last log entries. */
export interface NodeState {
  readonly tree: string;
  readonly keys: string;
  readonly marks: string;
}

/** A time in which calls on a node may fail, and acknowledged changes may be lost. */
export interface Disturbance {
  readonly what: string;
  readonly from: number;
  to: number;
}

function entriesBelow(path: string): number {
  return readdirSync(path, { recursive: true }).filter((name) => !String(name).startsWith("backup"))
    .length;
}

export class SoakedNode implements AsyncDisposable {
  readonly node: ClusterNode;
  readonly #words: readonly string[];
  readonly #worker: Worker;
  #server: NodeProcess | undefined;
  #pauses: Pauses = new Map();
  readonly disturbances: Disturbance[] = [];
  readonly counts: Record<string, number> = {};
  readonly faults: string[] = [];
  readonly incidents: Incident[] = [];
  readonly losses: Loss[] = [];
  readonly holdings: Holding[] = [];
  readonly held: Report["held"][number][] = [];

  /** `words`: options of the server besides the metrics. */
  constructor(node: ClusterNode, names: readonly string[], words: readonly string[]) {
    this.node = node;
    this.#words = words;
    this.#worker = new Worker(node, names);
  }

  get name(): string {
    return this.node.name;
  }

  /** The last 15 lines of the server's output. */
  get lastLines(): string {
    return this.#server?.output.trim().split("\n").slice(-15).join("\n") ?? "";
  }

  async start(): Promise<void> {
    const words = ["pmxcfs", "-f", "--metrics", METRICS, ...this.#words];
    const server = this.node.start([...program(), ...words]);
    this.#server = server;
    await eventually(
      `${this.name} serves`,
      () => {
        if (!server.running) throw new Error(`the server of ${this.name} ended: ${server.output}`);
        return server.output.includes("serving pve2");
      },
      START_MS,
    );
  }

  /** Ends the server; calls of the load fail until the next start. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    await this.#takePauses().catch(() => {});
    const code = await this.#server?.stop(signal);
    if (signal === "SIGTERM" && code !== 0)
      this.faults.push(`${this.name}: SIGTERM ended in ${code}`);
    const leaves = this.#server?.output.matchAll(/leaving CPG group \(([\w-]+)\)/g) ?? [];
    for (const [, reason] of leaves) this.#count(`leave (${reason})`, 1);
    const left = this.#rings();
    if (signal === "SIGTERM" && left > 0) this.faults.push(`${this.name}: left ${left} rings`);
  }

  /** The number of ring directories of pmxcfs: those of corosync have other names. */
  #rings(): number {
    const names = readdirSync(this.node.holder.path("/dev/shm"));
    return names.filter((name) => name.startsWith("qb-") && /-[0-9a-f]{12}$/.test(name)).length;
  }

  async running(): Promise<boolean> {
    const { stdout } = await this.node.run("cat", "/etc/pve/.version");
    return stdout.includes("starttime") && this.#server?.running === true;
  }

  /** Until `calm`, calls of the load may fail, and acknowledged changes may be lost. */
  disturb(what: string): void {
    this.disturbances.push({ what, from: Date.now(), to: Infinity });
  }

  calm(): void {
    for (const disturbance of this.disturbances) {
      if (disturbance.to === Infinity) disturbance.to = Date.now();
    }
  }

  async enter(): Promise<void> {
    await this.#worker.ask("enter");
  }

  async go(): Promise<void> {
    await this.#worker.ask("go");
  }

  async rest(): Promise<void> {
    await this.#worker.ask("rest");
    const { counts, faults, incidents, held } = await this.#worker.ask<Report>("report");
    for (const [what, count] of Object.entries(counts)) this.#count(what, count);
    this.faults.push(...faults.map((fault) => `${this.name}: ${fault}`));
    this.incidents.push(...incidents);
    this.held.push(...held);
  }

  #count(what: string, count: number): void {
    this.counts[what] = (this.counts[what] ?? 0) + count;
  }

  async check(): Promise<void> {
    this.losses.push(...(await this.#worker.ask<Loss[]>("check")));
  }

  async unlock(): Promise<void> {
    await this.#worker.ask("unlock");
  }

  async mark(round: number): Promise<void> {
    await this.#worker.ask("mark", `${round}`);
  }

  /** What must be equal on all nodes. */
  async state(round: number): Promise<NodeState> {
    const { stdout } = await this.node.sh(TREE);
    const found = await this.#worker.ask<Omit<NodeState, "tree">>("state", `${round}`);
    return { tree: stdout, ...found };
  }

  /** The whole cluster log; equal after a synchronisation. */
  async log(): Promise<string> {
    return await this.#worker.ask<string>("log");
  }

  async #takePauses(): Promise<void> {
    this.#pauses = added(this.#pauses, pausesIn(await this.#worker.ask("metrics", METRICS)));
  }

  /** The pauses of all servers that ran on the node. */
  async pauses(): Promise<Pauses> {
    const now = pausesIn(await this.#worker.ask("metrics", METRICS));
    return added(this.#pauses, now);
  }

  /** Records the resources of the idle server; memory is the least of five samples. */
  async sample(): Promise<void> {
    const pid = await this.#server?.pid;
    if (pid === undefined) return;
    const samples: number[] = [];
    for (let sample = 0; sample < 5; sample++) {
      await Bun.sleep(400);
      samples.push(residentKib(pid));
    }
    this.holdings.push({
      residentKib: Math.min(...samples),
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      shm: this.#rings(),
      files: WRITTEN.map((path) => entriesBelow(this.node.holder.path(path))).reduce(
        (sum, count) => sum + count,
        0,
      ),
    });
  }

  /** After the end of the server: the output of `config verify`; undefined if it is sound. */
  async unsound(): Promise<string | undefined> {
    const words = [...program(), "config", "verify", "--db", DATABASE];
    const { exitCode, stdout, stderr } = await this.node.run(...words);
    return exitCode === 0 && stdout.includes(": sound") ? undefined : `${stdout}${stderr}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker[Symbol.asyncDispose]();
  }
}
