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

  /**
   * Inserts `item` in order. Most belong at the end; others are placed by a binary search, since
   * the counts of two senders may differ by millions, and a synchronisation that waits for a
   * silent member queues messages for hours.
   */
  insert(item: Queued): void {
    const { count } = item.message;
    let low = 0;
    let high = this.#items.length;
    if (high > 0 && (this.#items[high - 1]?.message.count ?? 0n) <= count) low = high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#items[middle]?.message.count ?? 0n) <= count) low = middle + 1;
      else high = middle;
    }
    this.#items.splice(low, 0, item);
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
