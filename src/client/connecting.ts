/**
 * A connection that is being made. A caller may block for a short time, and then wait without
 * blocking. Owns the resulting client until the caller gets it.
 */
import { CLOSED, QbFailure } from "./failure.ts";
import { type Accepted, Handshake, type HandshakeOptions } from "./handshake.ts";
import { waitBlockingFor, waitFor } from "./waiting.ts";

/** `Client` is the type that `attach` makes from an accepted set-up. */
export class Connecting<Client extends { close(): void }> {
  readonly #handshake: Handshake;
  readonly #attach: (accepted: Accepted) => Client | QbFailure;
  #result: Client | QbFailure | undefined;
  #answered = false;

  /** `attach` makes a client from an accepted set-up. */
  constructor(options: HandshakeOptions, attach: (accepted: Accepted) => Client | QbFailure) {
    this.#handshake = new Handshake(options);
    this.#attach = attach;
  }

  /** The result, if there is one within `withinMs`; blocks the event loop. 0: looks once. */
  now(withinMs: number): Client | QbFailure | undefined {
    const deadline = performance.now() + withinMs;
    return waitBlockingFor(() => this.#look(), deadline);
  }

  /** The result, or a timeout after `timeoutMs`; the event loop serves other events meanwhile. */
  async later(timeoutMs: number): Promise<Client | QbFailure> {
    const deadline = performance.now() + timeoutMs;
    const found = await waitFor(() => this.#look(), deadline);
    if (found !== undefined) return found;
    this.#result = this.#handshake.late(timeoutMs);
    this.#handshake.close();
    return this.#result;
  }

  /** Whether the server has answered, or no process listens on the name. */
  get answered(): boolean {
    return this.#answered;
  }

  /** Aborts the attempt: closes its socket, or the client if it was made already. */
  cancel(): void {
    if (this.#result === undefined) this.#handshake.close();
    else if (!(this.#result instanceof QbFailure)) this.#result.close();
    this.#result = CLOSED;
  }

  #look(): Client | QbFailure | undefined {
    if (this.#result !== undefined) return this.#result;
    const settled = this.#handshake.step();
    if (settled === undefined) return undefined;
    this.#answered = true;
    if (settled instanceof QbFailure) this.#handshake.close();
    this.#result = settled instanceof QbFailure ? settled : this.#attach(settled);
    return this.#result;
  }
}
