/**
 * The contract between the transport and the author of a service: callers, requests and replies.
 * The transport does not interpret requests; a Handler does not see rings.
 */
import type { Errno } from "../base/errno.ts";
import type { Credentials } from "../platform/socket.ts";
import type { Span } from "../wire/struct.ts";

export type { Credentials } from "../platform/socket.ts";

/** What an accepted caller may do: decided by `authenticate`, and passed with each request. */
export type Permissions = "read-write" | "read-only";

/**
 * The process at the other end, with the real ids of the sender of the set-up request, which are
 * those that libqb uses.
 */
export interface Caller extends Credentials {
  readonly permissions: Permissions;
}

/** The connection a request came on, as a handler may use it. */
export interface Peer {
  readonly caller: Caller;
  /** The number of this connection in its service, from 1; never used twice. */
  readonly number: number;
  /**
   * Sends an event: `body` after a response header with `id` and error 0. EAGAIN: the event ring
   * is full, or too many notify bytes are unsent; EMSGSIZE: larger than the ring; ENOTCONN: the
   * connection has ended.
   */
  sendEvent(id: number, body: Uint8Array): 0 | Errno;
  /**
   * Sets the flow control level: with 1 the client's sends fail with EAGAIN, with 2 only if it
   * asked for that (qb_ipcc_fc_enable_max_set), with 0 none. PVE's clients do not retry.
   */
  holdRequests(level: 0 | 1 | 2): void;
  /** Ends the connection when the current request is done; `reason` goes to the log. */
  disconnect(reason: string): void;
}

/**
 * One request. `span` is the body, with the size that the header claims (all of it if the header
 * claims more than was sent, none if it claims less than a header). It lies in private memory that
 * no client can change, and is valid until `handle` returns or, if that returns a promise, until
 * the reply is sent. The 4 bytes after the span are readable: what the client sent beyond the
 * claimed size, then zeros.
 */
export interface Request {
  /**
   * When it was found (Bun.nanoseconds()), if it is back to back: its client sent it after the last
   * reply on its connection, and it was found at most `PollLimits.backToBackUs` and two system
   * calls after that, or after the client was last seen waiting for the reply or copying it.
   * Else 0.
   */
  readonly backToBackNs: number;
  readonly id: number;
  readonly span: Span;
  readonly caller: Caller;
  readonly peer: Peer;
}

/** A reply whose header is not the usual one. */
export interface ReplyMessage {
  /** The message id, an i32; default: the request's. */
  readonly id?: number;
  /** The header's error field, an i32; default: 0. */
  readonly error?: number;
  /** What follows the header; default: nothing. */
  readonly body?: Uint8Array;
  /**
   * Work that the client need not wait for: called once, when the reply has been written to the
   * ring, or waits for room or for an earlier reply, or was dropped. No other request is handled in
   * between, and the request's memory is still valid; neither holds for the reply of a promise. An
   * exception ends the connection and is logged.
   */
  readonly afterReply?: (() => void) | undefined;
}

/** The reply to a one-way request: nothing is sent. */
export const NO_REPLY: unique symbol = Symbol("no reply");

/**
 * The usual reply: a body (it may be empty) with error 0, or an errno without a body.
 */
export type PlainReply = Uint8Array | Errno;

/** What a handler answers a request with. */
export type Reply = PlainReply | ReplyMessage | typeof NO_REPLY;

/** A reply with error 0 and an empty body. */
export const EMPTY_REPLY: Uint8Array = new Uint8Array(0);

/** A reply with an error and a body (libqb's qb_ipcs_response_send allows both). */
export function withError(error: number, body: Uint8Array): ReplyMessage {
  return { error, body };
}

/** The error field of a reply: 0, or usually a negative errno. */
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

/** What a service does. The requests of one connection are handled and answered in order. */
export interface Handler {
  /**
   * The bytes of a reply are never changed after `handle` has returned it, so that the same object
   * is the same reply, and may be copied before it is asked for again. Default: false.
   */
  readonly repliesAreConstant?: boolean;
  /**
   * What a peer may do, or the errno it is refused with; called before any request. `peer` has the
   * real ids of the sender of the set-up request. For a peer whose set-up request is late, or whose
   * effective ids differ, also called with the effective ids it had at connect(2).
   */
  authenticate(peer: Credentials): Permissions | Errno;
  /**
   * Answers one request. A promise is awaited without delaying other requests; one connection has
   * at most 8 pending (IpcLimits.queuedRequests). A reply may lie in its request's memory; it is
   * copied once, into the ring. An exception or a rejection ends the connection and is logged with
   * its stack.
   */
  handle(request: Request): Reply | Promise<Reply>;
  /**
   * Why `peer` was refused, for the log. `peer` is the object that `authenticate` got, so a handler
   * can keep the reason in a WeakMap. `command` is the name of the peer's process.
   */
  refusal?(peer: Credentials, command: string): string;
  /** The errno for a request whose header has a wrong size; default: EINVAL. */
  malformed?(request: Request): Errno;
  /** A connection was made. */
  connected?(peer: Peer): void;
  /** A connection has ended. */
  disconnected?(peer: Peer): void;
}
