/**
 * A libqb client (libqb ipcc.c) without libqb: connects, sends requests, receives responses and
 * events, and obeys flow control. Every wait has a deadline, and every fault of the server is
 * returned as a QbFailure. The asynchronous calls work with a server in the same event loop; the
 * `Blocking` ones sleep in the kernel, for programs that have nothing else to do.
 *
 * Owns the setup socket and the mappings until `close`.
 */
import { IpcLimits, PVE_MESSAGE_BYTES } from "../base/limits.ts";
import {
  dropReference,
  flowControlOf,
  referencesOf,
  RING_NAMES,
  type RingSet,
} from "../shm/ring-set.ts";
import { isAlive } from "../platform/processes.ts";
import { closeSocket, type Credentials } from "../platform/socket.ts";
import { Connecting } from "./connecting.ts";
import {
  CLOSED,
  disconnected,
  garbage,
  owing,
  QbFailure,
  stopped,
  timedOut,
  vanished,
} from "./failure.ts";
import { type EventCallbacks, EventWatch } from "./event-watch.ts";
import { MessageReceiver, type ConnectionState } from "./message-receiver.ts";
import type { QbMessageIn, QbResponse } from "./message.ts";
import {
  DEFAULT_TIMEOUT_MS,
  type CallOptions,
  type ConnectOptions,
  type SendOptions,
} from "./options.ts";
import type { AdaptiveWait } from "./adaptive-wait.ts";
import { attach, removeFiles, type RingPlace } from "./ring-files.ts";
import type { Accepted, HandshakeOptions } from "./handshake.ts";
import { RequestWriter } from "./request-writer.ts";
import { SetupSocket } from "./setup-socket.ts";
import { Mutex } from "./waiting.ts";

/** References of an intact request ring: the server's and ours. */
const REFERENCES = 2;
const EMPTY = Buffer.alloc(0);

function handshakeOptions(name: string, options: ConnectOptions): HandshakeOptions {
  const { maxMessageBytes = PVE_MESSAGE_BYTES, identity } = options;
  const asked = Math.max(maxMessageBytes, IpcLimits.minMessageBytes);
  return { name, maxMessageBytes: asked, identity };
}

/** The client, or why it could not be made. */
export type Connected = QbClient | QbFailure;

/** One connection to a service. */
export class QbClient implements Disposable {
  readonly name: string;
  /** Credentials of the listener, as the kernel reports them. */
  readonly server: Credentials;
  /** The negotiated size of a message, headers included. */
  readonly maxMessageBytes: number;
  fcEnableMax: number;
  readonly #socket: SetupSocket;
  readonly #set: RingSet;
  readonly #place: RingPlace;
  readonly #requests: RequestWriter;
  readonly #responses: MessageReceiver;
  readonly #events: MessageReceiver;
  readonly #timeoutMs: number;
  /** Requests whose caller timed out: that many responses are skipped when they come. */
  #abandoned = 0;
  readonly #calls = new Mutex();
  readonly #matchesIds: boolean;
  readonly #maxOwed: number;
  #end: QbFailure | undefined;
  #closed = false;

  private constructor(
    name: string,
    accepted: Accepted,
    set: RingSet,
    place: RingPlace,
    options: ConnectOptions,
  ) {
    this.name = name;
    this.server = accepted.server;
    this.maxMessageBytes = accepted.maxMessageBytes;
    this.fcEnableMax = options.fcEnableMax ?? 1;
    this.#socket = new SetupSocket(accepted.fd);
    this.#set = set;
    this.#place = place;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#requests = new RequestWriter(set, accepted.maxMessageBytes);
    this.#matchesIds = (options.responses ?? "id") === "id";
    this.#maxOwed = options.maxOwedNotifies ?? Number.POSITIVE_INFINITY;
    const state = this.#state();
    this.#responses = new MessageReceiver(set.rings.response, "response", state);
    this.#events = new MessageReceiver(set.rings.event, "event", state);
  }

