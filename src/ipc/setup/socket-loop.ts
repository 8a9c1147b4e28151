/**
 * The sockets of a service in one epoll set, which is watched by Bun's event loop. Each turn calls
 * the owners of ready sockets. If an owner throws, only its own socket is affected.
 */
import { addUrgent } from "../../base/turns.ts";
import type { Errno } from "../../base/errno.ts";
import { EpollSet, Ready } from "../../platform/epoll.ts";
import { LoopWatch } from "../../platform/loop-watch.ts";

/** Receives the events of one socket. */
export interface SocketEvents {
  /**
   * Bytes, or the end of the stream, can be read; a drained socket's bytes have been read already.
   */
  onReadable(): void;
  /** There is room to write again. */
  onWritable(): void;
  /** The other end has closed a drained socket. */
  onHangUp(): void;
  /** One of the above threw. */
  onFailure(error: unknown): void;
}

/** Tokens run from 0 to this and start again; a socket's token is not reused while it is open. */
const LAST_TOKEN = 0x7fff_ffff;

/** Owns the epoll set, but not the sockets in it. */
export class SocketLoop implements Disposable {
  readonly #set: EpollSet;
  readonly #watch: LoopWatch;
  readonly #urgent: Disposable;
  readonly #members = new Map<number, SocketEvents>();
  #nextToken = 0;
  #turning = false;
  #turnStartNs = 0;

  private constructor(set: EpollSet) {
    this.#set = set;
    this.#watch = new LoopWatch(set.fd, () => this.#turn());
    this.#urgent = addUrgent(() => this.#turn());
  }

  /** EMFILE, ENFILE, ENOMEM. */
  static make(): SocketLoop | Errno {
    const set = EpollSet.make();
    return typeof set === "number" ? set : new SocketLoop(set);
  }

  /** Whether a descriptor of these sockets, or of another part of this process, is ready. */
  get isLoopReady(): boolean {
    return this.#watch.isLoopReady;
  }

  /** When the current turn, or the last one, began (Bun.nanoseconds()). */
  get turnStartNs(): number {
    return this.#turnStartNs;
  }

  /** Watches `fd` for reading; returns the token for `change` and `remove`. ENOSPC, ENOMEM. */
  add(fd: number, events: SocketEvents): number {
    while (this.#members.has(this.#nextToken)) this.#step();
    const token = this.#nextToken;
    this.#step();
    const failed = this.#set.add(fd, token);
    if (failed) return failed;
    this.#members.set(token, events);
    return token;
  }

  /** Watches `fd` for bits of Ready (0: only the end). `drained`: turns read its bytes. */
  change(fd: number, token: number, interest: number, drained: boolean): void {
    this.#set.change(fd, token, interest, drained);
  }

  /** Stops watching `fd`; call it before `fd` is closed. */
  remove(fd: number, token: number): void {
    if (this.#members.delete(token)) this.#set.remove(fd);
  }

  #step(): void {
    this.#nextToken = this.#nextToken === LAST_TOKEN ? 0 : this.#nextToken + 1;
  }

  /** Handles at most 64 sockets that are ready; the others follow in the next turn. */
  #turn(): void {
    // A handler may run the event loop, and a second turn would overwrite this turn's events.
    if (this.#turning) return;
    this.#turning = true;
    this.#turnStartNs = Bun.nanoseconds();
    const count = this.#set.turn();
    for (let event = 0; event < count; event++) {
      const events = this.#members.get(this.#set.token(event));
      if (events !== undefined) dispatch(events, this.#set.readiness(event));
    }
    this.#turning = false;
  }

  [Symbol.dispose](): void {
    this.#urgent[Symbol.dispose]();
    this.#watch[Symbol.dispose]();
    this.#set[Symbol.dispose]();
    this.#members.clear();
  }
}

/** Calls `events` for the bits of Ready that are set. */
function dispatch(events: SocketEvents, ready: number): void {
  try {
    if ((ready & Ready.WRITE) !== 0) events.onWritable();
    if ((ready & Ready.READ) !== 0) events.onReadable();
    if ((ready & Ready.ENDED) !== 0) events.onHangUp();
  } catch (error) {
    events.onFailure(error);
  }
}
