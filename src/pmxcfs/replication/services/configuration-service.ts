/**
 * The cluster's name, version and nodes, as a running corosync has them: read at the start and
 * again at each change. C counterpart: confdb.c.
 */
import type { Log } from "../../../base/log.ts";
import { Cmap } from "../../../corosync/cmap.ts";
import type { CmapValue } from "../../../corosync/cmap-value.ts";
import { CsError, CsFailure } from "../../../corosync/cs-error.ts";
import { CmapTrack } from "../../../corosync/layouts.ts";
import type { ClusterFacts } from "../../state/members.ts";
import type { ClusterService } from "./service.ts";

const NODES = "nodelist.node.";
const CONFIG_VERSION = "totem.config_version";
const CLUSTER_NAME = "totem.cluster_name";
/** Nodes of a cluster that are shown; knet has 511. */
const NODES_MAX = 1024;

export interface ConfigurationServiceOptions {
  readonly log: Log;
  /** Called after each complete read. */
  readonly read: (facts: ClusterFacts) => void;
}

export class ConfigurationService implements ClusterService {
  readonly name = "confdb";
  readonly call = "cmap_initialize";
  readonly #log: Log;
  readonly #read: (facts: ClusterFacts) => void;
  #cmap: Cmap | undefined;
  /** Changes that came and were not followed by a read yet. */
  #changes = 0;
  #reading = false;

  constructor({ log, read }: ConfigurationServiceOptions) {
    this.#log = log.tagged("status");
    this.#read = read;
  }

  get isUp(): boolean {
    return this.#cmap !== undefined;
  }

  async start(): Promise<CsFailure | undefined> {
    const cmap = await Cmap.connect({
      changed: () => this.#changed(),
      ended: () => (this.#cmap = undefined),
    });
    if (cmap instanceof CsFailure) return cmap;
    const all = CmapTrack.ADD | CmapTrack.MODIFY | CmapTrack.DELETE;
    const tracked = [
      await cmap.track(NODES, all | CmapTrack.PREFIX),
      await cmap.track(CONFIG_VERSION, all),
    ];
    const failed = tracked.find((error) => error !== CsError.OK);
    const facts = failed ?? (await factsOf(cmap));
    if (typeof facts === "number") {
      cmap.close();
      return new CsFailure(facts, "the nodes cannot be read from cmap");
    }
    this.#cmap = cmap;
    this.#take(facts);
    return undefined;
  }

  tick(): void {}

  async stop(): Promise<void> {
    await Promise.resolve();
    this.#cmap?.close();
    this.#cmap = undefined;
  }

  /** Each change is followed by a read, as in C, whose counters it moves. */
  #changed(): void {
    this.#changes++;
    if (!this.#reading) void this.#readAgain();
  }

  async #readAgain(): Promise<void> {
    this.#reading = true;
    for (; this.#changes > 0 && this.#cmap !== undefined; this.#changes--) {
      const facts = await factsOf(this.#cmap);
      if (typeof facts === "number") this.#log.error(`cmap cannot be read (${facts})`);
      else this.#take(facts);
    }
    this.#changes = 0;
    this.#reading = false;
  }

  #take(facts: ClusterFacts): void {
    const { clusterName, configVersion, nodes } = facts;
    this.#log.info(
      `update cluster info (cluster name  ${clusterName}, version = ${configVersion})`,
    );
    if (nodes.length === 0) this.#log.warn("corosync's nodelist names no node");
    this.#read(facts);
  }
}

function integerOf(value: CmapValue | undefined): number | undefined {
  return value?.kind === "integer" ? Number(value.value) : undefined;
}

function textOf(value: CmapValue | undefined): string | undefined {
  return value?.kind === "string" && value.value !== "" ? latin1(value.value) : undefined;
}

/** Texts of the tree and of the wire are one character per byte. */
function latin1(text: string): string {
  return Buffer.from(text).toString("latin1");
}

/** Reads all; an error of cmap. Nodes in the order of their keys' bytes, as C shows them. */
async function factsOf(cmap: Cmap): Promise<ClusterFacts | CsError> {
  const name = await cmap.get(CLUSTER_NAME);
  if (typeof name === "number") return name;
  const version = await cmap.get(CONFIG_VERSION);
  if (typeof version === "number" && version !== CsError.NOT_EXIST) return version;
  const keys = await cmap.keys(NODES);
  if (typeof keys === "number") return keys;
  const nodes = new Map<string, Map<string, CmapValue>>();
  for (const key of keys) {
    const [number = "", field = ""] = key.slice(NODES.length).split(".");
    const value = await cmap.get(key);
    // It went while this walk was under way: a change will follow.
    if (typeof value === "number") continue;
    const node = nodes.get(number) ?? new Map<string, CmapValue>();
    node.set(field, value);
    nodes.set(number, node);
  }
  return {
    clusterName: textOf(name) ?? "",
    configVersion: typeof version === "number" ? 0 : (integerOf(version) ?? 0),
    nodes: [...nodes.values()].slice(0, NODES_MAX).flatMap((fields) => {
      const id = integerOf(fields.get("nodeid"));
      const nodeName = textOf(fields.get("name")) ?? textOf(fields.get("ring0_addr"));
      if (id === undefined || nodeName === undefined) return [];
      return [{ id, name: nodeName, votes: integerOf(fields.get("quorum_votes")) ?? 1 }];
    }),
  };
}
