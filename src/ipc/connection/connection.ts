/**
 * One client: takes its requests from the ring, has them answered, in order, and ends when it
 * leaves or breaks the protocol. Owns the rings; is freed only when nothing of it is on the stack.
 * Counterpart: qb_ipcs_connection (libqb ipcs.c).
 */
import { errorText } from "../../base/error-text.ts";
import { Errno } from "../../base/errno.ts";
import type { RingDirectory } from "../../shm/ring-directory.ts";
import { setFlowControl } from "../../shm/ring-set.ts";
import { BROKEN, NOTHING, RingReader, RingWriter } from "../../shm/ring.ts";
import { vanishedCount } from "../../platform/memory.ts";
import { FlowControl, QbMessage, RequestHeader } from "../../wire/qb.ts";
import type { Caller, Handler, Peer, Reply, Request } from "../handler.ts";
import { Latencies } from "./latencies.ts";
import { writeMessage } from "./message-writer.ts";
import { Pace } from "../scheduling/request-gap.ts";
import type { Polled, PollSettings } from "../scheduling/ring-poller.ts";
import { AnswerQueue } from "./reply-queue.ts";
import type { RequestMemory, ScratchPool } from "./request-buffers.ts";
import { type ConnectionStats, newConnectionStats } from "./stats.ts";
import { TurnClock } from "../scheduling/turn-budget.ts";

/** The setup socket, as a connection uses it: one byte per event, and the end. */
export interface Wire {
  readonly fd: number;
  /** Sends `count` notify bytes; how many went out. */
  notify(count: number): number;
  close(): void;
}

/** What a connection needs of its service. */
export interface ConnectionHost {
  readonly handler: Handler;
  readonly scratch: ScratchPool;
  readonly queuedRequests: number;
  readonly outstandingNotifies: number;
  readonly poll: PollSettings;
  /** A reply waits for room: call `retry` again soon. */
  stalled(connection: Connection): void;
  /** There may be more to serve: call `serve` again, after others had their turn. */
  more(connection: Connection): void;
  /** It is over: its memory must not be looked at any more. */
  ended(connection: Connection, end: End): void;
  /** Removes the rings of a connection that has ended, when it is their turn. */
  discard(rings: RingDirectory, peer: Caller): void;
}

/** Why a connection ended; `violation` when its peer broke the protocol. */
export interface End {
  readonly reason: string;
  readonly violation: boolean;
}

type MutableRequest = { -readonly [K in keyof Request]: Request[K] };

const HUNG_UP: End = { reason: "hung up", violation: false };
const TRUNCATED: End = { reason: "truncated its ring files", violation: true };

const ID = RequestHeader.offset.id >> 2;
const SIZE = RequestHeader.offset.size >> 2;

/** A request ring filled to this part stops even clients that do not expect it. */
const SATURATED = 0.75;

export class Connection implements Peer, Polled {
  readonly number: number;
  readonly caller: Caller;
  readonly stats: ConnectionStats;
  readonly pace: Pace;
  /** From a request's being seen here to its answer's being sent. */
  readonly latencies = new Latencies();
  readonly semaphoreAddress: number;
  readonly notifyFd: number;
  readonly openedAt = Date.now();
  readonly #host: ConnectionHost;
  readonly #wire: Wire;
  readonly #rings: RingDirectory;
  readonly #requests: RingReader;
  readonly #responses: RingWriter;
  readonly #events: RingWriter;
  readonly #answers: AnswerQueue;
  /** Used again for each request; one whose answer is awaited keeps it. */
  #request: MutableRequest;
  readonly #turn: TurnClock;
  #vanished = vanishedCount();
  /** The reply that found no room, and since when it waits. */
  #held: { id: number; reply: Reply; since: number } | undefined;
  #outstanding = 0;
  #heldLevel: 0 | 1 | 2 = FlowControl.ON;
  #serving = false;
  #end: End | undefined;

