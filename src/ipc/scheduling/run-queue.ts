/**
 * Turns of the event loop for connections that could not finish in theirs: more requests than one
 * turn allows, or a reply that waits for room. No timer runs while there are none.
 */
import type { Connection } from "../connection/connection.ts";

export interface TurnSettings {
  readonly requestsPerTurn: number;
  readonly replyRetryMs: number;
  readonly replyDeadlineMs: number;
}

/** A connection had `served` requests in an extra turn, which began at `sinceNs`. */
export type Served = (connection: Connection, sinceNs: number, served: number) => void;

export class Turns {
  readonly #settings: TurnSettings;
  readonly #served: Served;
  readonly #ready = new Set<Connection>();
  readonly #stalled = new Set<Connection>();
  #immediate = false;
  #retry: Timer | undefined;

  /** `served` hears of each connection that had requests in its extra turn. */
  constructor(settings: TurnSettings, served: Served) {
    this.#settings = settings;
    this.#served = served;
  }

  /** Serves `connection` again behind what is ready now. */
  again(connection: Connection): void {
    this.#ready.add(connection);
    if (this.#immediate) return;
    this.#immediate = true;
    setImmediate(() => this.#takeTurns());
  }

  /** Tries the reply of `connection` again every few milliseconds, until a deadline. */
  stalled(connection: Connection): void {
    this.#stalled.add(connection);
    this.#retry ??= setInterval(() => this.#retryAll(), this.#settings.replyRetryMs);
  }

  forget(connection: Connection): void {
    this.#ready.delete(connection);
    this.#stalled.delete(connection);
    this.#restWhenIdle();
  }

  #takeTurns(): void {
    this.#immediate = false;
    const ready = [...this.#ready];
    this.#ready.clear();
    for (const connection of ready) {
      const since = Bun.nanoseconds();
      const served = connection.serve(this.#settings.requestsPerTurn);
      if (served > 0) this.#served(connection, since, served);
    }
  }

  #retryAll(): void {
    const now = Date.now();
    for (const connection of this.#stalled) {
      if (connection.retry()) {
        this.#stalled.delete(connection);
        this.again(connection);
      } else if (now - (connection.stalledSince ?? now) > this.#settings.replyDeadlineMs) {
        const seconds = this.#settings.replyDeadlineMs / 1000;
        connection.end({ reason: `read no reply for ${seconds} s`, violation: true });
      }
    }
    this.#restWhenIdle();
  }

  #restWhenIdle(): void {
    if (this.#stalled.size > 0) return;
    clearInterval(this.#retry);
    this.#retry = undefined;
  }
}
