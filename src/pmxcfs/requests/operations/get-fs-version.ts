/** GET_FS_VERSION: what changed since the caller last asked. C: cfs_create_version_msg. */
import { CfsIpc } from "../layouts.ts";
import type { Operation } from "../operation.ts";

export const getFsVersion: Operation = {
  id: CfsIpc.GET_FS_VERSION,
  name: "GET_FS_VERSION",
  access: "read",
  minBytes: 0,
  maxBytes: 0,
  run: ({ fsVersion }) => fsVersion.text(),
};
