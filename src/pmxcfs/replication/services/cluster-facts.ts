/** The cluster's name, version and nodes, read from cmap. C counterpart: confdb.c. */
import type { Cmap } from "../../../corosync/cmap.ts";
import type { CmapValue } from "../../../corosync/cmap-value.ts";
import { CsError } from "../../../corosync/cs-error.ts";
import type { ClusterFacts } from "../../state/members.ts";

/** Prefix of the keys of nodes. */
export const NODES = "nodelist.node.";
export const CONFIG_VERSION = "totem.config_version";
const CLUSTER_NAME = "totem.cluster_name";
/** Nodes beyond this number are ignored; knet allows 511. */
const NODES_MAX = 1024;

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

/**
 * Reads all of them, or returns cmap's error: a node of which only a part can be read would be
 * missing, or have another name. Nodes are in the byte order of the keys, as in C.
 */
export async function factsOf(cmap: Cmap): Promise<ClusterFacts | CsError> {
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
    // The key was deleted during this walk: a change notification follows.
    if (value === CsError.NOT_EXIST) continue;
    if (typeof value === "number") return value;
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
