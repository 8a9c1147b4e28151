/**
 * Upstream connections of a proxy that root runs, each with its client's uid and gid: the server
 * applies its own access rules. Only the pid is the proxy's.
 */
import type { Connecting } from "../../client/connecting.ts";
import { type Connected, QbClient } from "../../client/qb-client.ts";
import type { Credentials } from "../../platform/socket.ts";
import { type UpstreamPool, CLIENT_WAIT_MS, type Taken, type Verdict } from "./upstream.ts";

/** A handshake may block the event loop this long; without an answer the server counts as hung. */
const VERDICT_WITHIN_MS = 50;

/** An unclaimed connection is kept this long for the next client with the same ids. */
const KEPT_MS = 2000;

interface Ready {
  readonly connecting: Connecting<QbClient>;
  readonly expiry: Timer;
}

/** Owns the connections that no client has taken yet. */
export class ImpersonatingUpstream implements UpstreamPool {
  readonly name: string;
  readonly showsClients = true;
  readonly #messageBytes: number;
  readonly #ready = new Map<string, Ready>();
  /** The last handshake got no answer. */
  #hung = false;

  constructor(name: string, messageBytes: number) {
    this.name = name;
    this.#messageBytes = messageBytes;
  }

  /**
   * Connects at once, so that the client's handshake is answered with the server's decision; `take`
   * gets that connection. While the server hangs the decision is "unknown" at once; a later
   * handshake that is answered ends that state.
   */
  judge(peer: Credentials): Verdict {
    const key = keyOf(peer);
    const ready = this.#ready.get(key)?.connecting;
    const before = ready?.now(0);
    if (ready !== undefined && before === undefined) return "unknown";
    if (before instanceof QbClient && before.connected) return "welcome";
    this.#drop(key);
    const connecting = this.#begin(peer);
    const expiry = setTimeout(() => this.#drop(key), KEPT_MS);
    expiry.unref();
    this.#ready.set(key, { connecting, expiry });
    const result = connecting.now(this.#hung ? 0 : VERDICT_WITHIN_MS);
    this.#hung = result === undefined;
    if (result === undefined) return "unknown";
    if (result instanceof QbClient) return "welcome";
    this.#drop(key);
    return result;
  }

  take(peer: Credentials): Taken {
    const key = keyOf(peer);
    const ready = this.#ready.get(key);
    this.#ready.delete(key);
    clearTimeout(ready?.expiry);
    const connecting = ready?.connecting ?? this.#begin(peer);
    return { done: this.#await(connecting), cancel: () => connecting.cancel() };
  }

  async #await(connecting: Connecting<QbClient>): Promise<Connected> {
    const result = await connecting.later(CLIENT_WAIT_MS);
    if (connecting.answered) this.#hung = false;
    return result;
  }

  #begin({ uid, gid }: Credentials): Connecting<QbClient> {
    return QbClient.begin(this.name, {
      maxMessageBytes: this.#messageBytes,
      identity: { uid, gid },
    });
  }

  #drop(key: string): void {
    const ready = this.#ready.get(key);
    if (ready === undefined) return;
    this.#ready.delete(key);
    clearTimeout(ready.expiry);
    ready.connecting.cancel();
  }

  [Symbol.dispose](): void {
    for (const key of this.#ready.keys()) this.#drop(key);
  }
}

function keyOf({ uid, gid }: Credentials): string {
  return `${uid}:${gid}`;
}
