/**
 * The answers of one connection that are not there yet: at most so many, sent in the order of
 * their requests whatever order they come in.
 */
import type { Reply } from "../handler.ts";

/** One place in the queue; `reply` is undefined until its promise settles. */
interface Place {
  readonly id: number;
  reply: Reply | undefined;
  readonly sinceNs: number;
  readonly done: () => void;
}

/** An answer that is due. */
export interface Due {
  readonly id: number;
  readonly reply: Reply;
  /** When its request was queued (Bun.nanoseconds()). */
  readonly sinceNs: number;
  /** Call it when the reply is sent: it may lie in its request's memory. */
  readonly done: () => void;
}

const NOTHING_TO_FREE = () => {};

export class AnswerQueue {
  readonly #limit: number;
  readonly #settled: (failure: { id: number; error: unknown } | undefined) => void;
  readonly #places: Place[] = [];

  /** `settled` is called when an answer came, or failed to. */
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

  /** Queues an answer that is there already, behind others that are not. */
  push(id: number, reply: Reply): void {
    this.#places.push({ id, reply, sinceNs: Bun.nanoseconds(), done: NOTHING_TO_FREE });
  }

  /** Queues an answer to come; `done` frees the request's memory. */
  await(id: number, answer: Promise<Reply>, done: () => void): void {
    const place: Place = { id, reply: undefined, sinceNs: Bun.nanoseconds(), done };
    this.#places.push(place);
    void this.#follow(place, answer);
  }

  async #follow(place: Place, answer: Promise<Reply>): Promise<void> {
    const { id } = place;
    let failure: { id: number; error: unknown } | undefined;
    try {
      const reply = await answer;
      if (typeof reply === "number" || reply instanceof Uint8Array) place.reply = reply;
      else failure = { id, error: new TypeError("the handler's answer is no Reply") };
    } catch (error) {
      failure = { id, error };
    }
    this.#settled(failure);
  }

  /** Takes the first answer when it is there. */
  shift(): Due | undefined {
    const [first] = this.#places;
    if (first?.reply === undefined) return undefined;
    this.#places.shift();
    const { id, reply, sinceNs, done } = first;
    return { id, reply, sinceNs, done };
  }

  /** Forgets all: the connection has ended. */
  drop(): void {
    this.#places.length = 0;
  }
}
