/**
 * What a service is made of, as its author sees it: who calls, what is asked, what is answered.
 * The transport knows nothing of what requests mean; a Handler knows nothing of rings.
 */
import type { Errno } from "../base/errno.ts";
import type { Credentials } from "../platform/socket.ts";
import type { Span } from "../wire/struct.ts";

export type { Credentials } from "../platform/socket.ts";

/** What an accepted caller may do: `authenticate` decides it, and each request carries it. */
export type Permissions = "read-write" | "read-only";

/**
 * The process at the other end: the real ids of the sender of the set-up request, as libqb has
 * it.
 */
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
 * it is good until `handle` returns or, when that returns a promise, until its reply is sent. The
 * 4 bytes after the span are readable: what the client sent beyond the claimed size, then zeros.
 */
export interface Request {
  /**
   * Bun.nanoseconds() at which it was found, when it followed its connection's last reply within
   * `PollLimits.backToBackUs`: its sender has done next to nothing in between. Else 0.
   */
  readonly backToBackNs: number;
  readonly id: number;
  readonly span: Span;
  readonly caller: Caller;
  readonly peer: Peer;
}

/** A reply whose header is not the usual one. */
export interface ReplyMessage {
  /** The message id, an i32; the request's own unless given. */
  readonly id?: number;
  /** The header's error field, an i32; 0 unless given. */
  readonly error?: number;
  /** What follows the header; nothing unless given. */
  readonly body?: Uint8Array;
}

/** What a one-way request is answered with: nothing is sent. */
export const NO_REPLY: unique symbol = Symbol("no reply");

/**
 * A reply most handlers give: a body (it may be empty) with error 0, or an errno without a body.
 */
export type PlainReply = Uint8Array | Errno;

/** What a request is answered with. */
export type Reply = PlainReply | ReplyMessage | typeof NO_REPLY;

/** A reply that says "done" and no more. */
export const EMPTY_REPLY: Uint8Array = new Uint8Array(0);

/** A reply with an error and a body (libqb's qb_ipcs_response_send allows both). */
export function withError(error: number, body: Uint8Array): ReplyMessage {
  return { error, body };
}

/** The error field of a reply: 0, or a negative errno as a rule. */
export function replyError(reply: Reply): number {
  if (typeof reply === "number") return reply;
  if (reply instanceof Uint8Array || reply === NO_REPLY) return 0;
  return reply.error ?? 0;
}

/** The body of a reply, empty when it has none. */
export function replyBody(reply: Reply): Uint8Array {
  if (reply instanceof Uint8Array) return reply;
  if (typeof reply === "number" || reply === NO_REPLY) return EMPTY_REPLY;
  return reply.body ?? EMPTY_REPLY;
}

/** What a service does. One connection's requests come in order, and are answered in order. */
export interface Handler {
  /**
   * What a peer may do, or the errno it is refused with; before any request. `peer` has the real
   * ids of the sender of the set-up request. Called twice for a peer whose request is late, or
   * whose effective ids differ: once with the effective ids it had at connect(2).
   */
  authenticate(peer: Credentials): Permissions | Errno;
  /**
   * Answers one request. A promise is awaited without holding up others; of one connection at
   * most 8 are under way (IpcLimits.queuedRequests). A reply may lie in its request's memory;
   * it is copied once, into the ring. Throwing, or rejecting, ends the connection and is logged
   * with its stack.
   */
  handle(request: Request): Reply | Promise<Reply>;
  /**
   * Why `peer` was refused, for the log. It is the object that `authenticate` got, so that a
   * handler can keep the reason in a WeakMap. `command` is the name of the peer's process.
   */
  refusal?(peer: Credentials, command: string): string;
  /** The errno for a request whose header lies about its size; EINVAL unless given. */
  malformed?(request: Request): Errno;
  /** A connection has been made, or has ended. */
  connected?(peer: Peer): void;
  disconnected?(peer: Peer): void;
}
