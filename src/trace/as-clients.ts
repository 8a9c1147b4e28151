/**
 * Connections to the server behind a proxy that root runs, each with its client's uid and gid: the
 * server itself refuses and denies what it would without the proxy. Only the pid is the proxy's.
 */
import { QbFailure } from "../client/failure.ts";
import type { ConnectOptions } from "../client/options.ts";
import { QbClient } from "../client/qb-client.ts";
import type { Credentials } from "../platform/socket.ts";
import type { Behind, Connected } from "./upstream.ts";

/** A server that does not answer holds up everybody's handshakes for this long. */
const VERDICT_WITHIN_MS = 1000;

/** What was made for a client that did not come is kept this long for the next one like it. */
const KEPT_MS = 2000;

interface Ready {
  readonly client: QbClient;
  readonly expiry: Timer;
}

/** Owns connections that no client has taken yet. */
export class AsClients implements Behind {
  readonly name: string;
  readonly showsClients = true;
  readonly #messageBytes: number;
  readonly #ready = new Map<string, Ready>();

  constructor(name: string, messageBytes: number) {
    this.name = name;
    this.#messageBytes = messageBytes;
  }

  /** Connects at once, for `take`: a handshake is answered with what the server says. */
  judge(peer: Credentials): QbFailure | undefined {
    const key = keyOf(peer);
    if (this.#ready.get(key)?.client.connected === true) return undefined;
    this.#drop(key);
    const client = QbClient.connectBlocking(this.name, {
      ...this.#optionsFor(peer),
      timeoutMs: VERDICT_WITHIN_MS,
    });
    if (client instanceof QbFailure) return client;
    const expiry = setTimeout(() => this.#drop(key), KEPT_MS);
    expiry.unref();
    this.#ready.set(key, { client, expiry });
    return undefined;
  }

  async take(peer: Credentials): Promise<Connected> {
    const key = keyOf(peer);
    const ready = this.#ready.get(key);
    if (ready === undefined) return await QbClient.connect(this.name, this.#optionsFor(peer));
    this.#ready.delete(key);
    clearTimeout(ready.expiry);
    return ready.client;
  }

  #optionsFor({ uid, gid }: Credentials): ConnectOptions {
    return { maxMessageBytes: this.#messageBytes, identity: { uid, gid } };
  }

  #drop(key: string): void {
    const ready = this.#ready.get(key);
    if (ready === undefined) return;
    this.#ready.delete(key);
    clearTimeout(ready.expiry);
    ready.client.close();
  }

  [Symbol.dispose](): void {
    for (const key of this.#ready.keys()) this.#drop(key);
  }
}

function keyOf({ uid, gid }: Credentials): string {
  return `${uid}:${gid}`;
}
