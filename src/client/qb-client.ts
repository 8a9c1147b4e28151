/**
 * A libqb client (libqb ipcc.c) without libqb: connects, sends requests, receives responses and
 * events, honours flow control. Every wait has a deadline, and whatever the server does ends as a
 * QbFailure. The asynchronous calls work with a server in the same event loop; the `Blocking` ones
 * sleep in the kernel instead, for programs that do nothing else.
 *
 * Owns the setup socket and the mappings until `close`.
 */
import { IpcLimits } from "../base/limits.ts";
import { flowControlOf, headerFacts, type RingSet } from "../shm/ring-set.ts";
import { closeDescriptor } from "../platform/files.ts";
import { isAlive } from "../platform/processes.ts";
import type { Credentials } from "../platform/socket.ts";
import { Connecting } from "./connecting.ts";
import {
  CLOSED,
  disconnected,
  garbage,
  QbFailure,
  stopped,
  timedOut,
  vanished,
} from "./failure.ts";
import { Inbox, type Line } from "./inbox.ts";
import { Link } from "./link.ts";
import type { QbMessageIn, QbResponse } from "./message.ts";
import {
  DEFAULT_TIMEOUT_MS,
  PVE_MESSAGE_BYTES,
  type CallOptions,
  type ConnectOptions,
} from "./options.ts";
import type { Patience } from "./adaptive-wait.ts";
import { attach, dropReferences, removeFiles, type RingPlace } from "./ring-files.ts";
import type { Accepted, Wanted } from "./setup.ts";
import { RequestWriter } from "./request-writer.ts";
import { OneByOne } from "./waiting.ts";

export { PVE_MESSAGE_BYTES } from "./options.ts";

/** A request ring is whole while it has the server's reference and ours. */
const REFERENCES = 2;
const EMPTY = Buffer.alloc(0);

function wantedOf(name: string, options: ConnectOptions): Wanted {
  const { maxMessageBytes = PVE_MESSAGE_BYTES, identity } = options;
  const asked = Math.max(maxMessageBytes, IpcLimits.minMessageBytes);
  return { name, maxMessageBytes: asked, identity };
}

