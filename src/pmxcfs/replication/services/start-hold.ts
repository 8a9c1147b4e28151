/**
 * Changes wait after a server has taken over a mount: the processes in it notice no restart, and a
 * change of theirs must not fail because quorum and the group are not known yet. Without corosync,
 * or without quorum, they fail as ever when the wait has ended.
 */

export class StartHold {
  #held: Promise<void> | undefined;
  #release: (() => void) | undefined;
  #timer: Timer | undefined;

  /** Resolves at the end of the wait; undefined when nothing waits. */
  get held(): Promise<void> | undefined {
    return this.#held;
  }

  /** From now on changes wait, for at most `ms`. */
  begin(ms: number): void {
    if (this.#held !== undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = promise;
    this.#release = resolve;
    this.#timer = setTimeout(() => this.end(), ms);
    this.#timer.unref();
  }

  /** Ends the wait; does nothing when there is none. */
  end(): void {
    clearTimeout(this.#timer);
    this.#release?.();
    this.#release = undefined;
    this.#held = undefined;
  }
}
