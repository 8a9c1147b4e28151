/** What a proxy sees between a client and a server: the vocabulary of trace, record and replay. */
import type { Errno } from "../errno.ts";
import type { Caller, Credentials, Peer } from "../ipc/handler.ts";

/** One request and what came of it. */
export interface Exchange {
  /** When it came, ms since 1970. */
  readonly atMs: number;
  /** Numbers the client's connection. */
  readonly connection: number;
  readonly caller: Caller;
  readonly id: number;
  readonly body: Buffer;
  /** A body or an errno; undefined when there was no answer: `why` says why. */
  readonly outcome: Uint8Array | Errno | undefined;
  readonly why: string;
  /** From the request's arrival here to its answer's. */
  readonly latencyUs: number;
  /** Its header lies about its size: the proxy answered, as pmxcfs would. */
  readonly malformed: boolean;
  /** The proxy refused it by the client's permissions: the server never saw it. */
  readonly refusedHere: boolean;
}

/** Who is told. Called after the answer has gone out. */
export interface Watcher {
  opened(peer: Peer): void;
  refused(peer: Credentials, error: Errno): void;
  exchanged(exchange: Exchange): void;
  /** `after` so many requests of its connection had come. */
  event(peer: Peer, id: number, body: Buffer, after: number): void;
  closed(peer: Peer): void;
}
