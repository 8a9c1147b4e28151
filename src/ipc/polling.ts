/**
 * Adaptive polling (DESIGN.md 4): after a wake-up, keep looking at the rings of the connections
 * that were active just now instead of going to sleep, because most of a round trip's time is
 * the sleep and the wake of both sides. Bounded per turn of the event loop, and only while the
 * next request is predicted to come soon; idle connections cost nothing.
 */
import { availableParallelism } from "node:os";
import type { PollLimits } from "../limits.ts";
import { pollSemaphores } from "../platform/futex.ts";
import { DRAIN_BYTES, drainNotifies } from "../platform/socket.ts";
import { allocatePermanent, PAGE_BYTES } from "../platform/memory.ts";

/** What the poller needs of a connection. */
export interface Polled {
  /** Where its request semaphore is. */
  readonly semaphoreAddress: number;
  /** Its setup socket, where the notify bytes come. */
  readonly notifyFd: number;
  readonly pace: Pace;
  /** Its socket is closed, or about to be. */
  readonly ended: boolean;
  /** Serves up to `limit` requests that are there; how many. */
  serve(limit: number): number;
  /** What was served just now, `count` requests, took `ns` in all. */
  took(ns: number, count: number): void;
}

/** Weight of the newest gap in the average: 1/4 follows a change within a few requests. */
const NEWEST_WEIGHT = 0.25;

/** A gap counts as at most this many times the longest that is polled for. */
const LONGEST_GAP = 1.5;

/** A connection is looked at, beside those that are polled for, for this long after a request. */
const WARM_NS = 2_000_000;

/** Time between a client's byte and our wake-up: part of a gap that was measured asleep. */
const WAKE_UP_NS = 50_000;

/** Quick requests wanted before polling again, doubled after each time it did not pay. */
const QUICK_WANTED = 2;
const QUICK_WANTED_MAX = 256;

/** How soon a connection's next request comes after our reply, as seen so far. */
export class Pace {
  #gapNs = 0;
  #repliedNs = 0;
  #misses = 0;
  #quick = 0;
  #quickWanted = QUICK_WANTED;
  #polled = true;

  /** Predicted time to the next request; Infinity when polling does not pay. */
  get gapNs(): number {
    return this.#polled ? this.#gapNs : Infinity;
  }

  /** When its last reply was sent. */
  get repliedNs(): number {
    return this.#repliedNs;
  }

  replied(nowNs: number): void {
    this.#repliedNs = nowNs;
  }

  /** A request was found while looking. */
  found(nowNs: number, maxGapNs: number): void {
    this.#misses = 0;
    // Clipped: one long wait for a processor is no change of habits.
    const gap = Math.min(nowNs - this.#repliedNs, LONGEST_GAP * maxGapNs);
    this.#gapNs += (gap - this.#gapNs) * NEWEST_WEIGHT;
    if (this.#gapNs > maxGapNs) this.#giveUp();
    else this.#quickWanted = QUICK_WANTED;
  }

  /** A request woke us: the gap contains a sleep. */
  woke(nowNs: number, maxGapNs: number): void {
    if (this.#polled) return;
    const gap = nowNs - this.#repliedNs - WAKE_UP_NS;
    this.#quick = gap <= maxGapNs ? this.#quick + 1 : 0;
    if (this.#quick < this.#quickWanted) return;
    this.#polled = true;
    this.#misses = 0;
    this.#gapNs = Math.max(0, gap);
  }

  /** We looked for as long as it was worth, and nothing came. */
  missed(missesToStop: number): void {
    this.#misses++;
    if (this.#misses >= missesToStop) this.#giveUp();
  }

  #giveUp(): void {
    this.#polled = false;
    this.#quick = 0;
    this.#quickWanted = Math.min(this.#quickWanted * 2, QUICK_WANTED_MAX);
  }
}

export type PollSettings = { readonly [K in keyof typeof PollLimits]: number };

/** The hot set of a service and the loop over it. */
export class Poller {
  readonly #settings: PollSettings;
  readonly #turn: number;
  readonly #table: BigInt64Array;
  readonly #tableAddress: number;
  readonly #hot: Polled[] = [];
  readonly #enabled: boolean;
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

  /**
   * A wake-up served this connection: look at it for a while. `served` requests since `sinceNs`,
   * where that is known.
   */
  heat(connection: Polled, sinceNs = 0, served = 0): void {
    // Its memory is gone when the request that was served was its last.
    if (connection.ended) return;
    const now = Bun.nanoseconds();
    connection.pace.replied(now);
    connection.took(now - sinceNs, served);
    if (!this.#enabled) return;
    if (!this.#hot.includes(connection)) this.#admit(connection);
    if (connection.pace.gapNs !== Infinity) this.#schedule();
  }

  /** A wake-up of this connection begins: now, in ns. */
  woke(connection: Polled): number {
    const now = Bun.nanoseconds();
    connection.pace.woke(now, this.#settings.maxGapUs * 1000);
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
    const maxGapNs = this.#settings.maxGapUs * 1000;
    let now = Bun.nanoseconds();
    this.#forgetCold(now);
    const lookedAt = [...this.#hot];
    const deadline = now + this.#settings.perWakeUs * 1000;
    while (now < deadline) {
      const budget = Math.min(this.#budgetNs(), deadline - now);
      if (budget <= 0) break;
      const skip = this.#skipped();
      const index = this.#look(skip, budget);
      now = Bun.nanoseconds();
      const connection = this.#hot[index];
      if (connection === undefined && skip >= 0) {
        this.#inARow = 0;
        continue;
      }
      if (connection === undefined) {
        if (now < deadline) this.#miss();
        break;
      }
      this.#inARow = index === this.#last ? this.#inARow + 1 : 1;
      this.#last = index;
      connection.pace.found(now, maxGapNs);
      const seen = now;
      const served = connection.serve(this.#turn);
      if (served === 0) this.cool(connection);
      now = Bun.nanoseconds();
      connection.pace.replied(now);
      connection.took(now - seen, served);
    }
    this.#drain(lookedAt, now);
    if (this.#hot.length > 0 && now >= deadline) this.#schedule();
  }

  /**
   * Reads the notify bytes that came while we looked, a few at a time: a heap of a hundred takes
   * the event loop 50 us, in which clients fall asleep. Who falls asleep during the first few is
   * woken by its answer, and the rest is read while it wakes.
   */
  #drain(lookedAt: readonly Polled[], nowNs: number): void {
    for (const connection of lookedAt) {
      let drained = DRAIN_BYTES;
      while (drained === DRAIN_BYTES && !connection.ended) {
        drained = drainNotifies(connection.notifyFd);
        // Whoever takes a byte must look: the request it announces has no other herald.
        const served = drained > 0 ? connection.serve(this.#turn) : 0;
        if (served > 0) this.heat(connection, nowNs, served);
      }
    }
  }

  /** How long to look: about twice the smallest predicted gap, and not at all without one. */
  #budgetNs(): number {
    let smallest = Infinity;
    for (const { pace } of this.#hot) smallest = Math.min(smallest, pace.gapNs);
    if (smallest === Infinity) return 0;
    return Math.max(this.#settings.idleUs * 1000, 2 * smallest);
  }

  #miss(): void {
    for (const { pace } of this.#hot) pace.missed(this.#settings.missesToStop);
  }
}
