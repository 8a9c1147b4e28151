/** What a proxy sees between a client and a server: the vocabulary of trace, record and replay. */
import type { Errno } from "../../base/errno.ts";
import type { Caller, Credentials, Peer } from "../../ipc/handler.ts";

/** One request and what came of it. */
export interface Exchange {
  /** When it came, ms since 1970. */
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
  /** From the request's arrival here to its answer's. */
  readonly latencyUs: number;
  /** Its header lies about its size: the proxy answered, as pmxcfs would. */
  readonly malformed: boolean;
  /** The proxy refused it by the client's permissions: the server never saw it. */
  readonly refusedHere: boolean;
}

/** What the server sent without being asked. */
export interface Sent {
  readonly id: number;
  readonly body: Buffer;
  /** So many requests of its connection had come. */
  readonly after: number;
}

/** Who is told, in the order things happened, some milliseconds after they did: `atMs`. */
export interface Watcher {
  /** Wants the bodies of answers, and not only their sizes. */
  readonly wantsReplies: boolean;
  /** Whether requests of `caller` with this id may be of interest: others are not told. */
  wants(id: number, caller: Caller): boolean;
  opened(peer: Peer, atMs: number): void;
  refused(peer: Credentials, atMs: number, error: Errno): void;
  exchanged(exchange: Exchange): void;
  event(peer: Peer, atMs: number, event: Sent): void;
  closed(peer: Peer, atMs: number): void;
  /** That was all for now. */
  toldAll(): void;
}
