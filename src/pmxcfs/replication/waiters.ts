/**
 * Callers that wait for their own change to come back. A change is held (no count yet) or under
 * way (with its count). One that is held is taken back before it is settled: no node applies it.
 * One that is under way may still happen after its caller was answered EBUSY.
 *
 * Deadlines do not add up: when one change missed its deadline, further ones are refused at once
 * until a message of ours has come back. Otherwise fifty callers that queue for one lock of the
 * kernel would wait for fifty deadlines. C waits without limit.
 */
import { Errno } from "../../base/errno.ts";

/** Milliseconds that a change may wait for its answer. */
const DEADLINE_MS = 30_000;

interface Waiting {
  readonly ticket: number;
  readonly since: number;
  count: bigint | undefined;
}

/** A caller's answer. */
export interface Settled {
  readonly ticket: number;
  readonly result: number;
}

export class Waiters {
  readonly #deadlineMs: number;
  /** In the order of tickets, which is the order of counts. */
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;
  #stuck = false;

  constructor(deadlineMs = DEADLINE_MS) {
    this.#deadlineMs = deadlineMs;
  }

  /** A change missed its deadline, and no message of ours has come back since. */
  get stuck(): boolean {
    return this.#stuck;
  }

  get length(): number {
    return this.#waiting.size;
  }

  /** When the oldest began to wait, in milliseconds; undefined without waiters. */
  get oldest(): number | undefined {
    for (const { since } of this.#waiting.values()) return since;
    return undefined;
  }

  /** When the oldest change that corosync has began to wait; undefined without one. */
  get oldestSent(): number | undefined {
    for (const { since, count } of this.#waiting.values()) if (count !== undefined) return since;
    return undefined;
  }

  add(now: number): number {
    const ticket = ++this.#last;
    this.#waiting.set(ticket, { ticket, since: now, count: undefined });
    return ticket;
  }

  /** corosync has accepted the change of `ticket`. */
  sent(ticket: number, count: bigint): void {
    const waiting = this.#waiting.get(ticket);
    if (waiting !== undefined) waiting.count = count;
  }

  /** Settles one waiter; empty when it was settled before. */
  settle(ticket: number, result: number): Settled[] {
    return this.#waiting.delete(ticket) ? [{ ticket, result }] : [];
  }

  /**
   * Our message `count` was applied with `result`. Earlier ones that have not come back are lost:
   * EBUSY, as C answers a waiter without a result.
   */
  cameBack(count: bigint, result: number): Settled[] {
    this.#stuck = false;
    const settled: Settled[] = [];
    for (const waiting of this.#waiting.values()) {
      if (waiting.count === undefined || waiting.count > count) break;
      settled.push(...this.settle(waiting.ticket, waiting.count === count ? result : Errno.EBUSY));
    }
    return settled;
  }

  /** Synced again: changes are accepted again. */
  recover(): void {
    this.#stuck = false;
  }

  /** Settles all waiters with `result`. */
  abort(result: number): Settled[] {
    const settled = [...this.#waiting.keys()].map((ticket) => ({ ticket, result }));
    this.#waiting.clear();
    return settled;
  }

  /**
   * Tickets past their deadline. When there is one, held changes are due too, since new ones are
   * refused as well.
   */
  due(now: number): number[] {
    const oldest = this.oldest;
    if (oldest === undefined || now - oldest < this.#deadlineMs) return [];
    this.#stuck = true;
    return [...this.#waiting.values()]
      .filter(({ since, count }) => count === undefined || now - since >= this.#deadlineMs)
      .map(({ ticket }) => ticket);
  }
}
