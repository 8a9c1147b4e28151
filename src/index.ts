/**
 * The library: write a libqb server (and, with the client, its counterpart) in TypeScript on Bun.
 * The exports of this file are the public API.
 */
export { type Answer, CfsClient } from "./pmxcfs/client/cfs-client.ts";
export type { ClusterInfo, ClusterNode } from "./pmxcfs/requests/rows/get-cluster-info.ts";
export type { ClusterLogEntry } from "./pmxcfs/requests/rows/get-cluster-log.ts";
export type { FsVersions } from "./pmxcfs/requests/rows/get-fs-version.ts";
export type { GuestList } from "./pmxcfs/requests/rows/get-guest-list.ts";
export type { GuestProperties } from "./pmxcfs/requests/rows/guest-properties.ts";
export type { LogEntry } from "./pmxcfs/requests/rows/log-cluster-msg.ts";
export type { RrdDump } from "./pmxcfs/requests/rows/get-rrd-dump.ts";
export {
  QbFailure as ClientFailure,
  type QbFailureKind as ClientFailureKind,
} from "./client/failure.ts";
export type {
  QbMessageIn as ClientMessage,
  QbResponse as ClientResponse,
} from "./client/message.ts";
export { PveConnection, type PveConnectionOptions } from "./pmxcfs/client/pve-connection.ts";
export type { CallOptions, ConnectOptions, SendOptions } from "./client/options.ts";
export { QbClient as Client } from "./client/qb-client.ts";
export { Errno, errnoName, errnoText } from "./base/errno.ts";
export {
  type Caller,
  type Credentials,
  EMPTY_REPLY,
  type Handler,
  NO_REPLY,
  type Peer,
  type Permissions,
  type PlainReply,
  type Reply,
  type ReplyMessage,
  type Request,
  withError,
} from "./ipc/handler.ts";
export type { ListenFailure } from "./ipc/setup/listener.ts";
export { type ConnectionReport, Service as Server } from "./ipc/service.ts";
export type {
  ServiceOptions as ServerOptions,
  ServiceSettings as ServerSettings,
} from "./ipc/options.ts";
export type { Log } from "./base/log.ts";
export type {
  ConnectionStats,
  Refusal,
  ServiceStats as ServerStats,
} from "./ipc/connection/stats.ts";
export type { Span } from "./wire/struct.ts";
export { type CmapCallbacks, type CmapChange, Cmap } from "./corosync/cmap.ts";
export type { CmapValue } from "./corosync/cmap-value.ts";
export { type CpgCallbacks, CpgGroup, type CpgOptions } from "./corosync/cpg.ts";
export { type Confchg, type CpgChange, CpgReason } from "./corosync/cpg-events.ts";
export { CsError, csErrorName, CsFailure } from "./corosync/cs-error.ts";
export type { CpgMember } from "./corosync/fragments.ts";
export { CmapTrack, CPG_PIECE_BYTES } from "./corosync/layouts.ts";
export { Quorum, type QuorumCallbacks, type QuorumState } from "./corosync/quorum.ts";
export type { ServiceOptions as CorosyncOptions } from "./corosync/service.ts";
