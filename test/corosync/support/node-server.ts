/** The replicated part of a node, without mount and IPC: the tests' side of servers/node.ts. */
import type { ClusterStatus } from "../../../src/pmxcfs/replication/services/cluster.ts";
import { eventually } from "../../support/eventually.ts";
import type { ClusterNode } from "./cluster.ts";
import { JsonProcess } from "./json-process.ts";

interface At {
  readonly path: string;
}

interface Operations {
  readonly write: At & { readonly text: string };
  readonly create: At;
  readonly mkdir: At;
  readonly remove: At;
  readonly truncate: At & { readonly size: number };
  readonly rename: At & { readonly to: string };
  readonly utime: At & { readonly mtime: number };
  readonly read: At;
  /** `count` creates at once; results with their times in ms. */
  readonly burst: At & { readonly count: number };
  /** Writes to one file repeatedly for a time. */
  readonly stream: At & { readonly forMs: number };
  /**
   * Sets keys at a rate for a time, each at least once (beside other work a pause of 5 ms can take
   * ten times as long); returns the times of the calls and the growth of memory.
   */
  readonly keys: { readonly perSecond: number; readonly forMs: number; readonly keys: number };
  /** A create that is interrupted after a time. */
  readonly interrupted: At & { readonly afterMs: number };
  readonly set: { readonly name: string; readonly text: string };
  readonly get: { readonly node: string; readonly name: string };
  /** Sets the wall clock of this process only. */
  readonly shift: { readonly ms: number };
  readonly log: { readonly text: string };
  readonly entries: object;
  readonly members: object;
  readonly view: object;
  readonly state: object;
  readonly verify: object;
  readonly counters: object;
}

export type NodeCommandOf<K extends keyof Operations> = { readonly op: K } & Operations[K];
export type NodeCommand = { [K in keyof Operations]: NodeCommandOf<K> }[keyof Operations];

/** The state that must be equal on all nodes. */
export interface NodeState {
  readonly version: number;
  readonly checksum: string;
}

/** The result of `stream` and `keys`: times in ms. */
export interface Measured {
  readonly count: number;
  /** Negative results. */
  readonly failed: number;
  readonly p99: number;
  /** Growth of the process, in bytes. */
  readonly grown: number;
}

export class NodeServer extends JsonProcess<NodeCommand> {
  constructor(node: ClusterNode, ...words: readonly string[]) {
    super(node, "node", ...words);
  }

  async view(): Promise<ClusterStatus> {
    return (await this.do({ op: "view" })) as ClusterStatus;
  }

  async measure(command: NodeCommandOf<"stream"> | NodeCommandOf<"keys">): Promise<Measured> {
    return (await this.do(command, command.forMs + 60_000)) as Measured;
  }

  async state(): Promise<NodeState> {
    return (await this.do({ op: "state" })) as NodeState;
  }

  /** Waits until both groups are synced with these members, and the node is quorate. */
  async inStep(ids: readonly number[], timeoutMs = 30_000): Promise<void> {
    const wanted = `synced ${ids.join(",")}`;
    let seen = "";
    const isInStep = async (): Promise<boolean> => {
      const { quorate, groups } = await this.view();
      const parts = [groups.dcdb, groups.status].map(
        (group) => `${group?.mode} ${group?.members.map(({ nodeid }) => nodeid).join(",")}`,
      );
      seen = `quorate ${quorate}, ${parts.join(", ")}`;
      return quorate && parts.every((part) => part === wanted);
    };
    try {
      await eventually(`both groups ${wanted}`, isInStep, timeoutMs);
    } catch (error) {
      throw new Error(`${String(error)}; seen: ${seen}\n${this.log}`, { cause: error });
    }
  }
}

/** Waits until all nodes have the same tree. */
export async function sameTree(servers: readonly NodeServer[]): Promise<NodeState> {
  return await eventually("one tree everywhere", async () => {
    const states = await Promise.all(servers.map((server) => server.state()));
    const [first] = states;
    return states.every(({ checksum }) => checksum === first?.checksum) ? first : undefined;
  });
}
