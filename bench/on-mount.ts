/**
 * Rows of the mount: each side's server runs in its own private node. One process works on files of
 * its /etc/pve, or makes IPC round trips; another may write files at the same time. The requests of
 * PVE's daemons are measured here as on a node: without a directory that has to be checked.
 */
import { native } from "../test/support/native.ts";
import { PrivateNode } from "../test/support/private-node.ts";
import type { LoadResult } from "../test/support/qb-load.ts";
import { type Effort, roundTripsOf } from "./measure.ts";
import { costSince, costsOf } from "./process.ts";
import type { Measured, MountScenario } from "./scenario.ts";
import type { TaskSide } from "./target.ts";
import { fillTree } from "./tree.ts";

/** The output of mount-load; times in us. */
interface MountLoad {
  readonly operations: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

/** The directory on the mount that the load works in. */
const DIRECTORY = "/etc/pve/bench";
/** The name of a private node. */
const NODE = "pve1";
/** qb-load's flags of GET_FS_VERSION. */
const GET_FS_VERSION = ["--id", "1"];

/** A node whose mount is served; disposing it ends the server. */
export class ServedNode implements AsyncDisposable {
  readonly #node: PrivateNode;
  readonly #process: string;

  private constructor(node: PrivateNode, pid: string) {
    this.#node = node;
    this.#process = node.path(`/proc/${pid}`);
  }

  /** Starts our server, or the C server's file under the same name. */
  static async start(
    side: TaskSide,
    scenario: MountScenario,
    cServer: string,
  ): Promise<ServedNode> {
    const node = await PrivateNode.start();
    try {
      const words = side === "c" ? [] : (scenario.options ?? []);
      if (side === "c") await node.sh(`rm /run/bin/pmxcfs; ln -s ${cServer} /run/bin/pmxcfs`);
      await node.sh(`pmxcfs -l ${words.join(" ")} && until readlink /etc/pve/local; do :; done`);
      await node.sh(`mkdir ${DIRECTORY}`);
      const served = new ServedNode(node, await node.sh("cat /run/pve-cluster.pid"));
      const { guests, prepare } = scenario;
      if (guests !== undefined) fillTree(node.path("/etc/pve"), NODE, guests);
      if (prepare !== undefined) await served.#askOnce(prepare);
      return served;
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Bytes of the answer to the scenario's request. */
  async answerBytes({ flags = GET_FS_VERSION }: MountScenario): Promise<number> {
    return (await this.#askOnce(flags)).answer_bytes;
  }

  async measure(scenario: MountScenario, { loadMs }: Effort): Promise<Measured> {
    const { operation, beside, flags = GET_FS_VERSION } = scenario;
    const besides = beside === undefined ? undefined : this.#node.run(mountLoad(beside, loadMs));
    const before = costsOf(this.#process);
    const measured =
      operation === "ipc"
        ? await this.#roundTrips(flags, loadMs)
        : await this.#operations(operation, loadMs);
    const { cpuNs } = costSince(this.#process, before);
    await besides;
    const { count, ...figures } = measured;
    // The operations of a second load use the CPU of the server as well.
    return beside === undefined ? { ...figures, cpuMsPer100k: cpuNs / count / 10 } : figures;
  }

  async #operations(operation: string, ms: number): Promise<Measured & { count: number }> {
    const { stdout, stderr } = await this.#node.run(mountLoad(operation, ms), ms + 30_000);
    if (stdout === "") throw new Error(`${operation}: ${stderr}`);
    const { operations, perSecond, p50, p99 } = JSON.parse(stdout) as MountLoad;
    return { perSecond, p50: p50 * 1000, p99: p99 * 1000, count: operations };
  }

  async #roundTrips(flags: readonly string[], ms: number): Promise<Measured & { count: number }> {
    const load = await this.#ask(flags, ["--ms", String(ms)], ms);
    return { ...roundTripsOf(flags.join(" "), load), count: load.requests };
  }

  async #askOnce(flags: readonly string[]): Promise<LoadResult> {
    const load = await this.#ask(flags, ["--requests", "1"]);
    roundTripsOf(flags.join(" "), load);
    return load;
  }

  /** Runs qb-load in the node. */
  async #ask(flags: readonly string[], amount: readonly string[], ms = 0): Promise<LoadResult> {
    const words = [native("qb-load"), "pve2", ...flags, ...amount];
    const { stdout, stderr } = await this.#node.run(words, ms + 30_000);
    if (stdout === "") throw new Error(`${words.join(" ")}: ${stderr}`);
    return JSON.parse(stdout) as LoadResult;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#node[Symbol.asyncDispose]();
  }
}

function mountLoad(operation: string, ms: number): string[] {
  return [native("mount-load"), DIRECTORY, String(ms), operation];
}
