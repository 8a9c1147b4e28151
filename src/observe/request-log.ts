/**
 * Logs every request as one line while debug is on: a Handler around another one. While it is off,
 * it costs one test per request. Rate-limited, in total and per connection; requests above the
 * limits are counted, but neither decoded nor timed.
 */
import { counted } from "../base/counted.ts";
import { Errno, errnoName } from "../base/errno.ts";
import {
  type Handler,
  NO_REPLY,
  type Reply,
  replyBody,
  replyError,
  type Request,
} from "../ipc/handler.ts";
import { LogLimits } from "../base/limits.ts";
import { LineBudget, type Log } from "../base/log.ts";

/** The text of a request without its secrets: `get-config path="storage.cfg"`. */
export type RequestText = (id: number, body: Buffer) => string;

const NS_PER_US = 1000;

function outcomeOf(reply: Reply): string {
  if (reply === NO_REPLY) return "no reply";
  const error = replyError(reply);
  const { byteLength } = replyBody(reply);
  if (error === 0) return `${byteLength} bytes`;
  return byteLength === 0 ? errnoName(error) : `${errnoName(error)} and ${byteLength} bytes`;
}

export class RequestLog implements Handler {
  readonly #inner: Handler;
  readonly #text: RequestText;
  readonly #log: Log;
  readonly #budget: LineBudget;
  #isOn = false;
  readonly refusal?: NonNullable<Handler["refusal"]>;

  constructor(inner: Handler, text: RequestText, log: Log) {
    this.#inner = inner;
    this.#text = text;
    this.#log = log;
    const { requestLinesPerSecond: perSecond, requestLinesPerConnection: ofOne } = LogLimits;
    this.#budget = new LineBudget(perSecond, ofOne, (leftOut, busiest) => {
      const requests = counted(leftOut, "more request");
      log.debug(`left out ${requests} in the last second, most from #${busiest}`);
    });
    if (inner.refusal !== undefined) {
      this.refusal = (peer, command) => inner.refusal?.(peer, command) ?? "";
    }
  }

  /** Switches the logging of requests on or off. */
  show(isOn: boolean): void {
    this.#isOn = isOn;
  }

  get repliesAreConstant(): boolean {
    return this.#inner.repliesAreConstant ?? false;
  }

  authenticate(peer: Parameters<Handler["authenticate"]>[0]): ReturnType<Handler["authenticate"]> {
    return this.#inner.authenticate(peer);
  }

  handle(request: Request): Reply | Promise<Reply> {
    return this.#isOn ? this.#logged(request) : this.#inner.handle(request);
  }

  malformed(request: Request): Errno {
    if (this.#isOn) return this.#loggedMalformed(request);
    return this.#inner.malformed?.(request) ?? Errno.EINVAL;
  }

  connected(peer: Request["peer"]): void {
    this.#inner.connected?.(peer);
  }

  disconnected(peer: Request["peer"]): void {
    this.#inner.disconnected?.(peer);
  }

  #logged(request: Request): Reply | Promise<Reply> {
    if (!this.#budget.take(request.peer.number)) return this.#inner.handle(request);
    // Described now: when a late reply comes, another request may use the memory.
    const asked = this.#describe(request);
    const startNs = Bun.nanoseconds();
    const answered = (reply: Reply): Reply => {
      this.#write(asked, outcomeOf(reply), startNs);
      return reply;
    };
    const failed = (error: unknown): never => {
      this.#write(asked, `failed: ${String(error)}`, startNs);
      throw error;
    };
    try {
      const reply = this.#inner.handle(request);
      return reply instanceof Promise ? reply.then(answered, failed) : answered(reply);
    } catch (error) {
      return failed(error);
    }
  }

  #loggedMalformed(request: Request): Errno {
    const startNs = Bun.nanoseconds();
    const errno = this.#inner.malformed?.(request) ?? Errno.EINVAL;
    if (this.#budget.take(request.peer.number)) {
      const outcome = `${errnoName(errno)} (its header's size is wrong)`;
      this.#write(this.#describe(request), outcome, startNs);
    }
    return errno;
  }

  /** The text of the line: `#7 pid 4711 uid 33 get-config path="storage.cfg"`. */
  #describe({ id, span, caller, peer }: Request): string {
    const body = span.bytes.subarray(span.at, span.at + span.size);
    const text = this.#text(id, body).trimEnd();
    const most = LogLimits.requestChars;
    const what = text.length > most ? `${text.slice(0, most)}...` : text;
    return `#${peer.number} pid ${caller.pid} uid ${caller.uid} ${what}`;
  }

  #write(request: string, outcome: string, startNs: number): void {
    const us = (Bun.nanoseconds() - startNs) / NS_PER_US;
    this.#log.debug(`${request} -> ${outcome}, ${us.toFixed(1)} us`);
  }
}
