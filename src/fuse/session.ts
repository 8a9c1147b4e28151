/**
 * A FUSE session on one device: reads requests, asks the file system, writes answers. Nothing a
 * kernel or a process behind it sends ends the session but an unmount or an abort (ENODEV).
 * Requests are answered in the order in which they are read, except changes that wait.
 */
import { Errno, errnoText } from "../base/errno.ts";
import type { Log } from "../base/log.ts";
import type { FuseDevice } from "../platform/fuse-device.ts";
import { spanOf } from "../wire/struct.ts";
import { Answer, isErrno } from "./answer.ts";
import type { FileSystem } from "./file-system.ts";
import { BatchForgetIn, ForgetIn, ForgetOne, InHeader, InterruptIn, OutHeader } from "./layouts.ts";
import { DevicePoll } from "./device-poll.ts";
import { negotiate, type Negotiated } from "./negotiation.ts";
import { NOTIFY_INC_EPOCH, NOTIFY_RESEND, Opcode, opcodeName } from "./opcodes.ts";
import { OPERATIONS, type Operation } from "./operations.ts";
import { Asker, FuseRequest, requestNumber } from "./request.ts";

/** Requests read in one turn of the event loop. */
const REQUESTS_PER_TURN = 64;
/** A turn ends after this, whatever is still there: other sockets and timers get theirs. */
const TURN_NS = 1_500_000;
/** One poll for the next request. */
const POLL_NS = 20_000;

/**
 * Watches or changes what a session does. Each is called for every operation, so it is quick; it
 * may be set and removed while the session runs.
 */
export interface SessionHooks {
  /** An operation was answered: 0 or an errno, and the time since it was read. */
  answered?(opcode: number, error: number, ns: number): void;
  /** Before the file system is asked; an errno is answered instead, a promise waited for. */
  intercept?(request: FuseRequest, fs: FileSystem): number | Promise<number>;
  /** Before the file system is asked: what a trace shows of it; the function gets the result. */
  trace?(request: FuseRequest, fs: FileSystem): (error: number, ns: number) => void;
}

export interface SessionOptions {
  readonly device: FuseDevice;
  readonly fileSystem: FileSystem;
  readonly log: Log;
  /** The kernel ends the connection when a request waits longer than this; 0: never. */
  readonly requestTimeoutSeconds: number;
  /** What was agreed on by the server that had this device before. */
  readonly negotiated?: Negotiated;
  readonly hooks?: SessionHooks;
  /** False while others have a use for the thread when there is no request; true unless given. */
  readonly mayPoll?: () => boolean;
  /** INIT was answered: `negotiated` is set. */
  readonly initialized?: () => void;
}

/** A change that waits for its answer. */
export interface PendingOperation {
  readonly opcode: number;
  readonly asker: Asker;
  /** For people, made when it began to wait. */
  readonly path: string;
}

export class Session {
  readonly #device: FuseDevice;
  readonly #fs: FileSystem;
  readonly #log: Log;
  readonly #timeoutSeconds: number;
  readonly #request: FuseRequest;
  readonly #answer = new Answer();
  readonly #poll = new DevicePoll(POLL_NS);
  readonly #pending = new Map<number, PendingOperation>();
  readonly #initialized: (() => void) | undefined;
  readonly #hooks: SessionHooks;
  readonly #mayPoll: () => boolean;
  #negotiated: Negotiated | undefined;
  #ended = false;
  #canExpire = true;

  constructor(options: SessionOptions) {
    this.#device = options.device;
    this.#fs = options.fileSystem;
    this.#log = options.log;
    this.#timeoutSeconds = options.requestTimeoutSeconds;
    this.#request = new FuseRequest(spanOf(options.device.request));
    this.#initialized = options.initialized;
    this.#hooks = options.hooks ?? {};
    this.#mayPoll = options.mayPoll ?? (() => true);
    this.#negotiated = options.negotiated;
  }

  /** What was agreed on with the kernel; undefined before INIT. */
  get negotiated(): Negotiated | undefined {
    return this.#negotiated;
  }

