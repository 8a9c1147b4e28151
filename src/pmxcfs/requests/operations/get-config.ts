/** GET_CONFIG: the bytes of one file of the tree. C: server.c, memdb_read. */
import { Errno } from "../../../base/errno.ts";
import { CfsIpc } from "../layouts.ts";
import { tail } from "../../../wire/text.ts";
import { pathIsPrivate } from "../access.ts";
import type { Operation } from "../operation.ts";

/** Whether a private file exists is no business of a read-only caller either: EPERM comes first. */
export const getConfig: Operation = {
  id: CfsIpc.GET_CONFIG,
  name: "GET_CONFIG",
  access: "read",
  minBytes: 1,
  maxBytes: Infinity,
  run({ memdb }, body, caller) {
    const path = tail(body, 0);
    if (caller.permissions === "read-only" && pathIsPrivate(path)) return Errno.EPERM;
    return memdb.read(path) ?? Errno.ENOENT;
  },
};
