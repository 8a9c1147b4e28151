/** SET_STATUS: one status key of this node, its address, or an RRD value. C: cfs_status_set. */
import { CfsIpc, SetStatusRequest } from "../layouts.ts";
import { rest } from "../../../wire/text.ts";
import { DONE, type Operation } from "../operation.ts";

const { name } = SetStatusRequest.read;

export const setStatus: Operation = {
  id: CfsIpc.SET_STATUS,
  name: "SET_STATUS",
  access: "write",
  minBytes: SetStatusRequest.size,
  maxBytes: Infinity,
  run({ status }, body) {
    const outcome = status.set(name(body), rest(body, SetStatusRequest.size));
    return outcome === 0 ? DONE : outcome;
  },
};