  /** True after an unmount or an abort. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Changes that wait for their answer, oldest first. */
  get pending(): Iterable<PendingOperation> {
    return this.#pending.values();
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  /**
   * Serves what is there, for a turn at most. "more": the turn ended first; "idle": all is read;
   * "ended": the file system is unmounted, or its connection was aborted.
   */
  drain(): "more" | "idle" | "ended" {
    if (this.#ended) return "ended";
    const until = Bun.nanoseconds() + TURN_NS;
    for (let count = 0; count < REQUESTS_PER_TURN; count++) {
      const due = count === 0 ? 0 : this.#poll.take();
      const pollNs = due > 0 && this.#mayPoll() ? due : 0;
      const length = this.#device.read(pollNs);
      this.#poll.ended(pollNs, length !== Errno.EAGAIN);
      if (length === Errno.EAGAIN) return "idle";
      if (length < 0) return this.#end(length);
      this.#serve(length);
      if (this.#ended) return "ended";
      if (Bun.nanoseconds() > until) return "more";
    }
    return "more";
  }

  /**
   * At a take-over, before anything is read: has the kernel send again what was read and not
   * answered. It does not know by whom: what this session has read comes again, too.
   */
  resend(): void {
    const result = this.#notify(NOTIFY_RESEND);
    if (result < 0) this.#log.warn(`unanswered requests are lost: ${errnoText(result)}`);
  }

  /**
   * The tree changed behind the kernel's back: names and attributes it has cached are asked for
   * anew. Takes no lock in the kernel, so it may be called while a request waits. Before Linux 6.16
   * it does nothing: what is cached there is a second old at most.
   */
  expireNames(): void {
    if (this.#ended || !this.#canExpire) return;
    if (this.#notify(NOTIFY_INC_EPOCH) < 0) this.#canExpire = false;
  }

  /** A notification without a body: its code stands where an answer has its error. */
  #notify(code: number): number {
    const head = Buffer.alloc(OutHeader.size);
    const span = spanOf(head);
    OutHeader.write.length(span, OutHeader.size);
    OutHeader.write.error(span, code);
    return this.#device.answer(head, OutHeader.size);
  }

  #end(error: number): "ended" {
    this.#ended = true;
    if (error !== Errno.ENODEV) this.#log.error(`reading /dev/fuse: ${errnoText(error)}`);
    for (const { asker } of this.#pending.values()) asker.interrupt();
    return "ended";
  }

  #serve(length: number): void {
    const request = this.#request;
    if (!request.take(length)) {
      // Nothing in it can be believed but, when there is a header, whom to answer.
      this.#log.warn(`malformed request of ${length} bytes from the kernel`);
      if (length >= InHeader.size) this.#send(request.uniqueLow, request.uniqueHigh, Errno.EIO);
      return;
    }
    if (this.#serveControl(request)) return;
    const { opcode, uniqueLow, uniqueHigh, body } = request;
    const row = OPERATIONS.get(opcode);
    if (this.#negotiated === undefined) this.#send(uniqueLow, uniqueHigh, Errno.EIO);
    else if (row === undefined) this.#finish(request, Errno.ENOSYS, 0);
    else if (body.size < row.bytes) this.#finish(request, Errno.EINVAL, 0);
    else this.#perform(request, row);
  }

  /** Requests of the protocol itself; those but INIT have no answer. */
  #serveControl(request: FuseRequest): boolean {
    switch (request.opcode) {
      case Opcode.INIT:
        this.#init(request);
        return true;
      case Opcode.FORGET:
        if (request.body.size >= ForgetIn.size) {
          this.#fs.forget(request.node, ForgetIn.read.lookups(request.body));
        }
        return true;
      case Opcode.BATCH_FORGET:
        this.#forgetBatch(request);
        return true;
      case Opcode.INTERRUPT:
        this.#interrupt(request);
        return true;
      case Opcode.DESTROY:
      case Opcode.NOTIFY_REPLY:
        if (request.opcode === Opcode.DESTROY) this.#finish(request, 0, 0);
        return true;
      default:
        return false;
    }
  }

  #init(request: FuseRequest): void {
    const { body, uniqueLow, uniqueHigh } = request;
    const result = negotiate(body, this.#answer, this.#timeoutSeconds);
    if (typeof result === "object") this.#negotiated = result;
    this.#send(uniqueLow, uniqueHigh, typeof result === "number" ? result : 0);
    if (typeof result === "object") this.#initialized?.();
  }

  #forgetBatch({ body }: FuseRequest): void {
    if (body.size < BatchForgetIn.size) return;
    const room = Math.floor((body.size - BatchForgetIn.size) / ForgetOne.size);
    const count = Math.min(BatchForgetIn.read.count(body), room);
    const one = { ...body, at: body.at + BatchForgetIn.size };
    for (let index = 0; index < count; index++, one.at += ForgetOne.size) {
      this.#fs.forget(ForgetOne.read.node(one), ForgetOne.read.lookups(one));
    }
  }

  /** Answered requests are not pending: a late interrupt matches none. */
  #interrupt({ body }: FuseRequest): void {
    if (body.size < InterruptIn.size) return;
    const { uniqueLow, uniqueHigh } = InterruptIn.read;
    this.#pending.get(requestNumber(uniqueLow(body), uniqueHigh(body)))?.asker.interrupt();
  }

  #perform(request: FuseRequest, row: Operation): void {
    const since = Bun.nanoseconds();
    const traced = this.#hooks.trace?.(request, this.#fs);
    const early = this.#hooks.intercept?.(request, this.#fs) ?? 0;
    if (early instanceof Promise) {
      this.#performLater(request, row, early);
      return;
    }
    const result = early < 0 ? early : this.#ask(request, row, request);
    if (result instanceof Promise) {
      this.#wait(request, row, { result, since, traced });
      return;
    }
    this.#conclude(request, row, { result, since, traced });
  }

  /** Asks the file system; what it throws is a bug of ours, and this call's EIO. */
  #ask(request: FuseRequest, row: Operation, from: FuseRequest): unknown {
    const by = row.changes === true ? new Asker(from) : NOBODY;
    try {
      const result: unknown = row.ask(this.#fs, request, by, this.#answer);
      if (result instanceof Promise) this.#park(request, by as Asker);
      return result;
    } catch (error) {
      return this.#bug(request.opcode, error);
    }
  }

  #bug(opcode: number, error: unknown): Errno {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#log.error(`${opcodeName(opcode)} failed, answered EIO: ${text}`);
    return Errno.EIO;
  }

