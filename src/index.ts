/**
 * The library: write a libqb server (and, with the client, its counterpart) in TypeScript on Bun.
 * What is exported here is the public surface; nothing else is.
 */
export { Errno, errnoName, errnoText } from "./errno.ts";
export {
  type Caller,
  type Credentials,
  EMPTY_REPLY,
  type Handler,
  type Peer,
  type Permissions,
  type Reply,
  type Request,
} from "./ipc/handler.ts";
export type { ListenFailure } from "./ipc/listener.ts";
export { type ConnectionReport, Service as Server } from "./ipc/service.ts";
export type { ServiceOptions as ServerOptions } from "./ipc/settings.ts";
export type { ConnectionStats, Refusal, ServiceStats as ServerStats } from "./ipc/stats.ts";
export type { Span } from "./wire/struct.ts";
