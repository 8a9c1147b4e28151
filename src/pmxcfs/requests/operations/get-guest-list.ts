/** GET_GUEST_LIST: all guests with node, type and version. C: cfs_create_vmlist_msg. */
import { CfsIpc } from "../layouts.ts";
import type { Operation } from "../operation.ts";

export const getGuestList: Operation = {
  id: CfsIpc.GET_GUEST_LIST,
  name: "GET_GUEST_LIST",
  access: "read",
  minBytes: 0,
  maxBytes: 0,
  run: ({ guests }) => guests.list(),
};
