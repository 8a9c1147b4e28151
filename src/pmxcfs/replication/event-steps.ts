/**
 * An event of a group that takes several turns of the event loop: a comparison of states, the
 * commit of a sync, the delivery of a queue. At most one is pending. When the group's next event
 * arrives before it is complete, the rest of it is done at once, before that event.
 */
import { drained, slice, type SliceEnd, type Steps } from "../../base/steps.ts";

/** The cost of applying a change (one transaction), in steps (base/steps.ts). */
export const APPLY_STEPS = 2;

export class EventSteps {
  #event: Steps | undefined;
  #waits = false;

  /** True while an event is unfinished. */
  get pending(): boolean {
    return this.#event !== undefined;
  }

  /** True while the event needs another thread before it can go on. */
  get waits(): boolean {
    return this.pending && this.#waits;
  }

  /** Begins an event and does a slice of it. None may be pending. */
  begin(event: Steps): void {
    this.#event = event;
    this.work();
  }

  /** Does a slice of the pending event. */
  work(): void {
    this.#advance(slice);
  }

  /** Does the rest of the pending event. */
  finish(): void {
    this.#advance((event) => ({ value: drained(event) }));
  }

  /** Abandons the pending event. */
  abort(): void {
    this.#event?.return();
    this.#event = undefined;
  }

  #advance(advance: (event: Steps) => SliceEnd<void>): void {
    const event = this.#event;
    if (event === undefined) return;
    let over = true;
    try {
      const end = advance(event);
      over = typeof end === "object";
      this.#waits = end === "another thread";
    } finally {
      // A generator that has thrown cannot be resumed.
      if (over) this.#event = undefined;
    }
  }
}