  #park({ number, opcode, node }: FuseRequest, asker: Asker): void {
    const path = this.#fs.describe(node);
    this.#pending.set(number, { opcode, asker, path });
  }

  #wait(request: Unanswered, row: Operation, { result, since, traced }: Outcome): void {
    const { opcode, uniqueLow, uniqueHigh } = request;
    const waiting = { opcode, uniqueLow, uniqueHigh };
    const key = requestNumber(uniqueLow, uniqueHigh);
    void this.#settle(result as Promise<unknown>, opcode).then((settled) => {
      this.#pending.get(key)?.asker.done();
      this.#pending.delete(key);
      if (!this.#ended) this.#conclude(waiting, row, { result: settled, since, traced });
      return undefined;
    });
  }

  async #settle(result: Promise<unknown>, opcode: number): Promise<unknown> {
    try {
      return await result;
    } catch (error) {
      return this.#bug(opcode, error);
    }
  }

  /** A request that an interception delays outlives its memory. */
  #performLater(request: FuseRequest, row: Operation, early: Promise<number>): void {
    const copy = request.copy();
    const asking = early.then((error) => (error < 0 ? error : this.#ask(copy, row, copy)));
    const since = Bun.nanoseconds();
    this.#wait(copy, row, { result: asking, since, traced: undefined });
  }

  #conclude(request: Unanswered, row: Operation, { result, since, traced }: Outcome): void {
    const ns = Bun.nanoseconds() - since;
    if (isErrno(result)) {
      this.#finish(request, result, ns);
    } else {
      (row.encode as (answer: Answer, result: unknown) => void)(this.#answer, result);
      this.#finish(request, 0, ns);
    }
    traced?.(isErrno(result) ? result : 0, ns);
  }

  #finish({ opcode, uniqueLow, uniqueHigh }: Unanswered, error: number, ns: number): void {
    if (error === 0 && !OPERATIONS.has(opcode)) this.#answer.empty();
    this.#send(uniqueLow, uniqueHigh, error);
    this.#hooks.answered?.(opcode, error, ns);
  }

  #send(uniqueLow: number, uniqueHigh: number, error: number): void {
    const answer = this.#answer;
    answer.seal(uniqueLow, uniqueHigh, error);
    const result = this.#device.answer(answer.bytes, answer.size, answer.content);
    // ENOENT: the requesting process was killed. ENODEV: unmounted, the next read says so.
    if (result >= 0 || result === Errno.ENOENT || result === Errno.ENODEV) return;
    this.#log.error(`the kernel refused an answer: ${errnoText(result)}`);
  }
}

/** What an answer needs of a request. */
type Unanswered = Pick<FuseRequest, "opcode" | "uniqueLow" | "uniqueHigh">;

interface Outcome {
  readonly result: unknown;
  readonly since: number;
  readonly traced: ((error: number, ns: number) => void) | undefined;
}

/** Operations that change nothing are not asked on anybody's behalf, and never wait. */
const NOBODY = { pid: 0, uid: 0, gid: 0, request: 0, signal: new AbortController().signal };
