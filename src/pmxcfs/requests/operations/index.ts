/**
 * The table of the twelve requests: which id is answered how. To add one: its id and layout in
 * wire/cfs.ts, a file here, a row below, its line in docs/operations.md, and a recorded answer.
 */
import type { Operation } from "../operation.ts";
import { getClusterInfo } from "./get-cluster-info.ts";
import { getClusterLog } from "./get-cluster-log.ts";
import { getConfig } from "./get-config.ts";
import { getFsVersion } from "./get-fs-version.ts";
import { getGuestConfigProperties } from "./get-guest-config-properties.ts";
import { getGuestConfigProperty } from "./get-guest-config-property.ts";
import { getGuestList } from "./get-guest-list.ts";
import { getRrdDump } from "./get-rrd-dump.ts";
import { getStatus } from "./get-status.ts";
import { logClusterMessage } from "./log-cluster-msg.ts";
import { setStatus } from "./set-status.ts";
import { verifyToken } from "./verify-token.ts";

/** In the order of their ids. */
export const OPERATIONS: readonly Operation[] = [
  getFsVersion,
  getClusterInfo,
  getGuestList,
  setStatus,
  getStatus,
  getConfig,
  logClusterMessage,
  getClusterLog,
  getRrdDump,
  getGuestConfigProperty,
  verifyToken,
  getGuestConfigProperties,
];

/** By id; ids nobody answers are holes. */
const BY_ID: readonly (Operation | undefined)[] = byId();

/** The operation for a message id, undefined for any number that is none. */
export function operationOf(id: number): Operation | undefined {
  return id >= 0 && id < BY_ID.length ? BY_ID[id] : undefined;
}

function byId(): (Operation | undefined)[] {
  const most = Math.max(...OPERATIONS.map((operation) => operation.id));
  const table: (Operation | undefined)[] = Array.from({ length: most + 1 });
  for (const operation of OPERATIONS) table[operation.id] = operation;
  return table;
}
