/** GET_CLUSTER_LOG: the newest entries of all users or of one. C: cfs_cluster_log_dump. */
import { CfsIpc, GetClusterLogRequest } from "../layouts.ts";
import { tail } from "../../../wire/text.ts";
import type { Operation } from "../operation.ts";

const { maxEntries } = GetClusterLogRequest.read;

export const getClusterLog: Operation = {
  id: CfsIpc.GET_CLUSTER_LOG,
  name: "GET_CLUSTER_LOG",
  access: "read",
  minBytes: GetClusterLogRequest.size + 1,
  maxBytes: Infinity,
  run: ({ clusterLog }, body) =>
    clusterLog.dump(tail(body, GetClusterLogRequest.size), maxEntries(body)),
};
