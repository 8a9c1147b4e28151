/**
 * An event of a group that takes several turns of the event loop: a comparison of states, the
 * commit of a sync, a queue that is delivered. One at a time, and the group's next event after it:
 * where the runner does not wait for that, the rest is done at once before it.
 */
import { drained, slice, type SliceEnd, type Steps } from "../../base/steps.ts";

/** A change that is applied, a transaction, in steps (base/steps.ts). */
export const APPLY_STEPS = 2;

export class EventSteps {
  #event: Steps | undefined;
  #waits = false;

  /** It is not over. */
  get pending(): boolean {
    return this.#event !== undefined;
  }

  /** Nothing can be done before another thread is ready. */
  get waits(): boolean {
    return this.pending && this.#waits;
  }

  /** Begins one, with a slice of it. None may be pending. */
  begin(event: Steps): void {
    this.#event = event;
    this.work();
  }

  /** A slice of what is pending. */
  work(): void {
    this.#advance(slice);
  }

  /** All that is left of it. */
  finish(): void {
    this.#advance((event) => ({ value: drained(event) }));
  }

  /** Ends it where it is. */
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
      // What throws does not go on.
      if (over) this.#event = undefined;
    }
  }
}
