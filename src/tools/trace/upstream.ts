/**
 * Connections to the server behind a proxy with the proxy's own credentials, one ready ahead of the
 * next client: so it is known at that client's handshake whether the server lets anybody in, and
 * with which errno not.
 */
import type { Connected } from "../../client/connecting.ts";
import { QbFailure } from "../../client/failure.ts";
import { QbClient } from "../../client/qb-client.ts";
import type { Credentials } from "../../platform/socket.ts";

/** A server that is away or refuses is asked again this often. */
const RETRY_MS = 100;

/** The client decides how long it waits; when it leaves, so does its proxy. */
export const PATIENT_MS = 3_600_000;

/** Whether a server lets somebody in; unknown while it does not answer. */
export type Verdict = "welcome" | "unknown" | QbFailure;

/** A connection that is there, or that is being made. */
export interface Taken {
  readonly done: Promise<Connected>;
  /** The taker waits no longer. What comes all the same is still the taker's. */
  cancel(): void;
}

/** Where a proxy's connections come from. */
export interface Behind extends Disposable {
  readonly name: string;
  /** The server sees each client's uid and gid, not the proxy's. */
  readonly showsClients: boolean;
  /** Asks, where it is not known, whether the server lets `peer` in. */
  judge(peer: Credentials): Verdict;
  /** A connection for `peer`; from here on the taker's. */
  take(peer: Credentials): Taken;
}

/** Owns the one that is ready; those that were taken are their takers'. */
export class Upstream implements Behind {
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

  /** The connection that is ready or under way, or what it failed with, left where it is. */
  async probe(): Promise<Connected> {
    return await this.#next;
  }

  /** Why the server lets nobody in, as far as is known. */
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
    // It was ready for so long that its server is another one by now.
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
