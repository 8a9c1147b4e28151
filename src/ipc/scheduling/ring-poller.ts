/**
 * Adaptive polling: after a wake-up, keep looking at the request rings of the connections that were
 * active just now instead of going to sleep, because most of a round trip's time is the sleep and
 * the wake of both sides. Only while the next request is predicted to come soon, and only until
 * anything else in the event loop is ready; idle connections cost nothing.
 */
import { drainMicrotasks } from "bun:jsc";
import { availableParallelism } from "node:os";
import type { PollLimits } from "../../base/limits.ts";
import { drainAll, pollSemaphores } from "../../platform/futex.ts";
import { allocatePermanent, PAGE_BYTES, vanishedCount } from "../../platform/memory.ts";
import { stepAside } from "../../platform/processors.ts";
import type { RequestGapPredictor } from "./request-gap.ts";

/** What the poller needs of a connection. */
export interface Polled {
  /** Address of its request semaphore. */
  readonly semaphoreAddress: number;
  /** Its setup socket, where the notify bytes come. */
  readonly notifyFd: number;
  readonly predictor: RequestGapPredictor;
  /** How often a reply of it had to wake its client. */
  readonly wakes: number;
  readonly caller: { readonly pid: number };
  /** Its socket is closed, or about to be. */
  readonly ended: boolean;
  /** Replies are awaited. */
  readonly underWay: boolean;
  /** Its semaphore says that there are requests. */
  readonly hasRequests: boolean;
  /** While quiet, its notify bytes wake no loop: the poller reads them. */
  setQuiet(isQuiet: boolean): void;
  /** `count` requests, served just now, took `ns` in all. */
  recordLatency(ns: number, count: number): void;
}

/**
 * A connection stays active for this long after its last request, also while its next one is not
 * predicted to come soon.
 */
const WARM_NS = 2_000_000;

/** Interval of the checks whether anything else in the event loop is ready. */
const LOOP_LOOK_NS = 100_000;

/** Words of a row of the table in shared memory, struct hot_ring of native/shim.c. */
const ROW_WORDS = 4;
const [FD, UNDRAINED] = [2, 3] as const;

export type PollSettings = { readonly [K in keyof typeof PollLimits]: number };

/** How the poller reaches the rest of the service. */
export interface PollerCallbacks<T extends Polled> {
  /** Serves requests of `connection` that are there; how many. `backToBackNs` as in Request. */
  serve(connection: T, backToBackNs: number): number;
  /** Has `connection` served in the next turn of the event loop. */
  again(connection: T): void;
  /** Whether anything else waits for the event loop. */
  isLoopReady(): boolean;
}

/** The active connections of a service and the loop over them. */
export class RingPoller<T extends Polled> {
  readonly #settings: PollSettings;
  readonly #callbacks: PollerCallbacks<T>;
  readonly #rows: Int32Array;
  readonly #addresses: BigInt64Array;
  readonly #tableAddress: number;
  readonly #active: T[] = [];
  readonly #quiet = new Set<T>();
  readonly #enabled: boolean;
  /** The latest time at which a request of any active connection is still waited for. */
  #dueNs = 0;
  #last = 0;
  #inARow = 0;
  #scheduled = false;
  #vanished = vanishedCount();

  constructor(settings: PollSettings, callbacks: PollerCallbacks<T>) {
    this.#settings = settings;
    this.#callbacks = callbacks;
    this.#enabled = settings.idleUs > 0 && availableParallelism() > 1;
    // C reads this table while JS writes it, so it cannot live on the JS heap.
    const { address, buffer } = allocatePermanent(PAGE_BYTES);
    this.#tableAddress = address;
    this.#rows = new Int32Array(buffer);
    this.#addresses = new BigInt64Array(buffer);
  }

  /** A client's next request is looked for in this turn of the event loop, or in the next one. */
  get isPolling(): boolean {
    return this.#scheduled;
  }

  /** This connection had `served` requests since `sinceNs`: looks at it for a while. */
  activate(connection: T, sinceNs: number, served: number): void {
    // Its memory is gone when the request that was served was its last.
    if (connection.ended) return;
    const now = Bun.nanoseconds();
    // A client that had to send a wake-up byte is usually blocked by the time our reply arrives.
    connection.predictor.replied(now, true);
    connection.recordLatency(now - sinceNs, served);
    if (!this.#enabled) return;
    if (!this.#active.includes(connection)) this.#admit(connection);
    this.#await(connection);
    if (connection.predictor.dueNs > 0) this.#schedule();
  }

  /** The connection ends, or stops taking requests: its memory must not be looked at again. */
  deactivate(connection: T): void {
    // The notify byte of a request that came just now may have been read with others.
    if (this.#remove(connection) && connection.hasRequests) this.#callbacks.again(connection);
  }

  /** True when it was active, and has not ended. */
  #remove(connection: T): boolean {
    const index = this.#active.indexOf(connection);
    if (index === -1) return false;
    this.#active.splice(index, 1);
    this.#write();
    const wasQuiet = this.#quiet.delete(connection);
    if (connection.ended) return false;
    if (wasQuiet) connection.setQuiet(false);
    return true;
  }

  /**
   * Index of the connection that has used up its requests in a row while others are active, or -1.
   * Not polled for a moment, its client goes to sleep and frees its processor for a client that
   * waits for one; otherwise the kernel preempts it only milliseconds later.
   */
  #skipped(): number {
    const isOver = this.#active.length > 1 && this.#inARow >= this.#settings.requestsInARow;
    return isOver ? this.#last : -1;
  }

  /** Extends the polling to when its next request is due, if waiting for that pays. */
  #await({ predictor }: T): void {
    this.#dueNs = Math.max(this.#dueNs, predictor.dueNs);
  }

