/** GET_CLUSTER_INFO: the node's name and the cluster's members. C: cfs_create_memberlist_msg. */
import { escapeText } from "../../../base/escape.ts";
import { jsonAnswer, table } from "../answer.ts";
import { EMPTY } from "../encoding.ts";
import { defineRequest } from "../request.ts";

export interface ClusterNode {
  /** As C prints it: ids from 2^31 on are negative. */
  readonly id: number;
  readonly online: number;
  readonly ip?: string;
}

/** `cluster` and `nodelist` are missing on a node that is not in a cluster. */
export interface ClusterInfo {
  readonly nodename: string;
  readonly version: number;
  readonly cluster?: {
    readonly name: string;
    readonly version: number;
    readonly nodes: number;
    readonly quorate: number;
  };
  readonly nodelist?: Readonly<Record<string, ClusterNode>>;
}

function infoText({ nodename, version, cluster, nodelist = {} }: ClusterInfo): string {
  const head = `node ${escapeText(nodename)}, version ${version}`;
  if (cluster === undefined) return `${head}, not in a cluster\n`;
  const quorate = cluster.quorate === 1 ? "quorate" : "not quorate";
  const nodes = Object.entries(nodelist).map(([node, { id, online, ip = "-" }]) => [
    `  ${node}`,
    `id ${id}`,
    online === 1 ? "online" : "offline",
    ip,
  ]);
  const name = escapeText(cluster.name);
  return `${head}\ncluster ${name}, ${cluster.nodes} nodes, ${quorate}\n${table(nodes)}`;
}

export const getClusterInfo = defineRequest({
  id: 2,
  name: "GET_CLUSTER_INFO",
  summary: "Print nodes, quorum and addresses",
  example: ["", "nodes, and which are online"],
  access: "read",
  minBytes: 0,
  maxBytes: 0,
  checks: ["any body: EINVAL"],
  result: "JSON: nodename, version; in a cluster also cluster and nodelist",
  parameters: {},
  encode: () => EMPTY,
  describe: () => ({}),
  answer: jsonAnswer<ClusterInfo>(
    "cluster information",
    (value) => value as unknown as ClusterInfo,
    infoText,
  ),
  errors: {},
  probe: { arguments: {}, reply: "json" },
  run: ({ members }) => members.clusterInfo(),
});
