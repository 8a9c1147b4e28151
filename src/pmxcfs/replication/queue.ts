/**
 * NORMAL messages that wait, sorted by count regardless of the sender; equal counts in the order of
 * arrival, as in C (`dfsm.c`, msg_queue). The messages are copies.
 */
import type { Member } from "./events.ts";
import { decodeNormal, type NormalMessage } from "./message.ts";

export interface Queued {
  readonly from: Member;
  /** The whole message, to be resent byte for byte. */
  readonly bytes: Buffer;
  /** Its parts, views into `bytes`. */
  readonly message: NormalMessage;
}

/** A copy of a message whose bytes are valid only during the event. */
export function copyOf({ from, bytes, message }: Queued): Queued {
  const copy = Buffer.from(bytes);
  return { from, bytes: copy, message: decodeNormal(copy) ?? message };
}

/**
 * From this size on, a value that a later one of the same sender replaces is dropped. C servers
 * send during a synchronisation: while a member is silent, the values of 2,000 guests are 550 MB an
 * hour. Below it all are kept, and applied one after the other, as in C.
 */
const FULL_BYTES = 16 * 1024 * 1024;

export class MessageQueue {
  #items: Queued[] = [];
  #bytes = 0;
  /** The latest message of each sender and key. */
  readonly #latest = new Map<string, Queued>();

  get length(): number {
    return this.#items.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Inserts `item` in order. Most belong at the end; others are placed by a binary search, since
   * the counts of two senders may differ by millions, and a synchronisation that waits for a
   * silent member queues messages for hours. `key`: what the message sets, if a later one with the
   * same key makes it superfluous.
   */
  insert(item: Queued, key?: string): void {
    const low = this.#firstAfter(item.message.count);
    this.#items.splice(low, 0, item);
    this.#bytes += item.bytes.length;
    if (key !== undefined) this.#replace(`${item.from.nodeid}/${item.from.pid} ${key}`, item);
  }

  /** Index of the first item with a higher count. */
  #firstAfter(count: bigint): number {
    let low = 0;
    let high = this.#items.length;
    if (high > 0 && (this.#items[high - 1]?.message.count ?? 0n) <= count) low = high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#items[middle]?.message.count ?? 0n) <= count) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #replace(key: string, item: Queued): void {
    const before = this.#latest.get(key);
    if (before !== undefined && before.message.count > item.message.count) return;
    this.#latest.set(key, item);
    if (before === undefined || this.#bytes <= FULL_BYTES) return;
    const at = this.#items.lastIndexOf(before, this.#firstAfter(before.message.count) - 1);
    this.#items.splice(at, 1);
    this.#bytes -= before.bytes.length;
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
    this.#latest.clear();
  }
}
