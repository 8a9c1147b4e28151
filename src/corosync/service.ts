/**
 * One connection to a service of corosync: requests answered by response ids of their own, events
 * one at a time, and the end of the connection as a CsFailure. Knows no service in particular.
 */
import { QbFailure } from "../client/failure.ts";
import type { EventWatch } from "../client/event-watch.ts";
import type { QbMessageIn } from "../client/message.ts";
import { QbClient } from "../client/qb-client.ts";
import { CsError, csErrorOf, csErrorOfErrno, CsFailure } from "./cs-error.ts";
import { COROSYNC_MESSAGE_BYTES } from "./layouts.ts";

/** corosync holds requests while it changes membership; its libraries wait without a limit. */
const CALL_MS = 30_000;

/** Level of the flow control word at which corosync takes no mcast. */
const FLOW_CONTROL_MCAST = 2;

/** Deadlines of a connection, in ms. */
export interface ServiceOptions {
  /** For the handshake; 5 s unless given. */
  readonly connectMs?: number;
  /** For each call; 30 s unless given. */
  readonly callMs?: number;
}

export interface ServiceEvents {
  /**
   * One event. With a promise the next one waits until it is settled, so that whatever the receiver
   * sends for this event is sent before it sees another.
   */
  event(id: number, body: Buffer): void | Promise<void>;
  /** The connection has ended, and was not closed by us. Called once. */
  ended(failure: CsFailure): void;
}

/** What a request is and how its response is told from garbage. */
export interface ServiceCall {
  readonly id: number;
  readonly body?: Uint8Array;
  readonly responseId: number;
  /** Bytes of the response's body, at least, when it succeeded. */
  readonly leastBytes?: number;
  /** True for requests that must not be sent while corosync asks mcasts to wait. */
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
   * Connects to service `name`. TRY_AGAIN: corosync is starting; LIBRARY: it does not run; ACCESS:
   * it refuses this user, or the listener is neither root's nor ours.
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

  /** Begins to hand over events, those that came before included. Once. */
  watch(events: ServiceEvents): void {
    this.#events = events;
    this.#watch = this.#client.watch({
      event: (message, watch) => dispatch(events, message, watch),
      ended: (failure) => this.#end(failureOf(failure)),
    });
  }

  /**
   * As `watch`, for a service with one kind of event, `id`: others are ignored. `decode` gives the
   * event, or what is wrong with it, which ends the connection: corosync itself makes these.
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

  /** True while corosync asks to send no mcasts. */
  get holdsMcasts(): boolean {
    return this.#client.flowControl >= FLOW_CONTROL_MCAST;
  }

  /** One request and its response: the response's body, or an error (never OK). */
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

  /** A request whose response has nothing but its error: OK, or why not. */
  async command(call: ServiceCall): Promise<CsError> {
    const body = await this.call(call);
    return typeof body === "number" ? body : CsError.OK;
  }

  /** Sends a request that has no response. TRY_AGAIN: corosync asks to wait; nothing was sent. */
  sendMcast(id: number, body: Uint8Array): CsError {
    if (this.#closed) return CsError.LIBRARY;
    const failure = this.#client.send(id, body, { fcEnableMax: FLOW_CONTROL_MCAST });
    return failure === undefined ? CsError.OK : this.#failed(failure);
  }

  /** Calls `sends`, whose mcasts wake corosync once for all of them. */
  together(sends: () => void): void {
    if (this.#closed) return sends();
    const failure = this.#client.announceTogether(sends);
    if (failure !== undefined) this.#failed(failure);
  }

  /** Hands over the events that have come by now, unless one is still being worked on. */
  drain(): void {
    this.#watch?.drain();
  }

  /** Ends the connection because what came is not corosync's. */
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
  // A handshake that times out is corosync busy or stopped: later is better.
  return new CsFailure(csErrorOfErrno(failure.errno), failure.message);
}
