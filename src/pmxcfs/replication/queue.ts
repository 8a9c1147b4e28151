/**
 * NORMAL messages that wait, sorted by count regardless of the sender; equal counts in the order of
 * arrival, as in C (`dfsm.c`, msg_queue). The messages are copies.
 */
import type { Member } from "./events.ts";
import type { NormalMessage } from "./message.ts";

export interface Queued {
  readonly from: Member;
  /** The whole message, to be resent byte for byte. */
  readonly bytes: Buffer;
  /** Its parts, views into `bytes`. */
  readonly message: NormalMessage;
}

export class MessageQueue {
  #items: Queued[] = [];
  #bytes = 0;

  get length(): number {
    return this.#items.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Inserts `item` in order; searches from the end, where most belong. */
  insert(item: Queued): void {
    let at = this.#items.length;
    while (at > 0 && (this.#items[at - 1]?.message.count ?? 0n) > item.message.count) at--;
    this.#items.splice(at, 0, item);
    this.#bytes += item.bytes.length;
  }

  /** Empties the queue and returns its messages in order. */
  takeAll(): Queued[] {
    const items = this.#items;
    this.clear();
    return items;
  }

  clear(): void {
    this.#items = [];
    this.#bytes = 0;
  }
}
