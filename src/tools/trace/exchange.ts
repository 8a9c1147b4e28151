/** The types of what a proxy observes between client and server, for trace, record and replay. */
import type { Errno } from "../../base/errno.ts";
import type { Caller, Credentials, Peer } from "../../ipc/handler.ts";

/** One request and its outcome. */
export interface Exchange {
  /** Arrival, ms since 1970. */
  readonly atMs: number;
  /** The number of the client's connection. */
  readonly connection: number;
  readonly caller: Caller;
  readonly id: number;
  readonly body: Buffer;
  /** 0, or an errno; undefined if there was no answer: `why` has the reason. */
  readonly error: number | undefined;
  readonly replyBytes: number;
  /** Empty unless the watcher wants replies. */
  readonly reply: Uint8Array;
  readonly why: string;
  /** Time from the request's arrival at the proxy to the arrival of its answer. */
  readonly latencyUs: number;
  /** The header has a wrong size: the proxy answered, as pmxcfs would. */
  readonly malformed: boolean;
  /** The proxy refused it because of the client's permissions: the server never got it. */
  readonly refusedHere: boolean;
}

/** An event of the server. */
export interface Sent {
  readonly id: number;
  readonly body: Buffer;
  /** Number of requests that its connection had sent before. */
  readonly after: number;
}

/** Receives observations in their order, some milliseconds late; `atMs` is when they happened. */
export interface Watcher {
  /** Whether the bodies of answers are kept, and not only their sizes. */
  readonly wantsReplies: boolean;
  /** Whether requests of `caller` with this id are reported. */
  wants(id: number, caller: Caller): boolean;
  opened(peer: Peer, atMs: number): void;
  refused(peer: Credentials, atMs: number, error: Errno): void;
  exchanged(exchange: Exchange): void;
  event(peer: Peer, atMs: number, event: Sent): void;
  closed(peer: Peer, atMs: number): void;
  /** The batch is complete. */
  batchEnd(): void;
}
