/** The process with the load of one node (servers/worker.ts), and the commands for it. */
import type { ClusterNode } from "../../corosync/support/cluster.ts";
import { JsonProcess } from "../../corosync/support/json-process.ts";

type Operation =
  | "enter"
  | "go"
  | "rest"
  | "check"
  | "unlock"
  | "report"
  | "mark"
  | "state"
  | "log"
  | "metrics";

export interface WorkerCommand {
  readonly op: Operation;
  /** The number of the round, or the address of the metrics. */
  readonly word: string;
}

/** A change waits up to 30 s for the cluster, and a load ends with its change. */
const COMMAND_MS = 90_000;

export class Worker extends JsonProcess<WorkerCommand> {
  constructor(node: ClusterNode, names: readonly string[]) {
    super(node, "../../soak/nodes/servers/worker", node.name, ...names);
  }

  /** Performs one operation; servers/worker.ts defines the type of its result. */
  async ask<T = null>(op: Operation, word = ""): Promise<T> {
    return (await this.do({ op, word }, COMMAND_MS)) as T;
  }
}
