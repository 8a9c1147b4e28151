/**
 * Upstream connections with the proxy's own credentials. One is made before the next client
 * arrives, so that the server's decision (accepted, or the errno of its refusal) is known at the
 * client's handshake.
 */
import { QbFailure } from "../../client/failure.ts";
import { type Connected, QbClient } from "../../client/qb-client.ts";
import type { Credentials } from "../../platform/socket.ts";

/** Interval between tries to connect to a server that is absent or refuses. */
const RETRY_MS = 100;

/** Upper bound of a wait; the client's own deadline ends it earlier. */
export const CLIENT_WAIT_MS = 3_600_000;

/** The server's decision about a peer; unknown while it does not answer. */
export type Verdict = "welcome" | "unknown" | QbFailure;

/** A connection, made or under way. */
export interface Taken {
  readonly done: Promise<Connected>;
  /** Stops waiting. A connection that is made nevertheless belongs to the caller. */
  cancel(): void;
}

/** Source of a proxy's upstream connections. */
export interface UpstreamPool extends Disposable {
  readonly name: string;
  /** The server sees each client's uid and gid, not the proxy's. */
  readonly showsClients: boolean;
  /** The server's decision about `peer`; connects to the server if it is not known. */
  judge(peer: Credentials): Verdict;
  /** A connection for `peer`; the caller owns it. */
  take(peer: Credentials): Taken;
}

/** Owns the connection that is ready; callers own those that they take. */
export class Upstream implements UpstreamPool {
  readonly name: string;
  readonly showsClients = false;
  readonly #messageBytes: number;
  #next: Promise<Connected>;
  #ready: Connected | undefined;
  #retry: Timer | undefined;
  #closed = false;

  constructor(name: string, messageBytes: number) {
    this.name = name;
    this.#messageBytes = messageBytes;
    this.#next = this.#connect();
  }

  /** The connection that is ready or under way, or its failure; it is not taken. */
  async probe(): Promise<Connected> {
    return await this.#next;
  }

  /** The server's last refusal, else "welcome". */
  judge(): Verdict {
    return this.#ready instanceof QbFailure ? this.#ready : "welcome";
  }

  /** A connection for one client; the next one is made meanwhile. */
  take(): Taken {
    return { done: this.#take(), cancel: () => {} };
  }

  async #take(): Promise<Connected> {
    const taken = this.#next;
    this.#replace();
    const client = await taken;
    if (client instanceof QbFailure || client.connected) return client;
    // The server has been restarted since this connection was made.
    client.close();
    const fresh = this.#next;
    this.#replace();
    return await fresh;
  }

  #replace(): void {
    clearTimeout(this.#retry);
    this.#ready = undefined;
    this.#next = this.#connect();
  }

  async #connect(): Promise<Connected> {
    const client = await QbClient.connect(this.name, { maxMessageBytes: this.#messageBytes });
    this.#ready = client;
    if (client instanceof QbFailure && !this.#closed) {
      this.#retry = setTimeout(() => this.#replace(), RETRY_MS);
    } else if (this.#closed && client instanceof QbClient) {
      client.close();
    }
    return client;
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    if (this.#ready instanceof QbClient) this.#ready.close();
  }
}
