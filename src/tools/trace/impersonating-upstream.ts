/**
 * Connections to the server behind a proxy that root runs, each with its client's uid and gid: the
 * server itself refuses and denies what it would without the proxy. Only the pid is the proxy's.
 */
import type { Connected, Connecting } from "../../client/connecting.ts";
import { QbClient } from "../../client/qb-client.ts";
import type { Credentials } from "../../platform/socket.ts";
import { type Behind, PATIENT_MS, type Taken, type Verdict } from "./upstream.ts";

/** Everybody stands still for a handshake this long, once: then the server counts as hung. */
const VERDICT_WITHIN_MS = 50;

/** What was made for a client that did not come is kept this long for the next one like it. */
const KEPT_MS = 2000;

interface Ready {
  readonly connecting: Connecting;
  readonly expiry: Timer;
}

/** Owns connections that no client has taken yet. */
export class AsClients implements Behind {
  readonly name: string;
  readonly showsClients = true;
  readonly #messageBytes: number;
  readonly #ready = new Map<string, Ready>();
  /** It left a handshake without an answer, and has answered none since. */
  #hung = false;

  constructor(name: string, messageBytes: number) {
    this.name = name;
    this.#messageBytes = messageBytes;
  }

  /**
   * Connects at once, for `take`: a handshake is answered with what the server says. While that is
   * hung nobody waits for its word: the handshakes that come then are what asks it.
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

  async #await(connecting: Connecting): Promise<Connected> {
    const result = await connecting.later(PATIENT_MS);
    if (connecting.answered) this.#hung = false;
    return result;
  }

  #begin({ uid, gid }: Credentials): Connecting {
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