  constructor(
    number: number,
    caller: Caller,
    rings: RingDirectory,
    maxMessageBytes: number,
    wire: Wire,
    host: ConnectionHost,
  ) {
    this.number = number;
    this.caller = caller;
    this.#rings = rings;
    this.#wire = wire;
    this.#host = host;
    this.pace = new Pace(host.poll);
    this.stats = newConnectionStats(caller.pid);
    const { request, response, event } = rings.set.rings;
    this.semaphoreAddress = request.semaphoreAddress;
    this.notifyFd = wire.fd;
    this.#requests = new RingReader(request, RequestHeader.size, maxMessageBytes);
    this.#responses = new RingWriter(response);
    this.#events = new RingWriter(event);
    this.#request = this.#newRequest();
    this.#turn = new TurnClock(host.poll.perWakeUs * 1000);
    this.#answers = new AnswerQueue(host.queuedRequests, (end) => this.#settled(end));
  }

  /** True once the end is decided; nothing is served or sent any more. */
  get ended(): boolean {
    return this.#end !== undefined;
  }

  /** Since when a reply waits for room (Date.now()), undefined when none does. */
  get stalledSince(): number | undefined {
    return this.#held?.since;
  }

  /** True while answers are awaited or wait for room. */
  get underWay(): boolean {
    return this.#held !== undefined || this.#answers.length > 0;
  }

  /** How often a reply had to wake the client. */
  get wakes(): number {
    return this.#responses.wakes;
  }

