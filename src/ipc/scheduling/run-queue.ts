/**
 * Connections that are served again in another turn of the event loop: those with requests left in
 * their ring, and those whose reply waits for room. No timer runs while there are none.
 */
import { type CloseReason, readNoReply } from "../connection/close-reason.ts";
import { FairQueue, type JobOwner } from "./fair-queue.ts";

/**
 * No connection's turn and no retry begins after this time of a turn of the event loop: thousands
 * of clients with full rings must not delay the sockets, the mount and the cluster.
 */
export const TURN_MS = 2;

export interface RunQueueSettings {
  readonly replyRetryMs: number;
  readonly replyDeadlineMs: number;
}

/** What the queue needs of a connection. */
export interface Runnable {
  readonly caller: JobOwner;
  /** Since when a reply waits for room (performance.now()); undefined if none does. */
  readonly stalledSince: number | undefined;
  /** Tries to send that reply again; true when no reply waits any more. */
  retry(): boolean;
  end(reason: CloseReason): void;
}

export class RunQueue<T extends Runnable> {
  readonly #settings: RunQueueSettings;
  readonly #serve: (connection: T) => void;
  readonly #ready = new FairQueue<T>(({ caller }) => caller);
  readonly #stalled = new Set<T>();
  #isScheduled = false;
  #retry: Timer | undefined;

  /** `serve` serves a connection for one turn. */
  constructor(settings: RunQueueSettings, serve: (connection: T) => void) {
    this.#settings = settings;
    this.#serve = serve;
  }

  /** Schedules `connection` for the next turn of the event loop, or a later one if many wait. */
  add(connection: T): void {
    this.#ready.add(connection);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#run());
  }

  /**
   * Retries the reply of `connection` every `replyRetryMs`, or less often if many wait; ends the
   * connection after `replyDeadlineMs`.
   */
  addStalled(connection: T): void {
    this.#stalled.add(connection);
    this.#retry ??= setInterval(() => this.#retrySome(), this.#settings.replyRetryMs);
  }

  remove(connection: T): void {
    this.#ready.delete(connection);
    this.#stalled.delete(connection);
    this.#stopTimer();
  }

  #run(): void {
    this.#isScheduled = false;
    const end = performance.now() + TURN_MS;
    // At most as many as wait now: one that is added again does not keep the loop from other work.
    for (let left = this.#ready.size; left > 0; left--) {
      const connection = this.#ready.next();
      if (connection === undefined) break;
      this.#serve(connection);
      if (performance.now() >= end) break;
    }
    if (this.#ready.size > 0) this.#schedule();
  }

  /** Retries the replies that were retried least recently; the others follow in later turns. */
  #retrySome(): void {
    const now = performance.now();
    let left = this.#stalled.size;
    for (const connection of this.#stalled) {
      this.#stalled.delete(connection);
      if (connection.retry()) {
        this.add(connection);
      } else if (now - (connection.stalledSince ?? now) > this.#settings.replyDeadlineMs) {
        connection.end(readNoReply(this.#settings.replyDeadlineMs));
      } else {
        this.addStalled(connection);
      }
      if (--left === 0 || performance.now() >= now + TURN_MS) break;
    }
    this.#stopTimer();
  }

  #stopTimer(): void {
    if (this.#stalled.size > 0) return;
    clearInterval(this.#retry);
    this.#retry = undefined;
  }
}
