/**
 * Events of one connection as callbacks, one at a time and in order. The time per turn of the event
 * loop is bounded, so that a flood of events starves nothing else. A watch can be paused, so that a
 * receiver finishes one event, sends included, before it gets the next. It can be drained by hand,
 * so that a receiver with several connections decides which one is served first.
 */
import { TurnTime } from "../base/turns.ts";
import { QbFailure } from "./failure.ts";
import type { QbMessageIn } from "./message.ts";

/** Longest time in ms for events in one turn of the loop; a callback is not interrupted. */
const TURN_MS = 1;

/** The callbacks of a receiver of events. */
export interface EventCallbacks {
  /** The next event. It may pause `watch`, drain other watches, and close the client. */
  event(event: QbMessageIn, watch: EventWatch): void;
  /** The end of the connection, once, after the last event that came before it. */
  ended(end: QbFailure): void;
}

/** The connection that a watch reads from. */
interface EventSource {
  /** The next event in the ring, or why no more will come; undefined: none now. */
  next(): QbMessageIn | QbFailure | undefined;
  /** True after the client's `close`: no callback is called any more. */
  readonly closed: boolean;
}

export class EventWatch {
  readonly #source: EventSource;
  readonly #callbacks: EventCallbacks;
  #paused = false;
  #over = false;
  #running = false;
  #scheduled = false;
  /** Why the connection ended; reported after the events that are still in the ring. */
  #end: QbFailure | undefined;

  /** Made by QbClient.watch. */
  constructor(source: EventSource, callbacks: EventCallbacks) {
    this.#source = source;
    this.#callbacks = callbacks;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Reports no further event until `resume`; they stay in the ring meanwhile. */
  pause(): void {
    this.#paused = true;
  }

  /** Reports the events that came meanwhile, in this or a later turn of the loop. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#schedule();
  }

  /**
   * Reports the events in the ring now, for at most one turn's time. For receivers that need the
   * events of this connection before those of another.
   */
  drain(): void {
    this.#run();
  }

  /** Called for each wake-up of the socket. */
  woken(): void {
    this.#run();
  }

  /** The server has closed the connection. */
  hungUp(end: QbFailure): void {
    this.#end ??= end;
    this.#run();
  }

  #run(): void {
    // A callback called `drain`: the loop below is running already.
    if (this.#running) return;
    this.#running = true;
    const turn = new TurnTime(TURN_MS);
    try {
      while (!this.#over && !this.#paused) {
        if (!this.#one()) return;
        if (!turn.pieceDone()) continue;
        this.#schedule();
        return;
      }
    } finally {
      this.#running = false;
    }
  }

  /** Reports one event, or the end; false when nothing more is there now. */
  #one(): boolean {
    const found = this.#source.closed ? undefined : (this.#source.next() ?? this.#end);
    if (found === undefined) {
      this.#over ||= this.#source.closed;
      return false;
    }
    if (!(found instanceof QbFailure)) {
      this.#callbacks.event(found, this);
      return true;
    }
    this.#over = true;
    this.#callbacks.ended(found);
    return false;
  }

  #schedule(): void {
    if (this.#scheduled || this.#over) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#run();
    });
  }
}
