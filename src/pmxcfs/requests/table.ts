/**
 * The table of the twelve requests, in the order of their ids. To add one: a file in rows/, a row
 * here, and a recorded answer. Ids 0, 9 and those above 13 are unused and answered with ECHRNG.
 */
import { getClusterInfo } from "./rows/get-cluster-info.ts";
import { getClusterLog } from "./rows/get-cluster-log.ts";
import { getConfig } from "./rows/get-config.ts";
import { getFsVersion } from "./rows/get-fs-version.ts";
import { getGuestConfigProperties, getGuestConfigProperty } from "./rows/guest-properties.ts";
import { getGuestList } from "./rows/get-guest-list.ts";
import { getRrdDump } from "./rows/get-rrd-dump.ts";
import { getStatus } from "./rows/get-status.ts";
import { logClusterMsg } from "./rows/log-cluster-msg.ts";
import { setStatus } from "./rows/set-status.ts";
import { verifyToken } from "./rows/verify-token.ts";
import type { CfsRequest } from "./request.ts";

const ROWS = [
  getFsVersion,
  getClusterInfo,
  getGuestList,
  setStatus,
  getStatus,
  getConfig,
  logClusterMsg,
  getClusterLog,
  getRrdDump,
  getGuestConfigProperty,
  verifyToken,
  getGuestConfigProperties,
] as const;

type AnyRow = (typeof ROWS)[number];

/**
 * A row without its argument and result types: the arguments come from the command line.
 */
export type AnyRequest = CfsRequest<Readonly<Record<string, unknown>>, unknown>;

/** In the order of their ids. */
export const REQUESTS = ROWS as readonly AnyRequest[];

/** Message ids by C name (cfs-ipc-ops.h). */
export const CfsIpc = Object.fromEntries(ROWS.map(({ name, id }) => [name, id])) as {
  readonly [Each in AnyRow as Each["name"]]: Each["id"];
};

export type CfsIpc = AnyRow["id"];
export type CfsName = AnyRow["name"];

/** Indexed by id, so that a lookup is one array access; undefined for ids without a request. */
const BY_ID: readonly (AnyRequest | undefined)[] = Array.from(
  { length: Math.max(...REQUESTS.map(({ id }) => id)) + 1 },
  (_, id) => REQUESTS.find((request) => request.id === id),
);

/** The request with a message id; undefined when there is none. */
export function requestOf(id: number): AnyRequest | undefined {
  return id >= 0 && id < BY_ID.length ? BY_ID[id] : undefined;
}
