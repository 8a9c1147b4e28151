/**
 * Every request as one line of the log, while debug is on. Off it costs nothing: no handler stands
 * around the handler, whose own methods are exchanged when debug goes on, and back when it goes
 * off. Bounded as the log is: of a flood each client has its share of lines, the others are
 * counted, and are neither decoded nor timed.
 */
import { Errno, errnoName } from "../base/errno.ts";
import type { Handler, Reply, Request } from "../ipc/handler.ts";
import { LogLimits } from "../base/limits.ts";
import { LineBudget, type Log } from "../base/log.ts";

/** `get-config path="storage.cfg"`: what is asked, without what is secret. */
export type RequestText = (id: number, body: Buffer) => string;

const NS_PER_US = 1000;

function outcomeOf(reply: Reply): string {
  return typeof reply === "number" ? errnoName(reply) : `${reply.byteLength} bytes`;
}

export class RequestLog {
  readonly #handler: Handler;
  readonly #handle: Handler["handle"];
  readonly #malformed: Handler["malformed"];
  readonly #text: RequestText;
  readonly #log: Log;
  readonly #budget: LineBudget;

  /** `handler` is the one that the service asks. */
  constructor(handler: Handler, text: RequestText, log: Log) {
    this.#handler = handler;
    this.#handle = handler.handle;
    this.#malformed = handler.malformed;
    this.#text = text;
    this.#log = log;
    const { requestLinesPerSecond: perSecond, requestLinesOfOne: ofOne } = LogLimits;
    this.#budget = new LineBudget(perSecond, ofOne, (leftOut, busiest) => {
      log.debug(`${leftOut} more requests in the last second, left out; most from #${busiest}`);
    });
  }

  show(on: boolean): void {
    const handler = this.#handler;
    handler.handle = on ? (request) => this.#logged(request) : this.#handle;
    if (on) handler.malformed = (request) => this.#loggedMalformed(request);
    else if (this.#malformed === undefined) delete handler.malformed;
    else handler.malformed = this.#malformed;
  }

  #logged(request: Request): Reply | Promise<Reply> {
    if (!this.#budget.take(request.peer.number)) return this.#handle.call(this.#handler, request);
    // Now: when a late answer comes, the request's memory is another one's.
    const asked = this.#describe(request);
    const startNs = Bun.nanoseconds();
    const answered = (reply: Reply): Reply => {
      this.#say(asked, outcomeOf(reply), startNs);
      return reply;
    };
    const failed = (error: unknown): never => {
      this.#say(asked, `failed: ${String(error)}`, startNs);
      throw error;
    };
    try {
      const reply = this.#handle.call(this.#handler, request);
      const isThere = typeof reply === "number" || reply instanceof Uint8Array;
      return isThere ? answered(reply) : reply.then(answered, failed);
    } catch (error) {
      return failed(error);
    }
  }

  #loggedMalformed(request: Request): Errno {
    const startNs = Bun.nanoseconds();
    const errno = this.#malformed?.call(this.#handler, request) ?? Errno.EINVAL;
    if (this.#budget.take(request.peer.number)) {
      const outcome = `${errnoName(errno)} (its header lies about its size)`;
      this.#say(this.#describe(request), outcome, startNs);
    }
    return errno;
  }

  /** `#7 pid 4711 uid 33 get-config path="storage.cfg"`. */
  #describe({ id, span, caller, peer }: Request): string {
    const body = span.bytes.subarray(span.at, span.at + span.size);
    const text = this.#text(id, body).trimEnd();
    const most = LogLimits.requestChars;
    const what = text.length > most ? `${text.slice(0, most)}...` : text;
    return `#${peer.number} pid ${caller.pid} uid ${caller.uid} ${what}`;
  }

  #say(asked: string, outcome: string, startNs: number): void {
    const us = (Bun.nanoseconds() - startNs) / NS_PER_US;
    this.#log.debug(`${asked} -> ${outcome}, ${us.toFixed(1)} us`);
  }
}
