/** Uses corosync inside a node of a test cluster: the tests' side of servers/agent.ts. */
import type { ClusterNode } from "./cluster.ts";
import { JsonProcess } from "./json-process.ts";

interface Operations {
  /** Connects for a group; `slowMs`: how long the callback takes for each message. */
  readonly connect: { readonly group: string; readonly slowMs?: number };
  readonly join: { readonly group: string };
  readonly leave: { readonly group: string };
  readonly members: { readonly group: string };
  readonly finalize: { readonly group: string };
  readonly mcast: { readonly group: string; readonly text: string };
  readonly flood: { readonly group: string; readonly text: string; readonly count: number };
  readonly large: { readonly group: string; readonly text: string; readonly size: number };
  /** Sends without a pause until 100 notify bytes are owed; then stops itself if requested. */
  readonly owe: { readonly most: number; readonly stops?: boolean };
  readonly quorum: object;
  /** Connects to cmap: its configuration, or its statistics. */
  readonly cmap: { readonly statistics?: boolean };
  readonly values: { readonly prefix: string };
  readonly track: { readonly prefix: string; readonly what: number };
}

export type CommandOf<K extends keyof Operations> = { readonly op: K } & Operations[K];
export type Command = { [K in keyof Operations]: CommandOf<K> }[keyof Operations];

export class Agent extends JsonProcess<Command> {
  constructor(node: ClusterNode) {
    super(node, "agent");
  }
}
