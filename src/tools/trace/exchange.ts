/** What a proxy sees between a client and a server: the vocabulary of trace, record and replay. */
import type { Errno } from "../../base/errno.ts";
import type { Caller, Credentials, Peer } from "../../ipc/handler.ts";

/** One request and its outcome. */
export interface Exchange {
  /** Arrival, ms since 1970. */
  readonly atMs: number;
  /** Numbers the client's connection. */
  readonly connection: number;
  readonly caller: Caller;
  readonly id: number;
  readonly body: Buffer;
  /** 0, or an errno; undefined when there was no answer: `why` says why. */
  readonly error: number | undefined;
  readonly replyBytes: number;
  /** Empty unless the watcher wants replies. */
  readonly reply: Uint8Array;
  readonly why: string;
  /** From the request's arrival at the proxy to its answer's. */
  readonly latencyUs: number;
  /** The header claims a wrong size: the proxy answered, as pmxcfs would. */
  readonly malformed: boolean;
  /** The proxy refused it by the client's permissions: the server never saw it. */
  readonly refusedHere: boolean;
}

/** An event of the server. */
export interface Sent {
  readonly id: number;
  readonly body: Buffer;
  /** Requests its connection had sent before. */
  readonly after: number;
}

/** Receives observations in their order, some milliseconds late; `atMs` is when they happened. */
export interface Watcher {
  /** Wants the bodies of answers, and not only their sizes. */
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
