/**
 * Who is in the cluster, for GET_CLUSTER_INFO: this node alone, or the nodes of a corosync.conf
 * with this one (and those named online) online. C counterpart: status.c, cfs_clinfo.
 */
import { isIP } from "node:net";
import type { CorosyncConfig } from "./corosync-conf.ts";
import { quoteJson } from "./json-text.ts";
import type { Versions } from "./versions.ts";

export interface MembersOptions {
  readonly nodeName: string;
  readonly versions: Versions;
  /** Without it the node is alone. */
  readonly corosync?: CorosyncConfig;
  /** Nodes that count as online besides this one; for test rigs. */
  readonly online?: readonly string[];
}

interface Member {
  readonly id: number;
  readonly votes: number;
  readonly online: boolean;
}

export class Members {
  readonly nodeName: string;
  readonly #versions: Versions;
  readonly #cluster: { readonly name: string; readonly version: number } | undefined;
  readonly #members = new Map<string, Member>();
  readonly #addresses = new Map<string, string>();
  readonly #quorate: boolean;
  #text: Uint8Array | undefined;
  #textAt = -1;

  constructor(options: MembersOptions) {
    const { nodeName, versions, corosync, online = [] } = options;
    this.nodeName = nodeName;
    this.#versions = versions;
    this.#cluster = corosync && { name: corosync.clusterName, version: corosync.configVersion };
    const up = new Set([nodeName, ...online]);
    for (const { name, id, votes, address } of corosync?.nodes ?? []) {
      this.#members.set(name, { id, votes, online: up.has(name) });
      // A host name stands here in old files; the C server shows what a node resolved itself to.
      if (address !== undefined && isIP(address) !== 0) this.#addresses.set(name, address);
    }
    this.#quorate = corosync !== undefined && isQuorate(corosync, this.#members);
  }

  /** True for this node and for every node of the cluster. */
  has(node: string): boolean {
    return node === this.nodeName || this.#members.has(node);
  }

  /** True alone, and in a cluster with a majority of votes. */
  get quorate(): boolean {
    return this.#cluster === undefined || this.#quorate;
  }

  /** This node's address (latin1), as SET_STATUS "nodeip" gives it. */
  setNodeIp(ip: string): void {
    if (this.#addresses.get(this.nodeName) === ip) return;
    this.#addresses.set(this.nodeName, ip);
    this.#versions.bumpClinfo();
  }

  /** The text of GET_CLUSTER_INFO. */
  clusterInfo(): Uint8Array {
    const version = this.#versions.clinfo;
    if (this.#text !== undefined && this.#textAt === version) return this.#text;
    const head = `{\n"nodename": ${quoteJson(this.nodeName)},\n"version": ${version}`;
    this.#text = Buffer.from(`${head}${this.#clusterText()}\n}\n`, "latin1");
    this.#textAt = version;
    return this.#text;
  }

  #clusterText(): string {
    if (this.#cluster === undefined || this.#members.size === 0) return "";
    const { name, version } = this.#cluster;
    const counts = `"nodes": ${this.#members.size}, "quorate": ${this.#quorate ? 1 : 0}`;
    const nodes = [...this.#members].map(([node, { id, online }]) => {
      const address = this.#addresses.get(node);
      const ip = address === undefined ? "" : `, "ip": ${quoteJson(address)}`;
      return `  ${quoteJson(node)}: { "id": ${id}, "online": ${online ? 1 : 0}${ip}}`;
    });
    const cluster = `"name": ${quoteJson(name)}, "version": ${version}, ${counts}`;
    return `,\n"cluster": { ${cluster} },\n"nodelist": {\n${nodes.join(",\n")}\n  }`;
  }
}

/** More than half of the votes; with two_node one of two is enough (votequorum(5)). */
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
