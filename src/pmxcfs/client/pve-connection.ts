/**
 * A connection that reconnects as PVE's Perl client does (IPCC.xs): connects when first used,
 * reconnects once after a failure, and while pmxcfs restarts (shown by a flag file) keeps trying
 * for 10 s. Unlike IPCC.xs, it never removes that file, which belongs to the server.
 */
import { existsSync } from "node:fs";
import { PVE_RESTART_FLAG } from "../../base/paths.ts";
import { CLOSED, QbFailure } from "../../client/failure.ts";
import type { QbResponse } from "../../client/message.ts";
import type { CallOptions, ConnectOptions } from "../../client/options.ts";
import { QbClient } from "../../client/qb-client.ts";

const RESTART_WAIT_MS = 10_000;
const RESTART_PAUSE_MS = 100;

export interface PveConnectionOptions extends ConnectOptions {
  /** Another flag file, for tests and unusual installations. */
  readonly restartFlag?: string;
  /**
   * After a failure to connect, how long to try again while that file exists; default: 10 s. 0: the
   * failure is reported at once.
   */
  readonly restartWaitMs?: number;
}

/** Owns at most one client of service `name` at a time. */
export class PveConnection implements Disposable {
  readonly name: string;
  readonly #options: PveConnectionOptions;
  #client: QbClient | undefined;
  #connecting: Promise<QbClient | QbFailure> | undefined;
  #closed = false;

  constructor(name = "pve2", options: PveConnectionOptions = {}) {
    this.name = name;
    this.#options = options;
  }

  /** The current client, if there is one. */
  get client(): QbClient | undefined {
    return this.#client;
  }

  /** Connects now; without this call the first request connects. */
  async connect(): Promise<QbFailure | undefined> {
    const client = await this.#connected();
    return client instanceof QbFailure ? client : undefined;
  }

  /**
   * One request and its response. If the connection fails, it is made anew, once; a connection that
   * cannot be made is reported at once.
   */
  async sendRecv(
    id: number,
    body?: Uint8Array,
    options: CallOptions = {},
  ): Promise<QbResponse | QbFailure> {
    const client = await this.#connected();
    if (client instanceof QbFailure) return client;
    const response = await this.#exchange(client, id, body, options);
    if (!(response instanceof QbFailure) || !worthAnother(response)) return response;
    const next = await this.#connected();
    return next instanceof QbFailure ? next : await this.#exchange(next, id, body, options);
  }

  async #exchange(
    client: QbClient,
    id: number,
    body: Uint8Array | undefined,
    options: CallOptions,
  ): Promise<QbResponse | QbFailure> {
    const response = await client.sendRecv(id, body, options);
    if (response instanceof QbFailure && worthAnother(response)) this.#drop(client);
    return response;
  }

  async #connected(): Promise<QbClient | QbFailure> {
    if (this.#closed) return CLOSED;
    if (this.#client !== undefined) return this.#client;
    // Concurrent calls share one attempt.
    this.#connecting ??= this.#connect().finally(() => (this.#connecting = undefined));
    return await this.#connecting;
  }

  async #connect(): Promise<QbClient | QbFailure> {
    const { restartFlag = PVE_RESTART_FLAG, restartWaitMs = RESTART_WAIT_MS } = this.#options;
    let isRestarting = existsSync(restartFlag);
    let client = await QbClient.connect(this.name, this.#options);
    // By the clock: a server that accepts and does not answer takes a whole timeout for each try.
    const deadline = performance.now() + restartWaitMs;
    while (client instanceof QbFailure && performance.now() < deadline && !this.#closed) {
      // One more try if the flag was removed during this one: the server listens then.
      const wasRestarting = isRestarting;
      isRestarting = existsSync(restartFlag);
      if (!wasRestarting && !isRestarting) break;
      await Bun.sleep(RESTART_PAUSE_MS);
      client = await QbClient.connect(this.name, this.#options);
    }
    if (client instanceof QbFailure) return client;
    if (this.#closed) {
      client.close();
      return CLOSED;
    }
    this.#client = client;
    return client;
  }

  #drop(client: QbClient): void {
    if (this.#client === client) this.#client = undefined;
    client.close();
  }

  /** Ends the connection for good: pending and later calls fail. */
  close(): void {
    this.#closed = true;
    this.#client?.close();
    this.#client = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Whether a new connection may help. It does not for a request that is too large. After a timeout
 * the server may still execute the request, so the caller must decide whether to send it again.
 */
function worthAnother({ kind }: QbFailure): boolean {
  return kind !== "size" && kind !== "timeout";
}
