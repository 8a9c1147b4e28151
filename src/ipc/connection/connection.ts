/**
 * The connection of one client: takes requests from the ring, has the handler answer them in order,
 * and ends when the client leaves or breaks the protocol. Owns the rings; they are freed only when
 * none of its methods is on the stack. Counterpart: qb_ipcs_connection (libqb ipcs.c).
 */
import { Errno } from "../../base/errno.ts";
import type { RingDirectory } from "../../shm/ring-directory.ts";
import { setFlowControl } from "../../shm/ring-set.ts";
import { BROKEN, NOTHING, RingReader, RingWriter } from "../../shm/ring.ts";
import { vanishedCount } from "../../platform/memory.ts";
import { FlowControl, QbMessage, RequestHeader } from "../../wire/qb.ts";
import { type Caller, EMPTY_REPLY, type Handler, NO_REPLY, type Peer } from "../handler.ts";
import type { Reply } from "../handler.ts";
import { RequestGapPredictor } from "../scheduling/request-gap.ts";
import type { Polled, PollSettings } from "../scheduling/ring-poller.ts";
import type { Runnable } from "../scheduling/run-queue.ts";
import { TurnBudget } from "../scheduling/turn-budget.ts";
import { type CloseReason, HUNG_UP, TRUNCATED } from "./close-reason.ts";
import { Latencies } from "./latencies.ts";
import { isReply, keepReply, workAfter } from "./reply.ts";
import { MessageWriter } from "./message-writer.ts";
import { ReplyQueue } from "./reply-queue.ts";
import type { MutableRequest, RequestBuffers, RequestMemory } from "./request-buffers.ts";
import { type ConnectionStats, newConnectionStats } from "./stats.ts";

/** The setup socket as a connection uses it: for one notify byte per event, and to close it. */
export interface SetupChannel {
  readonly fd: number;
  /** Sends up to `count` notify bytes; returns how many were sent. */
  notify(count: number): number;
  /** While quiet, notify bytes of the client do not wake the event loop. */
  setQuiet(isQuiet: boolean): void;
  close(): void;
}

/** What a connection needs of its service. */
export interface ConnectionCallbacks {
  readonly handler: Handler;
  readonly buffers: RequestBuffers;
  readonly queuedRequests: number;
  readonly outstandingNotifies: number;
  readonly poll: PollSettings;
  /** A reply waits for room in the response ring: call `retry` soon. */
  onStalled(connection: Connection): void;
  /** There may be more requests: call `serve` again after the other connections' turns. */
  onMore(connection: Connection): void;
  /** The connection has ended: its memory must not be read any more. */
  onEnded(connection: Connection, reason: CloseReason): void;
  /** Queues the rings of a connection that has ended for removal. */
  dispose(rings: RingDirectory, peer: Caller): void;
}

const ID = RequestHeader.offset.id >> 2;
const SIZE = RequestHeader.offset.size >> 2;

/** From this fill level of the request ring on, all clients stop, not only those that asked to. */
const SATURATED = 0.75;

export class Connection implements Peer, Polled, Runnable {
  readonly number: number;
  readonly caller: Caller;
  readonly stats: ConnectionStats;
  readonly predictor: RequestGapPredictor;
  /** Times from finding a request to sending its reply. */
  readonly latencies = new Latencies();
  readonly semaphoreAddress: number;
  readonly notifyFd: number;
  readonly openedAt = Date.now();
  answeredNs = 0;
  readonly #callbacks: ConnectionCallbacks;
  readonly #channel: SetupChannel;
  readonly #rings: RingDirectory;
  readonly #requests: RingReader;
  readonly responses: MessageWriter;
  readonly #events: MessageWriter;
  readonly #replies: ReplyQueue;
  /** Reused for each request; a request whose reply is awaited keeps it. */
  #request: MutableRequest;
  readonly #turn: TurnBudget;
  #vanished = vanishedCount();
  /** The reply that waits for room in the response ring, and since when (performance.now()). */
  #held: { id: number; reply: Reply; since: number } | undefined;
  #outstanding = 0;
  #heldLevel: 0 | 1 | 2 = FlowControl.ON;
  #serving = false;
  #backToBackNs = 0;
  #end: CloseReason | undefined;

  constructor(
    number: number,
    caller: Caller,
    rings: RingDirectory,
    maxMessageBytes: number,
    channel: SetupChannel,
    callbacks: ConnectionCallbacks,
  ) {
    this.number = number;
    this.caller = caller;
    this.#rings = rings;
    this.#channel = channel;
    this.#callbacks = callbacks;
    this.predictor = new RequestGapPredictor(callbacks.poll);
    this.stats = newConnectionStats(caller.pid);
    const { request, response, event } = rings.set.rings;
    this.semaphoreAddress = request.semaphoreAddress;
    this.notifyFd = channel.fd;
    this.#requests = new RingReader(request, RequestHeader.size, maxMessageBytes);
    const isConstant = callbacks.handler.repliesAreConstant ?? false;
    this.responses = new MessageWriter(new RingWriter(response), isConstant);
    this.#events = new MessageWriter(new RingWriter(event), false);
    this.#request = this.#newRequest();
    this.#turn = new TurnBudget(callbacks.poll.perConnectionUs * 1000);
    this.#replies = new ReplyQueue(callbacks.queuedRequests, (end) => this.#settled(end));
  }

