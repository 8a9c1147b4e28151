/**
 * Adaptive polling (DESIGN.md 4): after a wake-up, keep looking at the rings of the connections
 * that were active just now instead of going to sleep, because most of a round trip's time is
 * the sleep and the wake of both sides. Bounded per turn of the event loop, and only while the
 * next request is predicted to come soon; idle connections cost nothing.
 */
import { drainMicrotasks } from "bun:jsc";
import { availableParallelism } from "node:os";
import type { PollLimits } from "../../base/limits.ts";
import { pollSemaphores } from "../../platform/futex.ts";
import { DRAIN_BYTES, drainNotifies } from "../../platform/socket.ts";
import { allocatePermanent, PAGE_BYTES } from "../../platform/memory.ts";
import { stepAside } from "../../platform/processors.ts";
import type { Pace } from "./request-gap.ts";

/** What the poller needs of a connection. */
export interface Polled {
  /** Where its request semaphore is. */
  readonly semaphoreAddress: number;
  /** Its setup socket, where the notify bytes come. */
  readonly notifyFd: number;
  readonly pace: Pace;
  /** How often a reply of it had to wake its client. */
  readonly wakes: number;
  readonly caller: { readonly pid: number };
  /** Its socket is closed, or about to be. */
  readonly ended: boolean;
  /** Answers are awaited. */
  readonly underWay: boolean;
  /** Serves up to `limit` requests that are there; how many. */
  serve(limit: number): number;
  /** What was served just now, `count` requests, took `ns` in all. */
  took(ns: number, count: number): void;
}

/** A connection is looked at, beside those that are polled for, for this long after a request. */
const WARM_NS = 2_000_000;

export type PollSettings = { readonly [K in keyof typeof PollLimits]: number };

/** The hot set of a service and the loop over it. */
export class Poller {
  readonly #settings: PollSettings;
  readonly #turn: number;
  readonly #table: BigInt64Array;
  readonly #tableAddress: number;
  readonly #hot: Polled[] = [];
  readonly #enabled: boolean;
  /** Until when anybody's next request is waited for. */
  #dueNs = 0;
  #last = 0;
  #inARow = 0;
  #scheduled = false;

  /** `requestsPerTurn`: served from one connection before the others are looked at again. */
  constructor(settings: PollSettings, requestsPerTurn: number) {
    this.#settings = settings;
    this.#turn = requestsPerTurn;
    this.#enabled = settings.idleUs > 0 && availableParallelism() > 1;
    // C reads this table while JS writes it, so it cannot live on the JS heap.
    const { address, buffer } = allocatePermanent(PAGE_BYTES);
    this.#tableAddress = address;
    this.#table = new BigInt64Array(buffer);
  }

  /** This connection had `served` requests since `sinceNs`: look at it for a while. */
  heat(connection: Polled, sinceNs: number, served: number): void {
    // Its memory is gone when the request that was served was its last.
    if (connection.ended) return;
    const now = Bun.nanoseconds();
    // Who wakes us falls asleep meanwhile, mostly.
    connection.pace.replied(now, true);
    connection.took(now - sinceNs, served);
    if (!this.#enabled) return;
    if (!this.#hot.includes(connection)) this.#admit(connection);
    this.#await(connection);
    if (connection.pace.dueNs > 0) this.#schedule();
  }

  /** A wake-up of this connection begins: now, in ns. */
  woke(connection: Polled): number {
    const now = Bun.nanoseconds();
    connection.pace.woke(now);
    return now;
  }

  /** The connection ends, or stops taking requests: its address must not be looked at again. */
  cool(connection: Polled): void {
    const index = this.#hot.indexOf(connection);
    if (index === -1) return;
    this.#hot.splice(index, 1);
    this.#write();
  }

  /**
   * Who has had its turn while others are hot, or -1: left alone for a moment it falls asleep, and
   * leaves its processor to a client that waits for one. Otherwise nobody takes it away before
   * the scheduler does, milliseconds later.
   */
  #skipped(): number {
    const isOver = this.#hot.length > 1 && this.#inARow >= this.#settings.requestsInARow;
    return isOver ? this.#last : -1;
  }

  /** Its next request is waited for as long as that pays. */
  #await({ pace }: Polled): void {
    this.#dueNs = Math.max(this.#dueNs, pace.dueNs);
  }