  #look(skip: number, budget: number): number {
    const { length } = this.#active;
    const looking = skip < 0 ? budget : Math.min(budget, this.#settings.yieldUs * 1000);
    return pollSemaphores(this.#tableAddress, length, this.#last, skip, looking);
  }

  /** Connections without a request for a while are woken by their notify bytes again. */
  #forgetIdle(now: number): void {
    const idle = this.#active.filter(({ predictor }) => now - predictor.repliedNs >= WARM_NS);
    for (const connection of idle) this.deactivate(connection);
  }

  #admit(connection: T): void {
    const [first] = this.#active;
    if (first !== undefined && this.#active.length >= this.#settings.activeConnections) {
      // Served directly: as another active connection it would evict the next one.
      if (this.#remove(first) && first.hasRequests) this.#callbacks.serve(first, 0);
    }
    this.#active.push(connection);
    this.#write();
  }

  #write(): void {
    for (const [index, { semaphoreAddress, notifyFd }] of this.#active.entries()) {
      this.#addresses[(index * ROW_WORDS) / 2] = BigInt(semaphoreAddress);
      this.#rows[index * ROW_WORDS + FD] = notifyFd;
      // Restarted at 1: bytes that this misses are drained with the others at the end.
      this.#rows[index * ROW_WORDS + UNDRAINED] = 1;
    }
  }

  /** Once per turn of the event loop, after its sockets and timers. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#run();
    });
  }

  #run(): void {
    let now = Bun.nanoseconds();
    this.#forgetIdle(now);
    const lookedAt = [...this.#active];
    // While all connections are quiet, the loop is ready only for other work.
    const isAlone = this.#quiet.size === this.#active.length;
    const turnUs = isAlone ? this.#settings.perTurnUs : this.#settings.perConnectionUs;
    const deadline = now + turnUs * 1000;
    let loopLook = isAlone ? now + LOOP_LOOK_NS : Infinity;
    while (now < deadline && this.#active.length > 0) {
      // When no request is due, look once.
      const budget = Math.max(0, Math.min(this.#dueNs, deadline) - now);
      const skip = this.#skipped();
      const index = this.#look(skip, budget);
      now = Bun.nanoseconds();
      const connection = this.#active[index];
      if (connection !== undefined) {
        this.#inARow = index === this.#last ? this.#inARow + 1 : 1;
        this.#last = index;
        now = this.#serve(connection, now, index);
      } else if (skip >= 0) {
        this.#inARow = 0;
      } else {
        break;
      }
      if (now < loopLook) continue;
      if (this.#callbacks.isLoopReady()) break;
      loopLook = now + LOOP_LOOK_NS;
    }
    for (const { predictor, caller } of lookedAt) {
      if (predictor.lookedUntil(now)) stepAside(caller.pid);
    }
    if (this.#active.length > 0 && this.#dueNs > now) this.#goOn(lookedAt);
    else this.#rest(now);
  }

  /** A polled semaphore is gone, because its client truncated the file: has each one checked. */
  #checkVanished(): void {
    const vanished = vanishedCount();
    if (vanished === this.#vanished) return;
    this.#vanished = vanished;
    for (const connection of this.#active) this.#callbacks.again(connection);
  }

  /** Serves a connection whose request was found at `seenNs`; the time when that was done. */
  #serve(connection: T, seenNs: number, index: number): number {
    const { predictor, wakes } = connection;
    const isBackToBack = predictor.isBackToBack(seenNs, this.#settings.backToBackUs * 1000);
    predictor.found(seenNs);
    const served = this.#callbacks.serve(connection, isBackToBack ? seenNs : 0);
    if (served === 0) this.deactivate(connection);
    else this.#count(connection, index, served);
    // Replies in promises that are settled already are sent before polling goes on, and timed.
    const isLate = connection.underWay;
    if (isLate) drainMicrotasks();
    const now = Bun.nanoseconds();
    predictor.replied(now, connection.wakes !== wakes);
    this.#await(connection);
    if (!isLate) connection.recordLatency(now - seenNs, served);
    return now;
  }

  /** Requests whose notify bytes pollSemaphores has to read. */
  #count(connection: T, index: number, served: number): void {
    if (this.#active[index] !== connection) return;
    const at = index * ROW_WORDS + UNDRAINED;
    this.#rows[at] = (this.#rows[at] ?? 0) + served;
  }

  /**
   * Another turn. Connections that were polled for a whole turn, and still are, become quiet: only
   * pollSemaphores reads their notify bytes from now on, and sending one costs its client less.
   */
  #goOn(lookedAt: readonly T[]): void {
    this.#schedule();
    for (const connection of lookedAt) {
      if (this.#quiet.has(connection) || !this.#active.includes(connection)) continue;
      this.#quiet.add(connection);
      connection.setQuiet(true);
    }
  }

  /**
   * No client is waited for any more: the notify bytes that came are read, and the next ones wake
   * us. A request may have come meanwhile whose byte is gone: its ring is looked at once more.
   */
  #rest(now: number): void {
    if (this.#active.length === 0) return;
    drainAll(this.#tableAddress, this.#active.length);
    this.#checkVanished();
    for (const connection of this.#quiet) connection.setQuiet(false);
    this.#quiet.clear();
    if (pollSemaphores(this.#tableAddress, this.#active.length, this.#last, -1, 0) < 0) return;
    this.#dueNs = Math.max(this.#dueNs, now + this.#settings.idleUs * 1000);
    this.#schedule();
  }
}