  /**
   * Serves up to `limit` of the requests that are in the ring now; how many. What comes meanwhile
   * waits for its turn: a client on our processor would go on and on. Slow requests are left for
   * later turns, too. Never throws.
   */
  serve(limit: number): number {
    if (this.ended || this.#serving) return 0;
    this.#serving = true;
    const posted = Math.min(limit, this.#requests.posted);
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
    else if (isOver || served === limit) this.#host.more(this);
    return served;
  }

  /** Late answers are timed one by one, when they are sent. */
  took(ns: number, count: number): void {
    if (count > 0 && !this.underWay) this.latencies.record(ns / count, count);
  }

  /** The notify bytes of a wake-up have been read: serves what is there. */
  wake(limit: number): number {
    if (this.#held !== undefined) this.retry();
    const served = this.serve(limit);
    if (served === 0) this.stats.recvRetries++;
    return served;
  }

  /** Tries the held reply again; true when it is sent and requests are taken again. */
  retry(): boolean {
    const held = this.#held;
    if (held === undefined || this.ended) return true;
    this.#held = undefined;
    this.#send(held.id, held.reply, held.since);
    if (this.#held !== undefined) return false;
    this.#flush();
    return this.#held === undefined;
  }

  sendEvent(id: number, body: Uint8Array): 0 | Errno {
    if (this.ended) return Errno.ENOTCONN;
    if (this.#outstanding >= this.#host.outstandingNotifies) return Errno.EAGAIN;
    const result = writeMessage(this.#events, id, 0, body);
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

  /** Sends the notify bytes that are owed: at an event, and when the socket drains. */
  flushNotifies(): void {
    if (this.#outstanding === 0 || this.ended) return;
    this.#outstanding -= this.#wire.notify(this.#outstanding);
  }

  holdRequests(level: 0 | 1 | 2): void {
    this.#heldLevel = level;
    this.#regulate();
  }

  disconnect(reason: string): void {
    this.end({ reason, violation: false });
  }

  /** The setup socket reported the end of the stream. */
  hungUp(): void {
    this.end(HUNG_UP);
  }

  /** Ends it now, or as soon as the request on the stack is done. */
  end(end: End): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    if (!this.#serving) this.#finish(end);
  }

  #finish(end: End): void {
    // Its peer reads nothing after this, so what is queued is dropped with the rings.
    this.#answers.drop();
    this.#held = undefined;
    this.#host.ended(this, end);
    this.#wire.close();
    this.#host.discard(this.#rings, this.caller);
  }

  #violate(reason: string): void {
    this.end({ reason, violation: true });
  }

  #checkVanished(): void {
    this.#vanished = vanishedCount();
    if (this.#rings.set.vanished) this.end(TRUNCATED);
  }

  #takesRequests(): boolean {
    if (this.#held !== undefined) return false;
    if (!this.#answers.full) return true;
    this.#regulate();
    return false;
  }

  #serveOne(size: number): void {
    const memory = this.#host.scratch.current;
    this.#requests.copyTo(memory.scratch);
    this.#requests.reclaim();
    // Zeroes of ours where the client's message was are nobody's request.
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
    const { handler } = this.#host;
    const request = this.#request;
    request.id = id;
    request.span = memory.span;
    let reply: Reply | Promise<Reply>;
    try {
      if (sound) reply = handler.handle(request);
      else reply = handler.malformed?.(request) ?? Errno.EINVAL;
    } catch (error) {
      this.#failed(id, error);
      return;
    }
    if (typeof reply === "number" || reply instanceof Uint8Array) {
      if (this.#answers.length === 0) this.#send(id, reply, 0);
      else this.#answers.push(id, kept(reply));
      return;
    }
    this.#request = this.#newRequest();
    this.#answers.await(id, reply, this.#host.scratch.lend(memory));
    this.stats.eventQueueLength = this.#answers.length;
  }

  #newRequest(): MutableRequest {
    return { id: 0, span: this.#host.scratch.current.span, caller: this.caller, peer: this };
  }

  #failed(id: number, error: unknown): void {
    const what = errorText(error);
    this.end({ reason: `serving request ${id} failed: ${what}`, violation: false });
  }

  /** Sends one reply, or holds it when there is no room; `since` when it began to wait. */
  #send(id: number, reply: Reply, since: number): void {
    if (this.#end !== undefined) return;
    const isError = typeof reply === "number";
    const body = isError ? NO_BODY : reply;
    const result = writeMessage(this.#responses, id, isError ? reply : 0, body);
    if (result === 0) {
      this.stats.responses++;
      this.stats.responseBytes += body.byteLength;
      if (isError) this.stats.errors++;
      return;
    }
    if (result === Errno.EMSGSIZE) {
      this.#send(id, Errno.EMSGSIZE, since);
    } else if (result === Errno.EAGAIN) {
      this.stats.sendRetries++;
      // Copied when it begins to wait, not each time it is tried again.
      if (since === 0) this.#held = { id, reply: kept(reply), since: Date.now() };
      else this.#held = { id, reply, since };
      this.#host.stalled(this);
    } else {
      this.#violate("scribbled over its response ring");
    }
  }

  /** An asynchronous answer has come: sends what is due, and takes requests again. */
  #settled(failure: { id: number; error: unknown } | undefined): void {
    if (this.ended) return;
    if (failure !== undefined) {
      this.#failed(failure.id, failure.error);
      return;
    }
    const wasFull = this.#answers.full;
    this.#flush();
    if (wasFull && !this.ended) this.#host.more(this);
  }

  #flush(): void {
    for (;;) {
      if (this.#held !== undefined || this.ended) break;
      const due = this.#answers.shift();
      if (due === undefined) break;
      this.#send(due.id, due.reply, 0);
      this.latencies.record(Bun.nanoseconds() - due.sinceNs, 1);
      due.done();
    }
    this.stats.eventQueueLength = this.#answers.length;
    this.#regulate();
  }

  /** Sets the flow control word to what the queue, the ring and the handler ask for. */
  #regulate(): void {
    if (this.ended) return;
    let level: 0 | 1 | 2 = this.#heldLevel;
    if (this.#answers.full && level !== FlowControl.STOP) {
      const { wordCount } = this.#rings.set.rings.request;
      const saturated = this.#requests.backlogWords > wordCount * SATURATED;
      level = saturated ? FlowControl.STOP : FlowControl.STOP_WILLING;
    }
    if (level === this.stats.flowControlState) return;
    if (level !== FlowControl.ON) this.stats.flowControlCount++;
    this.stats.flowControlState = level;
    setFlowControl(this.#rings.set.rings.request, level);
  }
}

const NO_BODY = new Uint8Array(0);

/** A reply that has to wait, out of memory that the next request will use. */
function kept(reply: Reply): Reply {
  // Not slice(): of a Buffer that is a view.
  return typeof reply === "number" ? reply : new Uint8Array(reply);
}