  /** True once the end is decided; nothing is served or sent any more. */
  get ended(): boolean {
    return this.#end !== undefined;
  }

  /** Since when a reply waits for room (performance.now()); undefined if none does. */
  get stalledSince(): number | undefined {
    return this.#held?.since;
  }

  /** True while replies are awaited or wait for room. */
  get underWay(): boolean {
    return this.#held !== undefined || this.#replies.length > 0;
  }

  /** The ring has requests, or may have been truncated, which `serve` checks. */
  get hasRequests(): boolean {
    if (this.ended) return false;
    return this.#requests.pendingCount > 0 || vanishedCount() !== this.#vanished;
  }

  /**
   * Serves up to `limit` of the requests that are in the ring now; returns how many. Requests that
   * arrive meanwhile, and those left when the turn budget is used up, wait for the next turn. Never
   * throws.
   */
  serve(limit: number, backToBackNs = 0): number {
    if (this.ended || this.#serving) return 0;
    this.#serving = true;
    this.#backToBackNs = backToBackNs;
    const posted = Math.min(limit, this.#requests.pendingCount);
    let served = 0;
    let isOver = false;
    this.#turn.begin();
    while (served < posted && this.#end === undefined && this.#takesRequests()) {
      isOver = this.#turn.isOver(served);
      if (isOver) break;
      const size = this.#requests.peek();
      if (size === NOTHING) break;
      if (size === BROKEN) {
        this.#violate("wrote a chunk that no libqb client writes");
        break;
      }
      served++;
      this.#serveOne(size);
    }
    if (vanishedCount() !== this.#vanished) this.#checkVanished();
    this.#serving = false;
    if (this.#end !== undefined) this.#finish(this.#end);
    else if (isOver || served === limit) this.#callbacks.onMore(this);
    return served;
  }

  /** Does nothing while replies are pending: those are timed one by one, when they are sent. */
  recordLatency(ns: number, count: number): void {
    if (count > 0 && !this.underWay) this.latencies.record(ns / count, count);
  }

  setQuiet(isQuiet: boolean): void {
    this.#channel.setQuiet(isQuiet);
  }

  /** Tries the held reply again; true when it is sent and requests are taken again. */
  retry(): boolean {
    const held = this.#held;
    if (held === undefined || this.ended) return true;
    this.#held = undefined;
    this.#reply(held.id, held.reply, held.since);
    if (this.#held === undefined) this.#flush();
    return this.#held === undefined;
  }

  sendEvent(id: number, body: Uint8Array): 0 | Errno {
    if (this.ended) return Errno.ENOTCONN;
    if (this.#outstanding >= this.#callbacks.outstandingNotifies) return Errno.EAGAIN;
    const result = this.#events.write(id, 0, body);
    if (result === Errno.EPROTO) {
      this.#violate("scribbled over its event ring");
      return Errno.ENOTCONN;
    }
    if (result !== 0) return result;
    this.stats.events++;
    this.#outstanding++;
    this.flushNotifies();
    return 0;
  }

  /** Sends the notify bytes that are owed: after an event, and when the socket has room again. */
  flushNotifies(): void {
    if (this.#outstanding === 0 || this.ended) return;
    this.#outstanding -= this.#channel.notify(this.#outstanding);
  }

  holdRequests(level: 0 | 1 | 2): void {
    this.#heldLevel = level;
    this.#regulate();
  }

  disconnect(reason: string): void {
    this.end({ kind: "normal", reason });
  }

  /** The setup socket reported the end of the stream. */
  hungUp(): void {
    this.end(HUNG_UP);
  }

  /** Ends it now, or as soon as the request on the stack is done. */
  end(reason: CloseReason): void {
    if (this.#end !== undefined) return;
    this.#end = reason;
    if (!this.#serving) this.#finish(reason);
  }

  /** Ends it because `action` threw: a bug in the handler or in this server. */
  fail(action: string, error: unknown): void {
    this.end({ kind: "failure", reason: `${action} failed`, error });
  }

  #finish(reason: CloseReason): void {
    // The peer reads nothing after this, so queued replies are dropped with the rings.
    this.#replies.drop();
    this.#held = undefined;
    this.#callbacks.onEnded(this, reason);
    this.#channel.close();
    this.#callbacks.dispose(this.#rings, this.caller);
  }

  #violate(reason: string): void {
    this.end({ kind: "violation", reason });
  }

  #checkVanished(): void {
    this.#vanished = vanishedCount();
    if (this.#rings.set.vanished) this.end(TRUNCATED);
  }

  #takesRequests(): boolean {
    if (this.#held !== undefined) return false;
    if (!this.#replies.full) return true;
    this.#regulate();
    return false;
  }

  #serveOne(size: number): void {
    const memory = this.#callbacks.buffers.current;
    this.#requests.copyTo(memory.scratch);
    this.#requests.reclaim();
    // The SIGBUS guard may have zero-filled this page: do not parse it.
    if (vanishedCount() !== this.#vanished) this.#checkVanished();
    if (this.#end !== undefined) return;
    const { words } = memory.scratch;
    const id = words[ID] ?? 0;
    const claimed = words[SIZE] ?? 0;
    this.stats.requests++;
    this.stats.requestBytes += size;
    if (id === QbMessage.DISCONNECT) {
      this.end(HUNG_UP);
      return;
    }
    const sound = claimed >= RequestHeader.size && claimed <= size;
    memory.span.at = RequestHeader.size;
    memory.span.size = Math.max(RequestHeader.size, Math.min(claimed, size)) - RequestHeader.size;
    this.#ask(id, memory, sound);
  }

  #ask(id: number, memory: RequestMemory, sound: boolean): void {
    const { handler } = this.#callbacks;
    const request = this.#request;
    request.id = id;
    request.backToBackNs = this.#backToBackNs;
    request.span = memory.span;
    let reply: Reply | Promise<Reply>;
    try {
      if (sound) reply = handler.handle(request);
      else reply = handler.malformed?.(request) ?? Errno.EINVAL;
    } catch (error) {
      this.fail(`serving request ${id}`, error);
      return;
    }
    if (typeof reply === "number" || reply instanceof Uint8Array || isReply(reply)) {
      if (this.#replies.length === 0) this.#reply(id, reply, 0);
      else this.stats.eventQueueLength = this.#replies.push(id, keepReply(reply));
      this.#finishReply(id, reply);
      return;
    }
    this.#request = this.#newRequest();
    const freed = this.#callbacks.buffers.lend(memory);
    this.stats.eventQueueLength = this.#replies.await(id, reply, freed);
  }

  #newRequest(): MutableRequest {
    const { span } = this.#callbacks.buffers.current;
    return { id: 0, backToBackNs: 0, span, caller: this.caller, peer: this };
  }

  /** Does the work that a handler left until after its reply. */
  #finishReply(id: number, reply: Reply): void {
    try {
      workAfter(reply)?.();
    } catch (error) {
      this.fail(`finishing request ${id}`, error);
    }
  }

  /** Sends one reply, or holds it when there is no room; `since` when it began to wait. */
  #reply(id: number, reply: Reply, since: number): void {
    if (reply instanceof Uint8Array) this.#send(id, 0, reply, reply, since);
    else if (typeof reply === "number") this.#send(id, reply, EMPTY_REPLY, reply, since);
    else if (reply !== NO_REPLY) {
      const { id: chosen = id, error = 0, body = EMPTY_REPLY } = reply;
      this.#send(chosen, error, body, reply, since);
    }
  }

  #send(id: number, error: number, body: Uint8Array, reply: Reply, since: number): void {
    if (this.#end !== undefined) return;
    this.answeredNs = this.#requests.pendingCount > 0 ? 0 : Bun.nanoseconds();
    const result = this.responses.write(id, error, body);
    if (result === 0) {
      this.stats.responses++;
      this.stats.responseBytes += body.byteLength;
      if (error !== 0) this.stats.errors++;
      return;
    }
    if (result === Errno.EMSGSIZE) {
      this.#reply(id, Errno.EMSGSIZE, since);
    } else if (result === Errno.EAGAIN) {
      this.stats.sendRetries++;
      // Copied when it begins to wait, not each time it is tried again.
      if (since === 0) this.#held = { id, reply: keepReply(reply), since: performance.now() };
      else this.#held = { id, reply, since };
      this.#callbacks.onStalled(this);
    } else {
      this.#violate("scribbled over its response ring");
    }
  }

  /** An asynchronous reply has come: sends what is due, and takes requests again. */
  #settled(failure: { id: number; error: unknown } | undefined): void {
    if (this.ended) return;
    if (failure !== undefined) {
      this.fail(`serving request ${failure.id}`, failure.error);
      return;
    }
    const wasFull = this.#replies.full;
    this.#flush();
    if (wasFull && !this.ended) this.#callbacks.onMore(this);
  }

  #flush(): void {
    for (;;) {
      if (this.#held !== undefined || this.ended) break;
      const due = this.#replies.shift();
      if (due === undefined) break;
      this.#reply(due.id, due.reply, 0);
      this.latencies.record(Bun.nanoseconds() - due.sinceNs, 1);
      due.done();
    }
    this.stats.eventQueueLength = this.#replies.length;
    this.#regulate();
  }

  /** Sets the flow control word to what the queue, the ring and the handler ask for. */
  #regulate(): void {
    if (this.ended) return;
    let level: 0 | 1 | 2 = this.#heldLevel;
    if (this.#replies.full && level !== FlowControl.RATE_OFF) {
      const { wordCount } = this.#rings.set.rings.request;
      const saturated = this.#requests.backlogWords > wordCount * SATURATED;
      level = saturated ? FlowControl.RATE_OFF : FlowControl.RATE_OFF_2;
    }
    if (level === this.stats.flowControlState) return;
    if (level !== FlowControl.ON) this.stats.flowControlCount++;
    this.stats.flowControlState = level;
    setFlowControl(this.#rings.set.rings.request, level);
  }
}
