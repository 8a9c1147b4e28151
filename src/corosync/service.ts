/**
 * One connection to any service of corosync: requests and responses, which have separate ids;
 * events, delivered one at a time; and the end of the connection, reported as a CsFailure.
 */
import { QbFailure } from "../client/failure.ts";
import type { EventWatch } from "../client/event-watch.ts";
import type { QbMessageIn } from "../client/message.ts";
import { QbClient } from "../client/qb-client.ts";
import { CsError, csErrorOf, csErrorOfErrno, CsFailure } from "./cs-error.ts";
import { COROSYNC_MESSAGE_BYTES } from "./layouts.ts";

/** Corosync delays requests during a membership change; its own libraries wait without a limit. */
const CALL_MS = 30_000;

/** Level of the flow control word from which on corosync takes no mcast. */
const FLOW_CONTROL_MCAST = 2;

/** Timeouts of a connection, in ms. */
export interface ServiceOptions {
  /** Of the handshake; default: 5 s. */
  readonly connectMs?: number;
  /** Of each call; default: 30 s. */
  readonly callMs?: number;
}

export interface ServiceEvents {
  /**
   * One event. If it returns a promise, the next event waits until that is settled, so that
   * everything the receiver sends for this event is sent before it sees the next one.
   */
  event(id: number, body: Buffer): void | Promise<void>;
  /** The connection ended without a call of `close`. Called once. */
  ended(failure: CsFailure): void;
}

/** A request, and what a valid response to it looks like. */
export interface ServiceCall {
  readonly id: number;
  readonly body?: Uint8Array;
  readonly responseId: number;
  /** Least bytes of a successful response's body. */
  readonly leastBytes?: number;
  /** True for requests that flow control stops together with mcasts. */
  readonly isMcast?: boolean;
}

export class ServiceConnection implements Disposable {
  readonly name: string;
  readonly #client: QbClient;
  readonly #callMs: number;
  #events: ServiceEvents | undefined;
  #watch: EventWatch | undefined;
  #closed = false;

  private constructor(client: QbClient, options: ServiceOptions) {
    this.name = client.name;
    this.#client = client;
    this.#callMs = options.callMs ?? CALL_MS;
  }

  /**
   * Connects to service `name`. TRY_AGAIN: corosync is starting; LIBRARY: it is not running;
   * ACCESS: it refuses this user, or the listener belongs to neither root nor this user.
   */
  static async connect(
    name: string,
    options: ServiceOptions = {},
  ): Promise<ServiceConnection | CsFailure> {
    const client = await QbClient.connect(name, {
      maxMessageBytes: COROSYNC_MESSAGE_BYTES,
      timeoutMs: options.connectMs ?? 5000,
      responses: "order",
      maxOwedNotifies: 0,
    });
    if (client instanceof QbFailure) return failureOf(client);
    const { uid, pid } = client.server;
    if (uid !== 0 && uid !== process.geteuid?.()) {
      client.close();
      // Abstract names have no owner: any user may listen on one while corosync is down.
      const message = `@${name} is served by pid ${pid} of uid ${uid}, which is not corosync`;
      return new CsFailure(CsError.ACCESS, message);
    }
    return new ServiceConnection(client, options);
  }

  /** Starts delivering events, including those that arrived before. Call it once. */
  watch(events: ServiceEvents): void {
    this.#events = events;
    this.#watch = this.#client.watch({
      event: (message, watch) => dispatch(events, message, watch),
      ended: (failure) => this.#end(failureOf(failure)),
    });
  }

  /**
   * As `watch`, for a service with one kind of event, `id`; others are ignored. `decode` returns
   * the event, or what is wrong with it. A bad event ends the connection: it is corosync's own.
   */
  watchOne<T extends object>(
    id: number,
    decode: (body: Buffer) => T | string,
    callbacks: { changed(event: T): void; ended(failure: CsFailure): void },
  ): void {
    this.watch({
      event: (received, body) => {
        if (received !== id) return;
        const found = decode(body);
        if (typeof found === "string") this.broken(`corosync sent ${found}`);
        else callbacks.changed(found);
      },
      ended: (failure) => callbacks.ended(failure),
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Process id of corosync. */
  get pid(): number {
    return this.#client.server.pid;
  }

  /** True while corosync's flow control stops mcasts. */
  get holdsMcasts(): boolean {
    return this.#client.flowControl >= FLOW_CONTROL_MCAST;
  }

  /** Sends a request; returns the response's body, or an error (never OK). */
  async call(call: ServiceCall): Promise<Buffer | CsError> {
    if (this.#closed) return CsError.LIBRARY;
    const response = await this.#client.sendRecv(call.id, call.body, {
      timeoutMs: this.#callMs,
      ...(call.isMcast === true ? { fcEnableMax: FLOW_CONTROL_MCAST } : {}),
    });
    if (response instanceof QbFailure) return this.#failed(response);
    const error = csErrorOf(response.error);
    if (error !== CsError.OK) return error;
    if (response.id !== call.responseId) {
      return this.#broken(`request ${call.id} of ${this.name} was answered as ${response.id}`);
    }
    const { byteLength } = response.body;
    if (byteLength >= (call.leastBytes ?? 0)) return response.body;
    return this.#broken(`request ${call.id} of ${this.name} was answered with ${byteLength} bytes`);
  }

  /** Sends a request whose response has only an error code, and returns that. */
  async command(call: ServiceCall): Promise<CsError> {
    const body = await this.call(call);
    return typeof body === "number" ? body : CsError.OK;
  }

  /** Sends a request that has no response. TRY_AGAIN: flow control; nothing was sent. */
  sendMcast(id: number, body: Uint8Array): CsError {
    if (this.#closed) return CsError.LIBRARY;
    const failure = this.#client.send(id, body, { fcEnableMax: FLOW_CONTROL_MCAST });
    return failure === undefined ? CsError.OK : this.#failed(failure);
  }

  /** Calls `sends`; its mcasts wake corosync only once. */
  together(sends: () => void): void {
    if (this.#closed) return sends();
    const failure = this.#client.announceTogether(sends);
    if (failure !== undefined) this.#failed(failure);
  }

  /** Delivers the events that have arrived, unless the receiver still works on one. */
  drain(): void {
    this.#watch?.drain();
  }

  /** Ends the connection because corosync broke the protocol; `what` is for the log. */
  broken(what: string): void {
    this.#broken(what);
  }

  /** Closes; `ended` is not called. */
  close(): void {
    this.#closed = true;
    this.#client.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #failed(failure: QbFailure): CsError {
    if (failure.kind === "timeout") return CsError.TIMEOUT;
    if (failure.ended) this.#end(failureOf(failure));
    return failure.ended ? CsError.LIBRARY : csErrorOfErrno(failure.errno);
  }

  #broken(what: string): CsError {
    this.#end(new CsFailure(CsError.MESSAGE_ERROR, what));
    return CsError.LIBRARY;
  }

  #end(failure: CsFailure): void {
    if (this.#closed) return;
    this.close();
    this.#events?.ended(failure);
  }
}

function dispatch(events: ServiceEvents, { id, body }: QbMessageIn, watch: EventWatch): void {
  const done = events.event(id, body);
  if (done === undefined) return;
  watch.pause();
  void done.then(() => watch.resume());
}

function failureOf(failure: QbFailure): CsFailure {
  // A handshake times out when corosync is busy or stopped: ETIMEDOUT maps to TRY_AGAIN.
  return new CsFailure(csErrorOfErrno(failure.errno), failure.message);
}
