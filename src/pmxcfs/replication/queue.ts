/**
 * NORMAL messages that wait for a synchronisation; copies. MessageQueue: sorted by count regardless
 * of the sender; equal counts in the order of arrival, as in C (`dfsm.c`, msg_queue). Counts are
 * compared by the low 32 bits of their difference, as signed: members that apply the queue in
 * another order get another tree.
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

/** What makes a message superfluous, if something does. */
export interface Lifetime {
  /** A later message of its sender with the same key. */
  readonly key?: string | undefined;
  /** So many bytes of later messages of its sender that have such a limit, too. */
  readonly laterBytes?: number | undefined;
}

/**
 * From this size on, superfluous messages are dropped. C servers send during a synchronisation:
 * while a member is silent, the values of 2,000 guests are 550 MB an hour. Below it all are kept,
 * and applied one after the other, as in C.
 */
const FULL_BYTES = 16 * 1024 * 1024;
/** Superfluous messages that one insertion drops at most, because of the time that it takes. */
const DROPS = 1000;
/** Lists with fewer empty places than this are not compacted. */
const FEW = 1024;

/** A place in the queue; without its message once that was dropped. */
interface Place {
  readonly count: bigint;
  item: Queued | undefined;
}

/** The messages of one sender that have a `laterBytes`, in the order of arrival. */
interface Tail {
  readonly places: Place[];
  /** Of the oldest that was not dropped. */
  oldest: number;
  bytes: number;
}

/** True when a message with this count comes after one with `other`. */
function isAfter(count: bigint, other: bigint): boolean {
  return BigInt.asIntN(32, count - other) > 0n;
}

/**
 * Most bytes of messages that wait, and what one of them takes besides its bytes. Members block
 * their writers during a synchronisation and do not reach this.
 */
const BYTES_MAX = 256 * 1024 * 1024;
const ITEM_BYTES = 512;

/** True when a member floods this one: its messages would take all memory. */
export function isFull(...queues: readonly { bytes: number; length: number }[]): boolean {
  let total = 0;
  for (const { bytes, length } of queues) total += bytes + length * ITEM_BYTES;
  return total > BYTES_MAX;
}

/** Messages in the order of arrival. */
export class ArrivalQueue {
  #items: Queued[] = [];
  #bytes = 0;

  get length(): number {
    return this.#items.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(item: Queued): void {
    this.#items.push(item);
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

export class MessageQueue {
  #places: Place[] = [];
  #dropped = 0;
  #bytes = 0;
  /** The latest message of each sender and key. */
  readonly #latest = new Map<string, Place>();
  readonly #tails = new Map<string, Tail>();

  get length(): number {
    return this.#places.length - this.#dropped;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Inserts `item` in order. Most belong at the end; others are placed by a binary search, since
   * the counts of two senders may differ by millions, and a synchronisation that waits for a
   * silent member queues messages for hours.
   */
  insert(item: Queued, { key, laterBytes }: Lifetime = {}): void {
    const place: Place = { count: item.message.count, item };
    this.#places.splice(this.#firstAfter(place.count), 0, place);
    this.#bytes += item.bytes.length;
    const sender = `${item.from.nodeid}/${item.from.pid}`;
    if (key !== undefined) this.#replace(`${sender} ${key}`, place);
    if (laterBytes !== undefined) this.#shorten(sender, place, laterBytes);
  }

  /** Index of the first item that comes after one with this count. */
  #firstAfter(count: bigint): number {
    const comesAfter = (at: number) => isAfter(this.#places[at]?.count ?? 0n, count);
    let low = 0;
    let high = this.#places.length;
    if (high > 0 && !comesAfter(high - 1)) low = high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (comesAfter(middle)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #replace(key: string, place: Place): void {
    const before = this.#latest.get(key);
    if (before !== undefined && isAfter(before.count, place.count)) return;
    this.#latest.set(key, place);
    if (before !== undefined && this.#bytes > FULL_BYTES) this.#drop(before);
  }

  #shorten(sender: string, place: Place, laterBytes: number): void {
    let tail = this.#tails.get(sender);
    if (tail === undefined) this.#tails.set(sender, (tail = { places: [], oldest: 0, bytes: 0 }));
    tail.places.push(place);
    tail.bytes += place.item?.bytes.length ?? 0;
    for (let drops = 0; drops < DROPS && this.#bytes > FULL_BYTES; drops++) {
      const oldest = tail.places[tail.oldest];
      const bytes = oldest?.item?.bytes.length ?? 0;
      if (oldest === undefined || tail.bytes - bytes < laterBytes) break;
      tail.oldest++;
      tail.bytes -= bytes;
      this.#drop(oldest);
    }
    if (tail.oldest < FEW || tail.oldest * 2 < tail.places.length) return;
    tail.places.splice(0, tail.oldest);
    tail.oldest = 0;
  }

  /** Drops a message; its place is removed with those of others. */
  #drop(place: Place): void {
    this.#bytes -= place.item?.bytes.length ?? 0;
    place.item = undefined;
    this.#dropped++;
    if (this.#dropped < FEW || this.#dropped * 2 < this.#places.length) return;
    this.#places = this.#places.filter(({ item }) => item !== undefined);
    this.#dropped = 0;
  }

  /** Empties the queue and returns its messages in order. */
  takeAll(): Queued[] {
    const items: Queued[] = [];
    for (const { item } of this.#places) if (item !== undefined) items.push(item);
    this.clear();
    return items;
  }

  clear(): void {
    this.#places = [];
    this.#dropped = 0;
    this.#bytes = 0;
    this.#latest.clear();
    this.#tails.clear();
  }
}
