/**
 * The nodes of the cluster, for GET_CLUSTER_INFO: this node alone; or the nodes of a corosync.conf,
 * of which this one (and those in `online`) count as online; or the state of a running corosync
 * (`update`, `setOnline`, `setQuorate`). C counterpart: status.c, cfs_clinfo.
 */
import { isIP } from "node:net";
import type { CorosyncConfig } from "./corosync-conf.ts";
import { quoteJson } from "./json-text.ts";
import type { Versions } from "./versions.ts";

export interface MembersOptions {
  readonly nodeName: string;
  readonly versions: Versions;
  /** Without it this node is not in a cluster. */
  readonly corosync?: CorosyncConfig;
  /** Nodes that count as online besides this one; for tests. */
  readonly online?: readonly string[];
}

/** The cluster's configuration in corosync's cmap. */
export interface ClusterFacts {
  readonly clusterName: string;
  /** totem.config_version. */
  readonly configVersion: number;
  /** In the order of the answer. */
  readonly nodes: readonly { readonly id: number; readonly name: string; readonly votes: number }[];
}

interface Member {
  readonly id: number;
  readonly votes: number;
  online: boolean;
}

export class Members {
  readonly nodeName: string;
  readonly #versions: Versions;
  #cluster: { readonly name: string; readonly version: number } | undefined;
  readonly #members = new Map<string, Member>();
  readonly #names = new Map<number, string>();
  #ownAddress: string | undefined;
  /** The addresses of other nodes, by id. */
  readonly #addresses = new Map<number, string>();
  /** Kept by id, because cmap may make the nodes known only after `setOnline`. */
  #online: ReadonlySet<number> = new Set();
  #quorate: boolean;
  #text: Uint8Array | undefined;

  constructor(options: MembersOptions) {
    const { nodeName, versions, corosync, online = [] } = options;
    this.nodeName = nodeName;
    this.#versions = versions;
    if (corosync !== undefined) this.#take(corosync);
    const up = new Set([nodeName, ...online]);
    for (const [name, member] of this.#members) member.online = up.has(name);
    const here = [...this.#members.values()].filter(({ online: isOnline }) => isOnline);
    this.#online = new Set(here.map(({ id }) => id));
    for (const { name, id, address } of corosync?.nodes ?? []) {
      // Old files have a host name here. The C server shows the address that each node has
      // resolved.
      if (address === undefined || isIP(address) === 0) continue;
      if (name === nodeName) this.#ownAddress = address;
      else this.#addresses.set(id, address);
    }
    this.#quorate = corosync === undefined || isQuorate(corosync, this.#members);
  }

  /** True for this node and for every node of the cluster. */
  has(node: string): boolean {
    return node === this.nodeName || this.#members.has(node);
  }

  /** Another node's id; undefined for this node and for unknown ones. */
  idOf(node: string): number | undefined {
    return node === this.nodeName ? undefined : this.#members.get(node)?.id;
  }

  /** A node's name, also this node's; undefined when the cluster has no such id. */
  nameOf(id: number): string | undefined {
    return this.#names.get(id);
  }

  /**
   * As `setQuorate` set it. Before: true outside a cluster, else as the votes of corosync.conf say.
   */
  get quorate(): boolean {
    return this.#quorate;
  }

  /** Sets the address (latin1) from SET_STATUS "nodeip", of this node or of the node `id`. */
  setNodeIp(ip: string, id?: number): void {
    const other = id === undefined || this.nameOf(id) === this.nodeName ? undefined : id;
    const known = other === undefined ? this.#ownAddress : this.#addresses.get(other);
    if (known === ip) return;
    if (other === undefined) this.#ownAddress = ip;
    else this.#addresses.set(other, ip);
    this.#changed();
  }

  /**
   * Takes the cluster from cmap. Online flags and addresses stay with their node ids; call
   * Status.membersChanged afterwards. Increments clinfo even if nothing changed, as in C.
   */
  update(facts: ClusterFacts): void {
    this.#take(facts);
    for (const id of this.#addresses.keys()) if (!this.#names.has(id)) this.#addresses.delete(id);
    this.#changed();
  }

  /** Sets the ids of the nodes whose servers are in the status group. Increments clinfo. */
  setOnline(ids: ReadonlySet<number>): void {
    this.#online = ids;
    for (const member of this.#members.values()) member.online = ids.has(member.id);
    this.#changed();
  }

  /** Sets the state from the quorum service. Increments no counter. */
  setQuorate(quorate: boolean): void {
    this.#quorate = quorate;
    this.#text = undefined;
  }

  /** The text of GET_CLUSTER_INFO. */
  clusterInfo(): Uint8Array {
    if (this.#text !== undefined) return this.#text;
    const version = this.#versions.clinfo;
    const head = `{\n"nodename": ${quoteJson(this.nodeName)},\n"version": ${version}`;
    this.#text = Buffer.from(`${head}${this.#clusterText()}\n}\n`, "latin1");
    return this.#text;
  }

  #take({ clusterName, configVersion, nodes }: ClusterFacts): void {
    const online = this.#online;
    this.#cluster = { name: clusterName, version: configVersion };
    this.#members.clear();
    this.#names.clear();
    for (const { id, name, votes } of nodes) {
      this.#members.set(name, { id, votes, online: online.has(id) });
      this.#names.set(id, name);
    }
  }

  #changed(): void {
    this.#text = undefined;
    this.#versions.bumpClinfo();
  }

  /** C prints ids and the configuration's version, which are u32, as signed (`%d`). */
  #clusterText(): string {
    if (this.#cluster === undefined || this.#members.size === 0) return "";
    const { name, version } = this.#cluster;
    const counts = `"nodes": ${this.#members.size}, "quorate": ${this.#quorate ? 1 : 0}`;
    const nodes = [...this.#members].map(([node, { id, online }]) => {
      const address = node === this.nodeName ? this.#ownAddress : this.#addresses.get(id);
      const ip = address === undefined ? "" : `, "ip": ${quoteJson(address)}`;
      return `  ${quoteJson(node)}: { "id": ${id | 0}, "online": ${online ? 1 : 0}${ip}}`;
    });
    const cluster = `"name": ${quoteJson(name)}, "version": ${version | 0}, ${counts}`;
    return `,\n"cluster": { ${cluster} },\n"nodelist": {\n${nodes.join(",\n")}\n  }`;
  }
}

/** More than half of the expected votes are online; with two_node, one node (votequorum(5)). */
function isQuorate(corosync: CorosyncConfig, members: ReadonlyMap<string, Member>): boolean {
  let all = 0;
  let up = 0;
  for (const { votes, online } of members.values()) {
    all += votes;
    if (online) up += votes;
  }
  const expected = corosync.expectedVotes ?? all;
  return corosync.twoNode ? up > 0 : up * 2 > expected;
}
