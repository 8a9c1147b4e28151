/**
 * Removes the rings of ended connections 2 ms later. The process that unmaps them last frees their
 * pages, which takes 0.4 ms for the smallest rings, and a client that reconnects at once should not
 * wait for that.
 */
import { nextTurn } from "../../base/turns.ts";
import type { RingDirectory } from "../../shm/ring-directory.ts";
import type { JobOwner } from "./fair-queue.ts";
import { TimeSlicedQueue } from "./time-sliced-queue.ts";

/** After this delay, a client that hung up has usually unmapped its rings. */
const DELAY_MS = 2;

/** What the removal needs of a ring directory. */
type Removable = Disposable & Pick<RingDirectory, "bytes">;

interface DisposalJob {
  readonly peer: JobOwner;
  readonly rings: Removable;
}

/** Owns the rings it gets until they are removed. */
export class RingDisposal {
  readonly #queue: TimeSlicedQueue<DisposalJob>;
  readonly #delayed: DisposalJob[] = [];
  #bytes = 0;
  #removedBytes = 0;
  #timer: Timer | undefined;
  #isScheduled = false;

  /** Removes rings for at most `msPerTurn` per turn of the event loop. */
  constructor(msPerTurn: number) {
    this.#queue = new TimeSlicedQueue(msPerTurn, ({ rings }) => {
      this.#bytes -= rings.bytes;
      this.#removedBytes += rings.bytes;
      rings[Symbol.dispose]();
    });
  }

  /** Bytes of /dev/shm of the rings that are not removed yet. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many connections' rings these are. */
  get count(): number {
    return this.#delayed.length + this.#queue.size;
  }

  /** Bytes of all rings that were removed so far. */
  get removedBytes(): number {
    return this.#removedBytes;
  }

  add(rings: Removable, peer: JobOwner): void {
    this.#bytes += rings.bytes;
    this.#delayed.push({ rings, peer });
    this.#timer ??= setTimeout(() => this.start(), DELAY_MS);
  }

  /**
   * Starts the removal in the next turn. Call it when a set-up answer was sent: that client needs
   * more time to map its rings than the removal takes.
   */
  runSoon(): void {
    if (this.#delayed.length === 0 || this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.start());
  }

  /** Starts the removal now. */
  start(): void {
    this.#isScheduled = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const job of this.#delayed.splice(0)) this.#queue.add(job);
  }

  /**
   * Resolves when all rings are removed, which takes seconds for thousands of them: as always, for
   * at most `msPerTurn` per turn of the event loop.
   */
  async finish(): Promise<void> {
    this.start();
    while (this.#queue.size > 0) await nextTurn();
  }
}
