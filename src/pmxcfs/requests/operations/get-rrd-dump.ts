/** GET_RRD_DUMP: the latest statistics of all nodes, guests and storages. C: cfs_rrd_dump. */
import { CfsIpc } from "../layouts.ts";
import type { Operation } from "../operation.ts";

export const getRrdDump: Operation = {
  id: CfsIpc.GET_RRD_DUMP,
  name: "GET_RRD_DUMP",
  access: "read",
  minBytes: 0,
  maxBytes: 0,
  run: ({ rrd }) => rrd.dump(),
};
