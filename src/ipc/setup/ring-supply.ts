/**
 * Makes the rings of accepted peers. The rings of ended connections are removed a few per turn of
 * the event loop, so that thousands of them may still take /dev/shm, and mappings, of which the
 * runtime needs some: it aborts without. A peer for which they leave no room waits until enough of
 * them are removed.
 */
import { Errno } from "../../base/errno.ts";
import { nextTurn } from "../../base/turns.ts";
import type { FileDirectory } from "../../platform/files.ts";
import type { Credentials } from "../../platform/socket.ts";
import type { RingDirectory } from "../../shm/ring-directory.ts";
import { RingPool } from "../../shm/ring-pool.ts";
import { FairQueue } from "../scheduling/fair-queue.ts";
import type { RingDisposal } from "../scheduling/ring-disposal.ts";
import type { QueuedJob } from "../scheduling/time-sliced-queue.ts";

/** The pool makes the next directory when no client has connected for this long. */
const REFILL_DELAY_MS = 2;

/** Errors that the removal of other rings may cure: no memory, inodes, mappings. */
const MAY_BE_FREED: ReadonlySet<Errno> = new Set([Errno.ENOSPC, Errno.ENOMEM, Errno.ENFILE]);

/**
 * How often the making of a peer's rings may fail before it is refused. After each failure it waits
 * until as much is removed as it needs, which others may take: of /dev/shm, other processes.
 */
const MOST_FAILURES = 8;

export interface SupplySettings {
  readonly pooledRings: number;
  readonly mappedRings: number;
}

/** The rings that a peer is to get. */
export interface Wanted {
  readonly owner: Credentials;
  readonly socketFd: number;
  readonly dataBytes: number;
  /** Bytes of /dev/shm that they take. */
  readonly bytes: number;
}

/** Owns the prepared rings. */
export class RingSupply<Peer extends QueuedJob> implements Disposable {
  readonly #settings: SupplySettings;
  readonly #pool: RingPool;
  readonly #disposal: RingDisposal;
  readonly #again: (peer: Peer) => void;
  /** Bytes of /dev/shm that peers wait for. */
  readonly #waiting = new Map<Peer, number>();
  readonly #order = new FairQueue<Peer>(({ peer }) => peer);
  /** The peer whose turn is next. */
  #next: Peer | undefined;
  /** How often the making of rings failed for peers that wait, or did. */
  readonly #failures = new Map<Peer, number>();
  #isWatching = false;

  /** `again` is called for a peer that waited: `take` its rings. */
  constructor(
    shm: FileDirectory,
    service: string,
    settings: SupplySettings,
    disposal: RingDisposal,
    again: (peer: Peer) => void,
  ) {
    this.#settings = settings;
    this.#pool = new RingPool(shm, service, settings.pooledRings);
    this.#disposal = disposal;
    this.#again = again;
  }

  /** Bytes of /dev/shm that prepared rings and those of ended connections take. */
  get freeableBytes(): number {
    return this.#pool.bytes + this.#disposal.bytes;
  }

  /** Ring directories that are ready for the next peers. */
  get readyCount(): number {
    return this.#pool.readyCount;
  }

  /**
   * Rings for `peer`; errors as of RingPool.takeFor. "later": it waits, and `again` will be called.
   * `connections`: how many have rings now.
   */
  take(peer: Peer, wanted: Wanted, connections: number): RingDirectory | Errno | "later" {
    const { owner, socketFd, dataBytes } = wanted;
    const ended = this.#disposal.count;
    const mapped = connections + ended + this.#pool.readyCount;
    if (ended > 0 && mapped >= this.#settings.mappedRings) return this.#wait(peer, wanted);
    const hasPooled = this.#pool.readyCount > 0;
    const rings = this.#pool.takeFor(owner, socketFd, dataBytes);
    const failures = (this.#failures.get(peer) ?? 0) + 1;
    this.#failures.delete(peer);
    if (typeof rings !== "number") return rings;
    // The pool may hold the missing memory, or a pooled directory was removed.
    this.#pool.drain();
    if (ended > 0 && MAY_BE_FREED.has(rings) && failures < MOST_FAILURES) {
      this.#failures.set(peer, failures);
      return this.#wait(peer, wanted);
    }
    return hasPooled ? this.#pool.takeFor(owner, socketFd, dataBytes) : rings;
  }

  #wait(peer: Peer, { bytes }: Wanted): "later" {
    this.#waiting.set(peer, bytes);
    this.#order.add(peer);
    if (!this.#isWatching) void this.#watch();
    return "later";
  }

  /**
   * Calls `again` for the peers in turn, by user and process: for each when as many bytes as it
   * needs are removed. What it throws rejects the promise; a further watch goes on with the others.
   */
  async #watch(): Promise<void> {
    this.#disposal.start();
    this.#isWatching = true;
    try {
      await this.#serveWaiting();
    } finally {
      this.#isWatching = false;
      if (this.#waiting.size > 0) void this.#watch();
    }
  }

  async #serveWaiting(): Promise<void> {
    let usedBytes = this.#disposal.removedBytes;
    while (this.#waiting.size > 0) {
      await nextTurn();
      for (;;) {
        this.#next ??= this.#order.next();
        if (this.#next === undefined) break;
        const bytes = this.#waiting.get(this.#next) ?? 0;
        const isFree = this.#disposal.removedBytes - usedBytes >= bytes;
        if (!isFree && this.#disposal.count > 0) break;
        usedBytes += bytes;
        const peer = this.#next;
        this.#next = undefined;
        // Not one that has gone meanwhile.
        if (this.#waiting.delete(peer)) this.#again(peer);
      }
    }
  }

  /** The peer has gone. */
  forget(peer: Peer): void {
    this.#waiting.delete(peer);
    this.#order.delete(peer);
    this.#failures.delete(peer);
  }

  /** A peer has got rings of `dataBytes`: while it maps them, others are removed and prepared. */
  taken(dataBytes: number): void {
    this.#disposal.runSoon();
    this.#pool.refillLater(dataBytes, REFILL_DELAY_MS);
  }

  [Symbol.dispose](): void {
    this.#waiting.clear();
    this.#failures.clear();
    this.#pool[Symbol.dispose]();
  }
}
