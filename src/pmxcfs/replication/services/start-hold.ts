/**
 * Changes wait after a server has taken over a mount: the processes in it notice no restart, and a
 * change of theirs must not fail because quorum and the group are not known yet. If there is no
 * quorum when the wait ends, they fail then.
 */

export class StartHold {
  #wait: PromiseWithResolvers<void> | undefined;
  #timer: Timer | undefined;

  /** Resolves at the end of the wait; undefined when nothing waits. */
  get held(): Promise<void> | undefined {
    return this.#wait?.promise;
  }

  /** From now on changes wait, for at most `ms`. */
  begin(ms: number): void {
    if (this.#wait !== undefined) return;
    this.#wait = Promise.withResolvers();
    this.#timer = setTimeout(() => this.end(), ms);
    this.#timer.unref();
  }

  /** Ends the wait; does nothing when there is none. */
  end(): void {
    clearTimeout(this.#timer);
    this.#wait?.resolve();
    this.#wait = undefined;
  }
}
