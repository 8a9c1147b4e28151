/**
 * Removes the rings of ended connections a moment later: the last process to unmap them frees their
 * pages, 0.4 ms for the smallest, and a client that connects again at once should not wait for
 * that.
 */
import type { RingDirectory } from "../../shm/ring-directory.ts";
import type { Credentials } from "../../platform/socket.ts";
import { TimeSlicedQueue } from "./time-sliced-queue.ts";

/** A client that has hung up has unmapped its rings by then. */
const DELAY_MS = 2;

interface DisposalJob {
  readonly peer: Credentials;
  readonly rings: RingDirectory;
}

/** Owns what it was given until it is removed. */
export class RingDisposal {
  readonly #queue: TimeSlicedQueue<DisposalJob>;
  readonly #delayed: DisposalJob[] = [];
  #bytes = 0;
  #timer: Timer | undefined;
  #isScheduled = false;

  /** Removing is work of `msPerTurn` per turn of the event loop. */
  constructor(msPerTurn: number) {
    this.#queue = new TimeSlicedQueue(msPerTurn, ({ rings }) => {
      this.#bytes -= rings.bytes;
      rings[Symbol.dispose]();
    });
  }

  /** Bytes of /dev/shm that are not freed yet. */
  get bytes(): number {
    return this.#bytes;
  }

  add(rings: RingDirectory, peer: Credentials): void {
    this.#bytes += rings.bytes;
    this.#delayed.push({ rings, peer });
    this.#timer ??= setTimeout(() => this.#start(), DELAY_MS);
  }

  /**
   * Removes them in the next turn: a client just got its set-up answer, and mapping its own rings
   * takes it longer than this.
   */
  runSoon(): void {
    if (this.#delayed.length === 0 || this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#start());
  }

  #start(): void {
    this.#isScheduled = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const job of this.#delayed.splice(0)) this.#queue.add(job);
  }

  /** Removes all, now. */
  finish(): void {
    this.#start();
    this.#queue.finish();
  }
}