  #look(skip: number, budget: number): number {
    const { length } = this.#hot;
    const looking = skip < 0 ? budget : Math.min(budget, this.#settings.yieldUs * 1000);
    return pollSemaphores(this.#tableAddress, length, this.#last, skip, looking);
  }

  /** Those that asked nothing for a while wait for their wake-up again. */
  #forgetCold(now: number): void {
    const warm = this.#hot.filter(({ pace }) => now - pace.repliedNs < WARM_NS);
    if (warm.length === this.#hot.length) return;
    this.#hot.length = 0;
    this.#hot.push(...warm);
    this.#write();
  }

  #admit(connection: Polled): void {
    if (this.#hot.length >= this.#settings.hotConnections) this.#hot.shift();
    this.#hot.push(connection);
    this.#write();
  }

  #write(): void {
    for (const [index, { semaphoreAddress }] of this.#hot.entries()) {
      this.#table[index] = BigInt(semaphoreAddress);
    }
  }

  /** Once per turn of the event loop, behind its sockets and timers. */
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
    this.#forgetCold(now);
    const lookedAt = [...this.#hot];
    const deadline = now + this.#settings.perWakeUs * 1000;
    while (now < deadline && this.#hot.length > 0) {
      const budget = Math.min(this.#dueNs, deadline) - now;
      if (budget <= 0) break;
      const skip = this.#skipped();
      const index = this.#look(skip, budget);
      now = Bun.nanoseconds();
      const connection = this.#hot[index];
      if (connection !== undefined) {
        this.#inARow = index === this.#last ? this.#inARow + 1 : 1;
        this.#last = index;
        now = this.#serve(connection, now);
      } else if (skip >= 0) {
        this.#inARow = 0;
      } else {
        break;
      }
    }
    for (const { pace, caller } of lookedAt) if (pace.looked(now)) stepAside(caller.pid);
    this.#drain(lookedAt, now);
    if (this.#hot.length > 0 && this.#dueNs > now) this.#schedule();
  }

  /** Serves one that was found to have a request, seen at `seenNs`; when that was done. */
  #serve(connection: Polled, seenNs: number): number {
    const { pace, wakes } = connection;
    pace.found(seenNs);
    const served = connection.serve(this.#turn);
    if (served === 0) this.cool(connection);
    // Answers that are there already, behind promises, are sent before we look on, and timed then.
    const isLate = connection.underWay;
    if (isLate) drainMicrotasks();
    const now = Bun.nanoseconds();
    pace.replied(now, connection.wakes !== wakes);
    this.#await(connection);
    if (!isLate) connection.took(now - seenNs, served);
    return now;
  }

  /**
   * Reads the notify bytes that came while we looked, before the event loop does: there a heap of
   * them is a wake-up of its own. All at once: each pause in which one is answered costs a wake.
   */
  #drain(lookedAt: readonly Polled[], nowNs: number): void {
    const untilNs = nowNs + this.#settings.perWakeUs * 1000;
    for (const connection of lookedAt) {
      let drained = DRAIN_BYTES;
      while (drained === DRAIN_BYTES && !connection.ended && Bun.nanoseconds() < untilNs) {
        drained = drainNotifies(connection.notifyFd);
        // Whoever takes a byte must look: the request it announces has no other herald.
        const served = drained > 0 ? connection.serve(this.#turn) : 0;
        if (served > 0) this.heat(connection, nowNs, served);
      }
    }
  }
}