  /** The state of this connection for its receivers. */
  #state(): ConnectionState {
    const set = this.#set;
    const socket = this.#socket;
    return {
      get vanished() {
        return set.vanished;
      },
      get owing() {
        return socket.owed > 0;
      },
      endReason: () => this.#endReason(),
      sendOwed: () => void this.#notify(0),
      checkEnd: () => this.#checkEnd(),
      recordEnd: (failure) => this.#recordEnd(failure),
    };
  }

  /** Connects to service `name` (`pve2`). */
  static async connect(name: string, options: ConnectOptions = {}): Promise<Connected> {
    return await QbClient.begin(name, options).later(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  }

  /** Starts to connect, for callers that poll for the result. */
  static begin(name: string, options: ConnectOptions = {}): Connecting<QbClient> {
    const handshake = handshakeOptions(name, options);
    return new Connecting(handshake, (accepted) => QbClient.#attached(name, options, accepted));
  }

  static #attached(
    name: string,
    options: ConnectOptions,
    accepted: Accepted,
  ): QbClient | QbFailure {
    const attached = attach(accepted);
    if (attached instanceof QbFailure) {
      closeSocket(accepted.fd);
      return attached;
    }
    return new QbClient(name, accepted, attached.set, attached.place, options);
  }

  /** True until either side has closed the connection. */
  get connected(): boolean {
    return !this.#closed && this.#end === undefined && this.#checkEnd() === undefined;
  }

  /** The flow control word: 0: send; 1: stop; 2: stop if `fcEnableMax` is 2. */
  get flowControl(): number {
    return this.#closed ? 0 : flowControlOf(this.#set.rings.request);
  }

  /** Notify bytes still owed after a try to send them; stays above 0 if the server reads none. */
  get unsentNotifies(): number {
    if (!this.#closed) this.#notify(0);
    return this.#socket.owed;
  }

  /**
   * Sends one request without waiting for its response (qb_ipcc_send). `busy`: flow control, a
   * full ring, or more notify bytes owed than `maxOwedNotifies`; the request was not sent then.
   */
  send(id: number, body: Uint8Array = EMPTY, options: SendOptions = {}): QbFailure | undefined {
    const failure = this.#refuseSend(options.fcEnableMax ?? this.fcEnableMax);
    if (failure !== undefined) return failure;
    const unwritten = this.#requests.write(id, body, options.claimedBytes);
    if (unwritten?.kind === "busy") return this.#checkEnd() ?? unwritten;
    if (unwritten !== undefined) return unwritten.ended ? this.#recordEnd(unwritten) : unwritten;
    return this.#notify(1);
  }

  /**
   * Calls `sends`, whose requests are announced together: one system call and one wake-up of the
   * server for up to 16 of them. `sends` must be short: the server may read a request before its
   * notify byte arrives, and then blocks until it does.
   */
  announceTogether(sends: () => void): QbFailure | undefined {
    const failure = this.#socket.together(sends);
    return failure === undefined ? this.#endReason() : this.#recordEnd(failure);
  }

  /** The next response, in the order of the requests (qb_ipcc_recv). */
  async receive(options: CallOptions = {}): Promise<QbResponse | QbFailure> {
    return await this.#responses.wait(options.timeoutMs ?? this.#timeoutMs, true);
  }

  /** The next event the server sent on its own (qb_ipcc_event_recv). */
  async receiveEvent(options: CallOptions = {}): Promise<QbMessageIn | QbFailure> {
    return await this.#events.wait(options.timeoutMs ?? this.#timeoutMs, true);
  }

  /**
   * Watches for events in the event loop, instead of `receiveEvent`. At most once per client; ends
   * with `close`.
   */
  watch(callbacks: EventCallbacks): EventWatch {
    const isClosed = (): boolean => this.#closed;
    const watch = new EventWatch(
      {
        next: () => this.#events.poll() ?? this.#end,
        get closed() {
          return isClosed();
        },
      },
      callbacks,
    );
    this.#socket.watch(
      () => watch.woken(),
      (end) => watch.hungUp(this.#recordEnd(end)),
    );
    // Reports events that came before the watch.
    watch.woken();
    return watch;
  }

  /**
   * One request and its response (qb_ipcc_sendv_recv). Concurrent calls are serialized. After a
   * timeout the connection is still usable: the late response is skipped.
   */
  async sendRecv(
    id: number,
    body: Uint8Array = EMPTY,
    options: CallOptions = {},
  ): Promise<QbResponse | QbFailure> {
    return await this.#calls.run(() => {
      return this.#exchange(id, body, options);
    });
  }

  /** Whether a `sendRecv` or an awaited `answer` is in progress. */
  get busy(): boolean {
    return this.#calls.busy;
  }

  /**
   * The answer to request `id`, which was just sent while this client was not busy. First blocks
   * for the time that `wait` allows, then returns a promise: for proxies, whose own clients would
   * wait for each turn of the event loop.
   */
  answer(
    id: number,
    wait: AdaptiveWait,
    options: CallOptions = {},
  ): QbResponse | QbFailure | Promise<QbResponse | QbFailure> {
    const start = performance.now();
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    const found = this.#responses.hold(wait);
    const settled = found && this.#settle(id, found, timeoutMs);
    return settled ?? this.#calls.run(() => this.#lateAnswer(id, wait, start, timeoutMs));
  }

  /** The awaited part of `answer`. */
  async #lateAnswer(
    id: number,
    wait: AdaptiveWait,
    start: number,
    timeoutMs: number,
  ): Promise<QbResponse | QbFailure> {
    const late = await this.#answerTo(id, start + timeoutMs, timeoutMs, false);
    wait.answered((performance.now() - start) * 1000, 0);
    return late;
  }

  async #exchange(
    id: number,
    body: Uint8Array,
    options: CallOptions,
  ): Promise<QbResponse | QbFailure> {
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    const deadline = performance.now() + timeoutMs;
    return this.send(id, body, options) ?? (await this.#answerTo(id, deadline, timeoutMs, true));
  }

  async #answerTo(
    id: number,
    deadline: number,
    timeoutMs: number,
    spins: boolean,
  ): Promise<QbResponse | QbFailure> {
    for (;;) {
      const response = await this.#responses.wait(deadline - performance.now(), spins);
      const settled = this.#settle(id, response, timeoutMs);
      if (settled !== undefined) return settled;
    }
  }

  /** As sendRecv, but sleeps in the kernel and blocks the event loop. */
  sendRecvBlocking(
    id: number,
    body: Uint8Array = EMPTY,
    options: CallOptions = {},
  ): QbResponse | QbFailure {
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    const deadline = performance.now() + timeoutMs;
    const failure = this.send(id, body, options);
    if (failure !== undefined) return failure;
    for (;;) {
      const response = this.#responses.waitBlocking(deadline - performance.now());
      const settled = this.#settle(id, response, timeoutMs);
      if (settled !== undefined) return settled;
    }
  }

  /** As receive, but sleeps in the kernel and blocks the event loop. */
  receiveBlocking(options: CallOptions = {}): QbResponse | QbFailure {
    return this.#responses.waitBlocking(options.timeoutMs ?? this.#timeoutMs);
  }

  /** Checks what arrived for request `id`; undefined: it answers an earlier call that timed out. */
  #settle(
    id: number,
    response: QbResponse | QbFailure,
    timeoutMs: number,
  ): QbResponse | QbFailure | undefined {
    if (response instanceof QbFailure) {
      if (response.kind !== "timeout") return response;
      this.#abandoned++;
      return timedOut(`no answer to request ${id}`, timeoutMs);
    }
    if (this.#abandoned > 0) {
      this.#abandoned--;
      return undefined;
    }
    if (!this.#matchesIds || response.id === id) return response;
    return this.#recordEnd(garbage(`request ${id} was answered as ${response.id}`));
  }

  /** Why the connection cannot be used any more, if that is known. */
  #endReason(): QbFailure | undefined {
    return this.#end ?? (this.#closed ? CLOSED : undefined);
  }

  /** Checks the socket and the ring files: why the connection has ended, if it has. */
  #checkEnd(): QbFailure | undefined {
    return this.#set.vanished ? vanished() : this.#socket.checkEnd();
  }

  /** Why nothing may be sent now: the end, flow control, owed notify bytes. */
  #refuseSend(fcEnableMax: number): QbFailure | undefined {
    const ended = this.#endReason();
    if (ended !== undefined) return ended;
    const { request } = this.#set.rings;
    const level = flowControlOf(request);
    if (level > 0 && level <= fcEnableMax) return stopped(level);
    if (this.#socket.owed > this.#maxOwed) {
      const end = this.#notify(0);
      if (end !== undefined) return end;
      if (this.#socket.owed > this.#maxOwed) return owing(this.#socket.owed);
    }
    if (referencesOf(request) !== REFERENCES) {
      const end = this.#checkEnd();
      return this.#recordEnd(end ?? disconnected("the server dropped its request ring"));
    }
    return undefined;
  }

  #notify(more: number): QbFailure | undefined {
    const failure = this.#socket.notify(more);
    return failure && this.#recordEnd(failure);
  }

  /** Keeps the first reason; returns `failure`. */
  #recordEnd(failure: QbFailure): QbFailure {
    this.#end ??= failure;
    return failure;
  }

  /** Disconnects; removes the ring files only if the server is dead. May be called repeatedly. */
  close(): void {
    if (this.#closed) return;
    this.#socket.unwatch();
    const serverIsGone = this.#checkEnd() !== undefined && !isAlive(this.server.pid);
    this.#closed = true;
    if (!this.#set.vanished) for (const ring of RING_NAMES) dropReference(this.#set.rings[ring]);
    this.#set[Symbol.dispose]();
    this.#socket.close();
    if (serverIsGone) removeFiles(this.#place);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
