/**
 * Pending replies of one connection: a bounded number, sent in the order of their requests even if
 * they are completed in another order.
 */
import type { Reply } from "../handler.ts";
import { isReply, workAfter } from "./reply.ts";

/** One place in the queue; `reply` is undefined until its promise settles. */
interface Place {
  readonly id: number;
  reply: Reply | undefined;
  readonly sinceNs: number;
  readonly done: () => void;
}

/** A reply that is complete and next in order. */
export interface Due {
  readonly id: number;
  readonly reply: Reply;
  /** When its request was queued (Bun.nanoseconds()). */
  readonly sinceNs: number;
  /** Frees the request's memory, in which the reply may lie: call it when the reply is sent. */
  readonly done: () => void;
}

const NOTHING_TO_FREE = () => {};

export class ReplyQueue {
  readonly #limit: number;
  readonly #settled: (failure: { id: number; error: unknown } | undefined) => void;
  readonly #places: Place[] = [];

  /** `settled` is called when the promise of a reply is fulfilled or rejected. */
  constructor(
    limit: number,
    settled: (failure: { id: number; error: unknown } | undefined) => void,
  ) {
    this.#limit = limit;
    this.#settled = settled;
  }

  get length(): number {
    return this.#places.length;
  }

  get full(): boolean {
    return this.#places.length >= this.#limit;
  }

  /** Queues a complete reply after pending ones; returns the number of replies in the queue. */
  push(id: number, reply: Reply): number {
    return this.#places.push({ id, reply, sinceNs: Bun.nanoseconds(), done: NOTHING_TO_FREE });
  }

  /** `push` for a pending reply; `done` frees the request's memory. */
  await(id: number, reply: Promise<Reply>, done: () => void): number {
    const place: Place = { id, reply: undefined, sinceNs: Bun.nanoseconds(), done };
    void this.#follow(place, reply);
    return this.#places.push(place);
  }

  async #follow(place: Place, promised: Promise<Reply>): Promise<void> {
    const { id } = place;
    let failure: { id: number; error: unknown } | undefined;
    let work: (() => void) | undefined;
    try {
      const reply = await promised;
      if (isReply(reply)) {
        place.reply = reply;
        work = workAfter(reply);
      } else failure = { id, error: new TypeError("the handler's promise gave no Reply") };
    } catch (error) {
      failure = { id, error };
    }
    this.#settled(failure);
    // Also when the connection has ended meanwhile, and when an earlier reply is still pending.
    try {
      work?.();
    } catch (error) {
      this.#settled({ id, error });
    }
  }

  /** Takes the first reply if it is complete. */
  shift(): Due | undefined {
    const [first] = this.#places;
    if (first?.reply === undefined) return undefined;
    this.#places.shift();
    const { id, reply, sinceNs, done } = first;
    return { id, reply, sinceNs, done };
  }

  /** Drops all replies: the connection has ended. */
  drop(): void {
    this.#places.length = 0;
  }
}
