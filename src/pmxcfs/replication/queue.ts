/**
 * NORMAL messages that wait: sorted by count, whichever member sent them, equal counts in the order
 * of arrival, as C keeps them (`dfsm.c`, msg_queue). The messages are copies.
 */
import type { Member } from "./events.ts";
import type { NormalMessage } from "./message.ts";

export interface Queued {
  readonly from: Member;
  /** The whole message, to be sent again byte for byte. */
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

  /** Keeps `item` in its place; from the end, where most belong. */
  insert(item: Queued): void {
    let at = this.#items.length;
    while (at > 0 && (this.#items[at - 1]?.message.count ?? 0n) > item.message.count) at--;
    this.#items.splice(at, 0, item);
    this.#bytes += item.bytes.length;
  }

  /** Empties the queue; what was in it, in order. */
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
