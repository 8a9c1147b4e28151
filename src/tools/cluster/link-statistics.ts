/**
 * Counters of corosync's ring and of its links to the other nodes, from cmap's statistics map
 * (stats.srp of totemsrp.c, stats.knet of totemknet.c). They count from the start of this node's
 * corosync. Links are listed only for the transport knet.
 */
import { Cmap } from "../../corosync/cmap.ts";
import { CsError, CsFailure } from "../../corosync/cs-error.ts";
import type { ServiceOptions } from "../../corosync/service.ts";

/** knet has links 0 to 7. */
const LINKS = 8;

const RING_KEYS = {
  /** Messages that this node sent; messages that it sent again for a node that missed them. */
  sent: ["mcast_tx"],
  resent: ["mcast_retx"],
  /** Whole messages received, this node's own included. */
  received: ["mcast_rx"],
  tokens: ["orf_token_rx"],
  /** Other protocol messages received from other nodes. */
  control: ["token_hold_cancel_rx", "memb_merge_detect_rx", "memb_join_rx", "memb_commit_token_rx"],
  /** The same messages that this node sent; those to all nodes come back to it. */
  controlSent: [
    "token_hold_cancel_tx",
    "memb_merge_detect_tx",
    "memb_join_tx",
    "memb_commit_token_tx",
  ],
  tokensLost: [
    "operational_token_lost",
    "gather_token_lost",
    "commit_token_lost",
    "recovery_token_lost",
  ],
} as const;

export type RingFigures = Readonly<Record<keyof typeof RING_KEYS, number>>;

/** This node's link to another one. */
export interface LinkFigures {
  readonly node: number;
  readonly link: number;
  /** True if its pings are answered; pings are small packets. */
  readonly connected: boolean;
  /** Bytes that a packet can carry, as measured by knet. */
  readonly mtu: number;
  readonly downCount: number;
  /** Packets that the kernel refused to send. */
  readonly sendErrors: number;
  /** Packets with data received. */
  readonly packets: number;
}

export interface Statistics {
  readonly atMs: number;
  readonly ring: RingFigures;
  readonly links: readonly LinkFigures[];
}

/** One connection to cmap for any number of readings of all counters. Owns the connection. */
export class LinkStatistics implements Disposable {
  readonly #cmap: Cmap;
  readonly #nodes: readonly number[];
  #silent = false;

  private constructor(cmap: Cmap, nodes: readonly number[]) {
    this.#cmap = cmap;
    this.#nodes = nodes;
  }

  /** Connects; `nodes`: ids of the other nodes. Undefined if corosync does not answer. */
  static async connect(
    nodes: readonly number[],
    options: ServiceOptions,
  ): Promise<LinkStatistics | undefined> {
    const cmap = await Cmap.statistics(options);
    return cmap instanceof CsFailure ? undefined : new LinkStatistics(cmap, nodes);
  }

  /** Reads all counters. Undefined if corosync does not answer. */
  async read(): Promise<Statistics | undefined> {
    const atMs = performance.now();
    const links: LinkFigures[] = [];
    // The ring is read last: a message that arrives meanwhile counts as whole, not as lost.
    for (const node of this.#nodes) {
      for (let link = 0; link < LINKS; link++) {
        const figures = await this.#link(node, link);
        if (figures !== undefined) links.push(figures);
      }
    }
    const ring = await this.#ring();
    return this.#silent ? undefined : { atMs, ring, links };
  }

  async #ring(): Promise<RingFigures> {
    const sums: [string, number][] = [];
    for (const [name, keys] of Object.entries(RING_KEYS)) {
      let sum = 0;
      for (const key of keys) sum += (await this.#counter(`srp.${key}`)) ?? 0;
      sums.push([name, sum]);
    }
    return Object.fromEntries(sums) as RingFigures;
  }

  async #link(node: number, link: number): Promise<LinkFigures | undefined> {
    const read = (name: string) => this.#counter(`knet.node${node}.link${link}.${name}`);
    const connected = await read("connected");
    if (connected === undefined || (await read("enabled")) !== 1) return undefined;
    return {
      node,
      link,
      connected: connected === 1,
      mtu: (await read("mtu")) ?? 0,
      downCount: (await read("down_count")) ?? 0,
      sendErrors: (await read("tx_total_errors")) ?? 0,
      packets: (await read("rx_data_packets")) ?? 0,
    };
  }

  /** A counter; undefined if corosync does not have it, or does not answer. */
  async #counter(key: string): Promise<number | undefined> {
    if (this.#silent) return undefined;
    const value = await this.#cmap.get(`stats.${key}`);
    if (typeof value !== "number")
      return value.kind === "integer" ? Number(value.value) : undefined;
    // After the first missed deadline no further key is read: there are some hundred.
    if (value !== CsError.NOT_EXIST) this.#silent = true;
    return undefined;
  }

  [Symbol.dispose](): void {
    this.#cmap.close();
  }
}
