/**
 * Connections that get another turn of the event loop: those with requests left in their ring, and
 * those whose reply waits for room. No timer runs while there are none.
 */
import { type CloseReason, readNoReply } from "../connection/close-reason.ts";

export interface RunQueueSettings {
  readonly replyRetryMs: number;
  readonly replyDeadlineMs: number;
}

/** What the queue needs of a connection. */
export interface Runnable {
  /** Since when a reply waits for room (Date.now()), undefined when none does. */
  readonly stalledSince: number | undefined;
  /** Tries that reply again; true when it is sent. */
  retry(): boolean;
  end(reason: CloseReason): void;
}

export class RunQueue<T extends Runnable> {
  readonly #settings: RunQueueSettings;
  readonly #serve: (connection: T) => void;
  readonly #ready = new Set<T>();
  readonly #stalled = new Set<T>();
  #isScheduled = false;
  #retry: Timer | undefined;

  /** `serve` gives a connection its turn. */
  constructor(settings: RunQueueSettings, serve: (connection: T) => void) {
    this.#settings = settings;
    this.#serve = serve;
  }

  /** A turn for `connection` in the next turn of the event loop. */
  add(connection: T): void {
    this.#ready.add(connection);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#run());
  }

  /** Tries the reply of `connection` again every few milliseconds, until a deadline. */
  addStalled(connection: T): void {
    this.#stalled.add(connection);
    this.#retry ??= setInterval(() => this.#retryAll(), this.#settings.replyRetryMs);
  }

  remove(connection: T): void {
    this.#ready.delete(connection);
    this.#stalled.delete(connection);
    this.#stopTimer();
  }

  #run(): void {
    this.#isScheduled = false;
    const ready = [...this.#ready];
    this.#ready.clear();
    for (const connection of ready) this.#serve(connection);
  }

  #retryAll(): void {
    const now = Date.now();
    for (const connection of this.#stalled) {
      if (connection.retry()) {
        this.#stalled.delete(connection);
        this.add(connection);
      } else if (now - (connection.stalledSince ?? now) > this.#settings.replyDeadlineMs) {
        connection.end(readNoReply(this.#settings.replyDeadlineMs));
      }
    }
    this.#stopTimer();
  }

  #stopTimer(): void {
    if (this.#stalled.size > 0) return;
    clearInterval(this.#retry);
    this.#retry = undefined;
  }
}
