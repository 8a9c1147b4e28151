/**
 * Rows of the mount: each side's server runs in its own private node. One process works on files of
 * its /etc/pve, or makes IPC round trips; another may write files at the same time.
 */
import { native } from "../test/support/native.ts";
import { PrivateNode } from "../test/support/private-node.ts";
import type { LoadResult } from "../test/support/qb-load.ts";
import type { Effort } from "./measure.ts";
import { costSince, costsOf } from "./process.ts";
import type { Measured, MountScenario } from "./scenario.ts";
import type { Side } from "./target.ts";

/** The output of mount-load; times in us. */
interface MountLoad {
  readonly operations: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

/** The directory on the mount that the load works in. */
const DIRECTORY = "/etc/pve/bench";

/** A node whose mount is served; disposing it ends the server. */
export class ServedNode implements AsyncDisposable {
  readonly #node: PrivateNode;
  readonly #process: string;

  private constructor(node: PrivateNode, pid: string) {
    this.#node = node;
    this.#process = node.path(`/proc/${pid}`);
  }

  /** Starts our server, or the C server's file under the same name. */
  static async start(side: Side, scenario: MountScenario, cServer: string): Promise<ServedNode> {
    const node = await PrivateNode.start();
    try {
      const words = side === "c" ? [] : (scenario.options ?? []);
      if (side === "c") await node.sh(`rm /run/bin/pmxcfs; ln -s ${cServer} /run/bin/pmxcfs`);
      await node.sh(`pmxcfs -l ${words.join(" ")} && until readlink /etc/pve/local; do :; done`);
      await node.sh(`mkdir ${DIRECTORY}`);
      return new ServedNode(node, await node.sh("cat /run/pve-cluster.pid"));
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
  }

  async measure({ operation, beside }: MountScenario, { loadMs }: Effort): Promise<Measured> {
    const besides = beside === undefined ? undefined : this.#node.run(mountLoad(beside, loadMs));
    const before = costsOf(this.#process);
    const measured =
      operation === "ipc"
        ? await this.#roundTrips(loadMs)
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

  async #roundTrips(ms: number): Promise<Measured & { count: number }> {
    const load = [native("qb-load"), "pve2", "--ms", String(ms), "--id", "1"];
    const { stdout, stderr } = await this.#node.run(load, ms + 30_000);
    if (stdout === "") throw new Error(`round trips: ${stderr}`);
    const { requests, per_second: perSecond, ...times } = JSON.parse(stdout) as LoadResult;
    const { p50_ns: p50, p99_ns: p99, p999_ns: p999, max_ns: max } = times;
    return { perSecond, p50, p99, p999, max, count: requests };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#node[Symbol.asyncDispose]();
  }
}

function mountLoad(operation: string, ms: number): string[] {
  return [native("mount-load"), DIRECTORY, String(ms), operation];
}
