/**
 * Rings whose connection has ended, removed a moment later: whoever lets go of them last frees
 * their pages, 0.4 ms for the smallest, and a client that connects again should not be the one.
 */
import type { RingDirectory } from "../../shm/ring-directory.ts";
import type { Credentials } from "../../platform/socket.ts";
import { TimedTurns } from "./time-sliced-queue.ts";

/** A client that has hung up has unmapped its rings by then. */
const AFTER_MS = 2;

interface Discard {
  readonly peer: Credentials;
  readonly rings: RingDirectory;
}

/** Owns what it was given until it is removed. */
export class Discards {
  readonly #turns: TimedTurns<Discard>;
  readonly #waiting: Discard[] = [];
  #timer: Timer | undefined;
  #scheduled = false;

  /** Removing takes its turns, `msPerTurn` of the event loop each. */
  constructor(msPerTurn: number) {
    this.#turns = new TimedTurns(msPerTurn, ({ rings }) => rings[Symbol.dispose]());
  }

  /** So many are not removed yet. */
  get size(): number {
    return this.#waiting.length + this.#turns.size;
  }

  add(rings: RingDirectory, peer: Credentials): void {
    this.#waiting.push({ rings, peer });
    this.#timer ??= setTimeout(() => this.#remove(), AFTER_MS);
  }

  /** A client got its answer and is busy with its rings for longer than removing others takes. */
  takeChance(): void {
    if (this.#waiting.length === 0 || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#remove());
  }

  #remove(): void {
    this.#scheduled = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const discard of this.#waiting.splice(0)) this.#turns.take(discard);
  }

  /** Removes all, now. */
  finish(): void {
    this.#remove();
    this.#turns.finish();
  }
}
