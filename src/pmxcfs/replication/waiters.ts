/**
 * Callers that wait for their own change to come back. A change is held (no count yet) or under
 * way (with its count). One that is held is settled by taking it back: it then happens nowhere.
 * One that is under way may still happen after its caller was answered EBUSY.
 *
 * The deadline holds in sum: when one change ran into it, further ones are refused at once until
 * something of ours has come back, so that fifty callers behind one lock of the kernel do not wait
 * fifty times as long (C waits without limit).
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

  /** A change ran into the deadline and nothing came back since. */
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

  /** Since when the oldest change that corosync has taken is under way. */
  get oldestSent(): number | undefined {
    for (const { since, count } of this.#waiting.values()) if (count !== undefined) return since;
    return undefined;
  }

  add(now: number): number {
    const ticket = ++this.#last;
    this.#waiting.set(ticket, { ticket, since: now, count: undefined });
    return ticket;
  }

  /** corosync has taken the change of `ticket`. */
  sent(ticket: number, count: bigint): void {
    const waiting = this.#waiting.get(ticket);
    if (waiting !== undefined) waiting.count = count;
  }

  /** Answers one. Nothing when it was answered before. */
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

  /** In step again: changes are taken again. */
  recover(): void {
    this.#stuck = false;
  }

  /** Answers everybody. */
  abort(result: number): Settled[] {
    const settled = [...this.#waiting.keys()].map((ticket) => ({ ticket, result }));
    this.#waiting.clear();
    return settled;
  }

  /**
   * Tickets whose time is over. Once one is, those that are held are due too: nothing is sent that
   * nobody waits for.
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
