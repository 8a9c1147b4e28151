/**
 * A FUSE session on one device: reads requests, calls the file system, writes answers. Only an
 * unmount or an abort (ENODEV) ends the session; no request does, however malformed.
 * Requests are answered in the order in which they are read, except changes that wait.
 */
import { Errno, errnoText } from "../base/errno.ts";
import type { Log } from "../base/log.ts";
import { TurnTime } from "../base/turns.ts";
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
/** Longest turn: what is left is served in the next one, after other sockets and timers. */
const TURN_MS = 1.5;
/** Longest poll for the next request. */
const POLL_NS = 20_000;

/**
 * Watches or changes what a session does. Hooks run for every operation, so they must be quick;
 * they may be set and removed while the session runs.
 */
export interface SessionHooks {
  /** After an answer: 0 or an errno, and the time since the request was read. */
  answered?(opcode: number, error: number, ns: number): void;
  /** Before the file system is called. An errno is answered instead; a promise delays the call. */
  intercept?(request: FuseRequest, fs: FileSystem): number | Promise<number>;
  /** Before the file system is called; the function that it returns is called with the result. */
  trace?(request: FuseRequest, fs: FileSystem): (error: number, ns: number) => void;
}

export interface SessionOptions {
  readonly device: FuseDevice;
  readonly fileSystem: FileSystem;
  readonly log: Log;
  /** The kernel aborts the connection when a request waits longer than this; 0: never. */
  readonly requestTimeoutSeconds: number;
  /** At a take-over: what INIT agreed on when the device was opened. */
  readonly negotiated?: Negotiated;
  readonly hooks?: SessionHooks;
  /** False while the thread has other work, so that it must not poll; default: always true. */
  readonly mayPoll?: () => boolean;
  /** Called when INIT was answered and `negotiated` is set. */
  readonly initialized?: () => void;
}

/** A change that waits for its answer. */
export interface PendingOperation {
  readonly opcode: number;
  readonly asker: Asker;
  /** For logs; the path when the wait began. */
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
  /** Set by each answer: the kernel may cache it until `expireNames`. */
  #mayBeCached = true;

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

  /** The result of INIT; undefined before it. */
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
   * Serves waiting requests for one turn. "more": the turn ended first; "idle": none is left;
   * "ended": the file system was unmounted, or its connection aborted.
   */
  drain(): "more" | "idle" | "ended" {
    if (this.#ended) return "ended";
    const turn = new TurnTime(TURN_MS);
    for (let count = 0; count < REQUESTS_PER_TURN; count++) {
      const due = count === 0 ? 0 : this.#poll.take();
      const pollNs = due > 0 && this.#mayPoll() ? due : 0;
      const length = this.#device.read(pollNs);
      this.#poll.ended(pollNs, length !== Errno.EAGAIN);
      if (length === Errno.EAGAIN) return "idle";
      if (length < 0) return this.#end(length);
      this.#serve(length);
      if (this.#ended) return "ended";
      if (turn.pieceDone()) return "more";
    }
    return "more";
  }

  /**
   * Has the kernel send unanswered requests again. Call it at a take-over before the first read:
   * the kernel does not know which server read a request, and would resend this session's as well.
   */
  resend(): void {
    const result = this.#notify(NOTIFY_RESEND);
    if (result < 0) this.#log.warn(`unanswered requests are lost: ${errnoText(result)}`);
  }

  /**
   * The tree changed without the kernel's knowledge: invalidates the names and attributes that it
   * caches. Takes no lock in the kernel, so it may be called while a request waits. Does nothing
   * before Linux 6.16: there, cached names are up to 1 s old.
   */
  expireNames(): void {
    if (this.#ended || !this.#canExpire || !this.#mayBeCached) return;
    this.#mayBeCached = false;
    if (this.#notify(NOTIFY_INC_EPOCH) < 0) this.#canExpire = false;
  }

  /** Sends a notification without a body; the header's `error` field holds its code. */
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
      // Only `unique` is used, if there is a whole header: the caller gets EIO.
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

  /** Handles the protocol's own requests; of these, only INIT and DESTROY are answered. */
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

  /** An interrupt of a request that was answered meanwhile finds nothing pending. */
  #interrupt({ body }: FuseRequest): void {
    if (body.size < InterruptIn.size) return;
    const { uniqueLow, uniqueHigh } = InterruptIn.read;
    this.#pending.get(requestNumber(uniqueLow(body), uniqueHigh(body)))?.asker.interrupt();
  }

  #perform(request: FuseRequest, row: Operation): void {
    const since = Bun.nanoseconds();
    const traced = this.#hooks.trace?.(request, this.#fs);
    const early = this.#hooks.intercept?.(request, this.#fs) ?? 0;
    const start = { since, traced };
    if (early instanceof Promise) this.#performLater(request, row, early, start);
    else this.#performNow(request, row, early, start);
  }

  /** `early`: an errno of the hook, which is answered instead, or 0. */
  #performNow(request: FuseRequest, row: Operation, early: number, start: Start): void {
    const result = early < 0 ? early : this.#ask(request, row);
    if (result instanceof Promise) this.#wait(request, row, result, start);
    else this.#conclude(request, row, result, start);
  }

  /** A delayed request is copied: its memory is reused by the next read. */
  #performLater(request: FuseRequest, row: Operation, early: Promise<number>, start: Start): void {
    const copy = request.copy();
    void this.#settle(early, copy.opcode).then((error) => {
      if (!this.#ended) this.#performNow(copy, row, isErrno(error) ? error : 0, start);
      return undefined;
    });
  }

  /** Calls the file system. An exception is a bug: it is logged, and the request gets EIO. */
  #ask(request: FuseRequest, row: Operation): unknown {
    const by = row.changes === true ? new Asker(request) : NO_REQUESTER;
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

  #wait(request: Unanswered, row: Operation, result: Promise<unknown>, start: Start): void {
    const { opcode, uniqueLow, uniqueHigh } = request;
    const waiting = { opcode, uniqueLow, uniqueHigh };
    const key = requestNumber(uniqueLow, uniqueHigh);
    void this.#settle(result, opcode).then((settled) => {
      this.#pending.get(key)?.asker.done();
      this.#pending.delete(key);
      if (!this.#ended) this.#conclude(waiting, row, settled, start);
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

  #conclude(request: Unanswered, row: Operation, result: unknown, { since, traced }: Start): void {
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
    this.#mayBeCached = true;
    const answer = this.#answer;
    answer.seal(uniqueLow, uniqueHigh, error);
    const result = this.#device.answer(answer.bytes, answer.size, answer.content);
    // ENOENT: the calling process was killed. ENODEV: unmounted; the next read reports it.
    if (result >= 0 || result === Errno.ENOENT || result === Errno.ENODEV) return;
    this.#log.error(`the kernel refused an answer: ${errnoText(result)}`);
  }
}

/** The part of a request that its answer needs. */
type Unanswered = Pick<FuseRequest, "opcode" | "uniqueLow" | "uniqueHigh">;

/** When a request was read (Bun.nanoseconds()), and the function that its trace hook returned. */
interface Start {
  readonly since: number;
  readonly traced: ((error: number, ns: number) => void) | undefined;
}

/** The requester of operations that change nothing: they check no caller and never wait. */
const NO_REQUESTER = { pid: 0, uid: 0, gid: 0, request: 0, signal: new AbortController().signal };
