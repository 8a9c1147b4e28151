/**
 * Adaptive polling: after a wake-up, poll the request rings of the recently active connections
 * instead of sleeping, because most of a round trip is the sleep and wake-up of both sides. Polling
 * goes on only while the next request is predicted to come soon and nothing else in the event loop
 * is ready; idle connections cost nothing.
 */
import { drainMicrotasks } from "bun:jsc";
import { availableParallelism } from "node:os";
import type { PollLimits } from "../../base/limits.ts";
import { vanishedCount } from "../../platform/memory.ts";
import { stepAside } from "../../platform/processors.ts";
import { systemCallNs } from "../../platform/system-call.ts";
import type { MessageWriter } from "../connection/message-writer.ts";
import { PollTable, type PolledRings, Watched } from "./poll-table.ts";
import type { RequestGapPredictor } from "./request-gap.ts";

/** What the poller needs of a connection. */
export interface Polled extends PolledRings {
  readonly predictor: RequestGapPredictor;
  /** Where its replies are written. */
  readonly responses: Pick<
    MessageWriter,
    "hasWoken" | "semaphoreAddress" | "isLarge" | "prepare" | "forget"
  >;
  /**
   * Just before its last reply was sent, if no other request was there by then (Bun.nanoseconds()):
   * a client that waits for its replies has done nothing since an earlier time. Else 0.
   */
  readonly answeredNs: number;
  readonly caller: { readonly pid: number };
  /** The setup socket is closed, or about to be. */
  readonly ended: boolean;
  /** Replies are pending or wait for room. */
  readonly underWay: boolean;
  /** The semaphore announces requests, or a ring may have been truncated. */
  readonly hasRequests: boolean;
  /** While quiet, notify bytes do not wake the event loop: the poller drains them. */
  setQuiet(isQuiet: boolean): void;
  /** Records `count` requests that were just served and took `ns` in total. */
  recordLatency(ns: number, count: number): void;
}

/**
 * A connection stays active for this long after its last reply, even if its next request is not
 * predicted to come soon.
 */
const WARM_NS = 2_000_000;

/**
 * A request is back to back if it is found within `backToBackUs` and this many system calls after
 * the last reply: its client has notified us of the one before in that time, and done no more.
 */
const BACK_TO_BACK_CALLS = 2;

/** Interval of the checks for other ready work in the event loop. */
const LOOP_LOOK_NS = 100_000;

export type PollSettings = { readonly [K in keyof typeof PollLimits]: number };

/** What the poller calls in the rest of the service. */
export interface PollerCallbacks<T extends Polled> {
  /** Serves the waiting requests of `connection`; returns how many. `backToBackNs`: see Request. */
  serve(connection: T, backToBackNs: number): number;
  /** Schedules `connection` to be served in the next turn of the event loop. */
  again(connection: T): void;
  /** Whether other work is ready in the event loop. */
  isLoopReady(): boolean;
}

/** The active connections of a service and the loop over them. */
export class RingPoller<T extends Polled> {
  readonly #settings: PollSettings;
  readonly #callbacks: PollerCallbacks<T>;
  readonly #table = new PollTable();
  readonly #active: T[] = [];
  readonly #quiet = new Set<T>();
  readonly #enabled: boolean;
  readonly #backToBackNs: number;
  readonly #maxActive: number;
  /** Until when to poll: the latest `dueNs` of the connections. */
  #dueNs = 0;
  #last = 0;
  #inARow = 0;
  #scheduled = false;
  #vanished = vanishedCount();

  constructor(settings: PollSettings, callbacks: PollerCallbacks<T>) {
    this.#settings = settings;
    this.#callbacks = callbacks;
    this.#enabled = settings.idleUs > 0 && availableParallelism() > 1;
    this.#backToBackNs = settings.backToBackUs * 1000 + BACK_TO_BACK_CALLS * systemCallNs();
    this.#maxActive = Math.min(settings.activeConnections, PollTable.mostRows);
  }

  /** True when a run of the poller is scheduled for this turn of the event loop or the next. */
  get isPolling(): boolean {
    return this.#scheduled;
  }

  /** Makes a connection active, of which `served` requests were served since `sinceNs`. */
  activate(connection: T, sinceNs: number, served: number): void {
    // Serving may have ended the connection, and then its memory is unmapped.
    if (connection.ended) return;
    const now = Bun.nanoseconds();
    // A client that had to send a wake-up byte is usually blocked by the time our reply arrives.
    connection.predictor.replied(now, true);
    connection.recordLatency(now - sinceNs, served);
    if (!this.#enabled) return;
    if (!this.#active.includes(connection)) this.#admit(connection);
    this.#watch(connection);
    this.#await(connection);
    if (connection.predictor.dueNs > 0) this.#schedule();
  }

  /** The connection ended or stopped taking requests: its memory must not be polled any more. */
  deactivate(connection: T): void {
    // The notify byte of the newest request may have been drained already.
    if (this.#remove(connection) && connection.hasRequests) this.#callbacks.again(connection);
  }

  /** Removes an active connection; true when it was active and has not ended. */
  #remove(connection: T): boolean {
    const index = this.#active.indexOf(connection);
    if (index === -1) return false;
    this.#active.splice(index, 1);
    this.#table.write(this.#active);
    connection.responses.forget();
    const wasQuiet = this.#quiet.delete(connection);
    if (connection.ended) return false;
    if (wasQuiet) connection.setQuiet(false);
    return true;
  }

  /**
   * Index of the connection that was served `requestsInARow` times in a row while others are
   * active, or -1. It is not polled for a moment, so that its client goes to sleep and frees its
   * processor for another client; otherwise the kernel preempts it only milliseconds later.
   */
  #skipped(): number {
    const isOver = this.#active.length > 1 && this.#inARow >= this.#settings.requestsInARow;
    return isOver ? this.#last : -1;
  }

  /** Extends the polling until the connection's next request is due, if that is predicted. */
  #await({ predictor }: T): void {
    this.#dueNs = Math.max(this.#dueNs, predictor.dueNs);
  }

