/** GET_STATUS: one status key of one node. C: cfs_create_status_msg. */
import { Errno } from "../../../base/errno.ts";
import { CfsIpc, GetStatusRequest } from "../layouts.ts";
import type { Operation } from "../operation.ts";

const { name, nodeName } = GetStatusRequest.read;

/** Bytes after the two names are ignored, as in C. */
export const getStatus: Operation = {
  id: CfsIpc.GET_STATUS,
  name: "GET_STATUS",
  access: "read",
  minBytes: GetStatusRequest.size,
  maxBytes: Infinity,
  run: ({ status }, body) => status.get(nodeName(body), name(body)) ?? Errno.ENOENT,
};
