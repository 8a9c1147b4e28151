/** GET_CLUSTER_INFO: the node's name and the cluster's members. C: cfs_create_memberlist_msg. */
import { CfsIpc } from "../layouts.ts";
import type { Operation } from "../operation.ts";

export const getClusterInfo: Operation = {
  id: CfsIpc.GET_CLUSTER_INFO,
  name: "GET_CLUSTER_INFO",
  access: "read",
  minBytes: 0,
  maxBytes: 0,
  run: ({ members }) => members.clusterInfo(),
};
