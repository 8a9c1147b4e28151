/**
 * What a service is made of, as its author sees it: who calls, what is asked, what is answered.
 * The transport knows nothing of what requests mean; a Handler knows nothing of rings.
 */
import type { Errno } from "../base/errno.ts";
import type { Credentials } from "../platform/socket.ts";
import type { Span } from "../wire/struct.ts";

export type { Credentials } from "../platform/socket.ts";

/** What an accepted caller may do; the handler's word, handed back to it with each request. */
export type Permissions = "read-write" | "read-only";

/** The process at the other end: ids as the kernel gave them when it connected (SO_PEERCRED). */
export interface Caller extends Credentials {
  readonly permissions: Permissions;
}

/** What a handler may do with the connection a request came on. */
export interface Peer {
  readonly caller: Caller;
  /** Numbers connections of this service, from 1; never used twice. */
  readonly number: number;
  /**
   * Sends an event: `body` after a response header with `id` and error 0. EAGAIN: the event ring
   * is full; EMSGSIZE: never fits; ENOTCONN: the connection has ended.
   */
  sendEvent(id: number, body: Uint8Array): 0 | Errno;
  /**
   * Asks the client to hold its requests: 1 makes every send fail with EAGAIN, 2 only those of
   * clients that asked for it (qb_ipcc_fc_enable_max_set), 0 lifts it. PVE's clients do not retry.
   */
  holdRequests(level: 0 | 1 | 2): void;
  /** Ends the connection when the current request is done; `reason` goes to the log. */
  disconnect(reason: string): void;
}

/**
 * One request. `span` is the body as far as its header claims (all of it, when it claims more than
 * there is; nothing, when it claims less than a header), private memory that no client can change;
 * it is good until `handle` returns or, when that returns a promise, until its answer is sent. The
 * 4 bytes after the span are readable: what the client sent beyond the claimed size, then zeros.
 */
export interface Request {
  readonly id: number;
  readonly span: Span;
  readonly caller: Caller;
  readonly peer: Peer;
}

/** A body (it may be empty), answered with error 0; or an errno, answered without a body. */
export type Reply = Uint8Array | Errno;

/** A reply that says "done" and no more. */
export const EMPTY_REPLY: Uint8Array = new Uint8Array(0);

/** What a service does. One connection's requests come in order, and are answered in order. */
export interface Handler {
  /** Once per connection, before any request: what it may do, or the errno it is refused with. */
  authenticate(peer: Credentials): Permissions | Errno;
  /**
   * Answers one request. A promise is awaited without holding up others; of one connection at
   * most 8 are under way (IpcLimits.queuedRequests). A reply may lie in its request's memory;
   * it is copied once, into the ring. Throwing, or rejecting, ends the connection.
   */
  handle(request: Request): Reply | Promise<Reply>;
  /** Why `peer` was refused, for the log; `command` is what it calls itself. */
  refusal?(peer: Credentials, command: string): string;
  /** The errno for a request whose header lies about its size; EINVAL unless given. */
  malformed?(request: Request): Errno;
  /** A connection has been made, or has ended. */
  connected?(peer: Peer): void;
  disconnected?(peer: Peer): void;
}