/** One connection to a service. */
export class QbClient implements Disposable {
  readonly name: string;
  /** Who listens, as the kernel says. */
  readonly server: Credentials;
  /** The negotiated size of a message, headers included. */
  readonly maxMessageBytes: number;
  fcEnableMax: number;
  readonly #link: Link;
  readonly #set: RingSet;
  readonly #place: RingPlace;
  readonly #requests: RequestWriter;
  readonly #responses: Inbox;
  readonly #events: Inbox;
  readonly #timeoutMs: number;
  /** Responses to requests whose caller gave up: skipped when they come. */
  #abandoned = 0;
  readonly #calls = new OneByOne();
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
    this.#link = new Link(accepted.fd);
    this.#set = set;
    this.#place = place;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#requests = new RequestWriter(set, accepted.maxMessageBytes);
    const line = this.#line();
    this.#responses = new Inbox(set.rings.response, "response", line);
    this.#events = new Inbox(set.rings.event, "event", line);
  }

  /** This connection as its inboxes see it. */
  #line(): Line {
    const set = this.#set;
    const link = this.#link;
    return {
      get vanished() {
        return set.vanished;
      },
      get owing() {
        return link.owed > 0;
      },
      over: () => this.#over(),
      announce: () => void this.#notify(0),
      gone: () => this.#lookAlive(),
      ends: (failure) => this.#ends(failure),
    };
  }

  /** Connects to service `name` (`pve2`), or says why not. */
  static async connect(name: string, options: ConnectOptions = {}): Promise<QbClient | QbFailure> {
    return await QbClient.begin(name, options).later(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  }

  /** Begins to connect, for who cannot wait for the end of it. */
  static begin(name: string, options: ConnectOptions = {}): Connecting {
    const wanted = wantedOf(name, options);
    return new Connecting(wanted, (accepted) => QbClient.#attached(name, options, accepted));
  }

  static #attached(
    name: string,
    options: ConnectOptions,
    accepted: Accepted,
  ): QbClient | QbFailure {
    const attached = attach(accepted);
    if (attached instanceof QbFailure) {
      closeDescriptor(accepted.fd);
      return attached;
    }
    return new QbClient(name, accepted, attached.set, attached.place, options);
  }

  /** True while the server holds its end. */
  get connected(): boolean {
    return !this.#closed && this.#end === undefined && this.#lookAlive() === undefined;
  }

  /** The flow control word: 0 send; 1 stop; 2 stop if you agreed to (fcEnableMax 2). */
  get flowControl(): number {
    return this.#closed ? 0 : flowControlOf(this.#set.rings.request);
  }

  /** Wake-up bytes the server has not taken: stays above 0 when it never reads them. */
  get unsentNotifies(): number {
    if (!this.#closed) this.#notify(0);
    return this.#link.owed;
  }

  /**
   * Sends one request without waiting for its response (qb_ipcc_send). `claimedBytes` replaces the
   * true size in the header. `busy`: flow control, or the ring is full.
   */
  send(id: number, body: Uint8Array = EMPTY, claimedBytes?: number): QbFailure | undefined {
    const failure = this.#mayNotSend();
    if (failure !== undefined) return failure;
    const unwritten = this.#requests.write(id, body, claimedBytes);
    if (unwritten?.kind === "busy") return this.#lookAlive() ?? unwritten;
    if (unwritten !== undefined) return unwritten.ended ? this.#ends(unwritten) : unwritten;
    return this.#notify(1);
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
   * Has the event loop watch for what the server does on its own: `event` hears of each event,
   * `ended` of the end of the connection, once. Instead of `receiveEvent`; ends with `close`.
   */
  watch(event: (event: QbMessageIn) => void, ended: (end: QbFailure) => void): void {
    let over = false;
    const finish = (end: QbFailure): void => {
      if (!over && !this.#closed) ended(end);
      over = true;
    };
    const look = (): void => {
      for (;;) {
        const found = this.#over() ?? this.#events.glance();
        if (found instanceof QbFailure) finish(found);
        if (found === undefined || found instanceof QbFailure) return;
        event(found);
      }
    };
    this.#link.watch(look, (end) => {
      look();
      finish(this.#ends(end));
    });
    // What came before.
    look();
  }

  /**
   * One request and its response (qb_ipcc_sendv_recv). Calls made at the same time go one after
   * the other. A call that times out leaves the connection usable: its late response is skipped.
   */
  async sendRecv(
    id: number,
    body: Uint8Array = EMPTY,
    options: CallOptions = {},
  ): Promise<QbResponse | QbFailure> {
    return await this.#calls.run(() => {
      return this.#exchange(id, body, options.timeoutMs ?? this.#timeoutMs);
    });
  }

  /** Whether a `sendRecv` is under way, or `answer` is awaited. */
  get busy(): boolean {
    return this.#calls.busy;
  }

  /**
   * The answer to request `id`, which was sent just now while this client was not busy. Stands
   * still for it as long as `patience` has it, and returns it at once: for proxies, whose own
   * clients are kept waiting by each turn of the event loop.
   */
  answer(
    id: number,
    patience: Patience,
    options: CallOptions = {},
  ): QbResponse | QbFailure | Promise<QbResponse | QbFailure> {
    const start = performance.now();
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    const found = this.#responses.hold(patience);
    const settled = found && this.#settle(id, found, timeoutMs);
    return settled ?? this.#calls.run(() => this.#lateAnswer(id, patience, start, timeoutMs));
  }

  /** The same response, awaited. */
  async #lateAnswer(
    id: number,
    patience: Patience,
    start: number,
    timeoutMs: number,
  ): Promise<QbResponse | QbFailure> {
    const late = await this.#answerTo(id, start + timeoutMs, timeoutMs, false);
    patience.answered((performance.now() - start) * 1000, 0);
    return late;
  }

  async #exchange(
    id: number,
    body: Uint8Array,
    timeoutMs: number,
  ): Promise<QbResponse | QbFailure> {
    const deadline = performance.now() + timeoutMs;
    return this.send(id, body) ?? (await this.#answerTo(id, deadline, timeoutMs, true));
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

  /** As sendRecv, asleep in the kernel: the event loop stands still meanwhile. */
  sendRecvBlocking(
    id: number,
    body: Uint8Array = EMPTY,
    options: CallOptions = {},
  ): QbResponse | QbFailure {
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    const deadline = performance.now() + timeoutMs;
    const failure = this.send(id, body);
    if (failure !== undefined) return failure;
    for (;;) {
      const response = this.#responses.waitBlocking(deadline - performance.now());
      const settled = this.#settle(id, response, timeoutMs);
      if (settled !== undefined) return settled;
    }
  }

  /** As receive, asleep in the kernel. */
  receiveBlocking(options: CallOptions = {}): QbResponse | QbFailure {
    return this.#responses.waitBlocking(options.timeoutMs ?? this.#timeoutMs);
  }

  /** Judges what came for request `id`; undefined: an answer nobody waits for any more. */
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
    if (response.id === id) return response;
    return this.#ends(garbage(`request ${id} was answered as ${response.id}`));
  }

  #over(): QbFailure | undefined {
    return this.#end ?? (this.#closed ? CLOSED : undefined);
  }

  #lookAlive(): QbFailure | undefined {
    return this.#set.vanished ? vanished() : this.#link.end();
  }

  #mayNotSend(): QbFailure | undefined {
    const over = this.#over();
    if (over !== undefined) return over;
    const { request } = this.#set.rings;
    const level = flowControlOf(request);
    if (level > 0 && level <= this.fcEnableMax) return stopped(level);
    if (headerFacts(request).references !== REFERENCES) {
      const end = this.#lookAlive();
      return this.#ends(end ?? disconnected("the server dropped its request ring"));
    }
    return undefined;
  }

  #notify(more: number): QbFailure | undefined {
    const failure = this.#link.notify(more);
    return failure && this.#ends(failure);
  }

  #ends(failure: QbFailure): QbFailure {
    this.#end ??= failure;
    return failure;
  }

  /** Disconnects. Removes the ring files only when the server is dead; safe to call again. */
  close(): void {
    if (this.#closed) return;
    this.#link.unwatch();
    const serverIsGone = this.#lookAlive() !== undefined && !isAlive(this.server.pid);
    this.#closed = true;
    if (!this.#set.vanished) dropReferences(this.#set);
    this.#set[Symbol.dispose]();
    this.#link.close();
    if (serverIsGone) removeFiles(this.#place);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