  #look(skip: number, budget: number): number {
    const looking = skip < 0 ? budget : Math.min(budget, this.#settings.yieldUs * 1000);
    return this.#table.look(this.#last, skip, looking);
  }

  /** Deactivates connections without recent requests: their notify bytes wake the server again. */
  #forgetIdle(now: number): void {
    const idle = this.#active.filter(({ predictor }) => now - predictor.repliedNs >= WARM_NS);
    for (const connection of idle) this.deactivate(connection);
  }

  #admit(connection: T): void {
    const [first] = this.#active;
    const isFull = this.#active.length >= this.#maxActive;
    const evicted = first !== undefined && isFull && this.#remove(first) ? first : undefined;
    this.#active.push(connection);
    this.#table.write(this.#active);
    // Served directly: activating it again would evict the next one. Only now, because its request
    // may make the service end `connection`, which must then be in the table to be removed.
    if (evicted?.hasRequests === true) this.#callbacks.serve(evicted, 0);
  }

  /** Schedules one run per turn of the event loop, after its sockets and timers. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#run();
    });
  }

  /** One turn: polls and serves until no request is due, or other work in the loop is ready. */
  #run(): void {
    let now = Bun.nanoseconds();
    this.#forgetIdle(now);
    const lookedAt = [...this.#active];
    // While all connections are quiet, only other work makes the loop ready.
    const isAlone = this.#quiet.size === this.#active.length;
    const turnUs = isAlone ? this.#settings.perTurnUs : this.#settings.perConnectionUs;
    const deadline = now + turnUs * 1000;
    let loopLook = isAlone ? now + LOOP_LOOK_NS : Infinity;
    while (now < deadline && this.#active.length > 0) {
      // A budget of 0 looks once.
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
    this.#endTurn(lookedAt, now);
  }

  /** Counts the misses of the connections that were active; polls on if a request is due. */
  #endTurn(lookedAt: readonly T[], now: number): void {
    for (const { predictor, caller } of lookedAt) {
      if (predictor.lookedUntil(now)) stepAside(caller.pid);
    }
    if (this.#active.length > 0 && this.#dueNs > now) this.#goOn(lookedAt);
    else this.#rest(now);
  }

  /** If a client truncated a file that was polled, schedules all active connections for a check. */
  #checkVanished(): void {
    const vanished = vanishedCount();
    if (vanished === this.#vanished) return;
    this.#vanished = vanished;
    for (const connection of this.#active) this.#callbacks.again(connection);
  }

  /** Serves a connection whose request was found at `seenNs`; returns the time after that. */
  #serve(connection: T, seenNs: number, index: number): number {
    const { predictor, responses, answeredNs } = connection;
    // A client that slept, or copies a large reply, is known to do nothing else meanwhile.
    const idleFor = Math.min(seenNs - answeredNs, this.#table.sinceReadingNs(index));
    const isBackToBack = answeredNs !== 0 && idleFor <= this.#backToBackNs;
    predictor.found(seenNs);
    const served = this.#callbacks.serve(connection, isBackToBack ? seenNs : 0);
    if (served === 0) this.deactivate(connection);
    else if (this.#active[index] === connection) this.#table.count(index, served);
    // Replies whose promises are already settled are sent, and timed, before polling goes on.
    const isLate = connection.underWay;
    if (isLate) drainMicrotasks();
    const now = Bun.nanoseconds();
    predictor.replied(now, responses.hasWoken);
    this.#watch(connection);
    this.#await(connection);
    if (!isLate) connection.recordLatency(now - seenNs, served);
    // Not for one that was deactivated meanwhile, whose writer has forgotten the last reply.
    if (connection.answeredNs !== 0 && this.#active.includes(connection)) responses.prepare();
    return now;
  }

  #watch(connection: T): void {
    const row = this.#active.indexOf(connection);
    if (row < 0) return;
    const { hasWoken, isLarge } = connection.responses;
    const other = isLarge ? Watched.IS_LARGE : Watched.NO;
    this.#table.watch(row, hasWoken ? Watched.WAS_ASLEEP : other);
  }

  /**
   * Polls for another turn. Connections that were active for the whole turn become quiet: from now
   * on only pollSemaphores drains their notify bytes, and sending one costs the client less.
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
   * Stops polling: drains the notify bytes so far, and lets the next ones wake the server. The byte
   * of a request that just arrived may have been drained with them, so the rings are polled once
   * more.
   */
  #rest(now: number): void {
    if (this.#active.length === 0) return;
    this.#table.drain();
    this.#checkVanished();
    for (const connection of this.#quiet) connection.setQuiet(false);
    this.#quiet.clear();
    if (this.#table.look(this.#last, -1, 0) < 0) return;
    this.#dueNs = Math.max(this.#dueNs, now + this.#settings.idleUs * 1000);
    this.#schedule();
  }
}
