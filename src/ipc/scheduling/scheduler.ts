/**
 * Decides which connection is served next, and for how long: the only caller of a connection's
 * `serve`. Requests are served when notify bytes arrived, when the poller found one, when a
 * connection's last turn left some in its ring, and at a stop; each time at most `requestsPerTurn`,
 * and no longer than the connection's turn budget.
 */
import type { Connection } from "../connection/connection.ts";
import { type PollSettings, RingPoller } from "./ring-poller.ts";
import { RunQueue, TURN_MS } from "./run-queue.ts";

export interface SchedulerSettings {
  readonly poll: PollSettings;
  /** Most requests served from one connection per turn. */
  readonly requestsPerTurn: number;
  readonly replyRetryMs: number;
  readonly replyDeadlineMs: number;
}

/** The event loop, as far as the scheduler needs it. */
export interface LoopState {
  /** Whether other work is ready in the event loop. */
  readonly isLoopReady: boolean;
  /** When the sockets' part of the current turn began (Bun.nanoseconds()). */
  readonly turnStartNs: number;
}

/** Divides the event loop between the connections of a service. */
export class Scheduler {
  readonly #requestsPerTurn: number;
  readonly #poller: RingPoller<Connection>;
  readonly #runQueue: RunQueue<Connection>;
  readonly #loop: LoopState;

  constructor(settings: SchedulerSettings, loop: LoopState) {
    this.#requestsPerTurn = settings.requestsPerTurn;
    this.#loop = loop;
    this.#poller = new RingPoller(settings.poll, {
      serve: (connection, backToBackNs) => this.#serve(connection, backToBackNs),
      again: (connection) => this.again(connection),
      isLoopReady: () => loop.isLoopReady,
    });
    this.#runQueue = new RunQueue(settings, (connection) => {
      this.#serveActive(connection, Bun.nanoseconds());
    });
  }

  /** See RingPoller.isPolling. */
  get isPolling(): boolean {
    return this.#poller.isPolling;
  }

  /**
   * Notify bytes of `connection` have been read: serves it, or after `TURN_MS` of this turn, which
   * many clients used up that sent at once, in its place in the run queue.
   */
  notified(connection: Connection): void {
    const sinceNs = Bun.nanoseconds();
    connection.predictor.woke(sinceNs);
    if (sinceNs - this.#loop.turnStartNs >= TURN_MS * 1_000_000) {
      this.#runQueue.add(connection);
      return;
    }
    connection.retry();
    const served = this.#serveActive(connection, sinceNs);
    if (served === 0) connection.stats.recvRetries++;
  }

  /** The ring may have more requests: schedules `connection` for the next turn. */
  again(connection: Connection): void {
    this.#runQueue.add(connection);
  }

  /** A reply waits for room in the response ring: retries it at intervals. */
  stalled(connection: Connection): void {
    this.#poller.deactivate(connection);
    this.#runQueue.addStalled(connection);
  }

  /** The connection has ended. */
  forget(connection: Connection): void {
    this.#poller.deactivate(connection);
    this.#runQueue.remove(connection);
  }

  /** Serves a ring at a stop; true when a request was served or a reply is pending. */
  serveLast(connection: Connection): boolean {
    return this.#serve(connection) > 0 || connection.underWay;
  }

  #serveActive(connection: Connection, sinceNs: number): number {
    const served = this.#serve(connection);
    if (served > 0) this.#poller.activate(connection, sinceNs, served);
    return served;
  }

  #serve(connection: Connection, backToBackNs = 0): number {
    return connection.serve(this.#requestsPerTurn, backToBackNs);
  }
}
