/** The table of the rings that the shim polls, one row per active connection. */
import { drainAll, pollSemaphores } from "../../platform/futex.ts";
import { allocatePermanent, PAGE_BYTES } from "../../platform/memory.ts";
import { RingHeader } from "../../wire/qb.ts";

/** What a row is made of. */
export interface PolledRings {
  /** Address of the request ring's semaphore. */
  readonly semaphoreAddress: number;
  /** The setup socket, on which notify bytes arrive. */
  readonly notifyFd: number;
  readonly responses: {
    /** Address of the response ring's semaphore. */
    readonly semaphoreAddress: number;
  };
}

/** 32-bit words per row, and the fields' places in it: struct polled_ring of native/shim.c. */
const ROW_WORDS = 12;
const [SEMAPHORE, INDICES, REPLY_SEMAPHORE, READING_NS] = [0, 2, 4, 6] as const;
const [FD, UNDRAINED, WATCHED, SINCE_READING] = [8, 9, 10, 11] as const;

/**
 * Whether, after a reply, `look` notes until when the client waits for it or reads it: if it was
 * asleep, or if the reply is large. For others the time of the reply is as good, and reading their
 * indices would delay them by a cache line's way.
 */
export const Watched = { NO: 0, WAS_ASLEEP: 1, IS_LARGE: 2 } as const;

const TABLE_BYTES = PAGE_BYTES;

export class PollTable {
  /** Most rows, because native/shim.c reads the table without a bound of its own. */
  static readonly mostRows = Math.floor(TABLE_BYTES / (4 * ROW_WORDS));
  readonly #words: Int32Array;
  readonly #longs: BigInt64Array;
  readonly #address: number;
  #length = 0;

  constructor() {
    // C reads this table while JS writes it, so it cannot live on the JS heap.
    const { address, buffer } = allocatePermanent(TABLE_BYTES);
    this.#address = address;
    this.#words = new Int32Array(buffer);
    this.#longs = new BigInt64Array(buffer);
  }

  /** Replaces all rows; at most `mostRows`. No client is watched. */
  write(rows: readonly PolledRings[]): void {
    this.#length = rows.length;
    for (const [index, { semaphoreAddress, responses, notifyFd }] of rows.entries()) {
      const row = index * ROW_WORDS;
      this.#longs[(row + SEMAPHORE) / 2] = BigInt(semaphoreAddress);
      const { semaphoreAddress: replies } = responses;
      this.#longs[(row + INDICES) / 2] = BigInt(replies - RingHeader.semaphore);
      this.#longs[(row + REPLY_SEMAPHORE) / 2] = BigInt(replies);
      this.#longs[(row + READING_NS) / 2] = 0n;
      this.#words[row + FD] = notifyFd;
      // Notify bytes that this does not count are drained when polling stops.
      this.#words[row + UNDRAINED] = 1;
      this.#words[row + WATCHED] = Watched.NO;
    }
  }

  /**
   * Polls until a ring has a request; returns its row, or ETIMEDOUT after `budgetNs`. Starts after
   * row `after` and omits row `skip` (-1: none). With a budget of 0 each is checked once.
   */
  look(after: number, skip: number, budgetNs: number): number {
    return pollSemaphores(this.#address, this.#length, after, skip, budgetNs);
  }

  /** Drains the notify bytes of all rows. */
  drain(): void {
    drainAll(this.#address, this.#length);
  }

  /** Adds `served` requests to those whose notify bytes `look` has to drain. */
  count(row: number, served: number): void {
    const at = row * ROW_WORDS + UNDRAINED;
    this.#words[at] = (this.#words[at] ?? 0) + served;
  }

  /** Chooses what `look` notes of the client of `row` until its next request. */
  watch(row: number, watched: (typeof Watched)[keyof typeof Watched]): void {
    this.#words[row * ROW_WORDS + WATCHED] = watched;
  }

  /**
   * How long before `look` found a request of this row its client was seen waiting for a reply or
   * reading one, in ns; if not since the request before, more than any limit.
   */
  sinceReadingNs(row: number): number {
    return this.#words[row * ROW_WORDS + SINCE_READING] ?? 0;
  }
}
