/**
 * The address that this node's name resolves to. It is looked up before each join of the status
 * group, since it may have changed. A lookup delays a join by at most 2 s; an address that is found
 * later is sent to the other members then.
 */

/** A join waits this long for a lookup. */
const WAIT_MS = 2000;
/** A lookup that found nothing is made again after this. */
const AGAIN_MS = 10_000;

export interface OwnAddressOptions {
  /** Looks the name up; latin1, undefined when it has no address. Does not throw. */
  readonly find: () => Promise<string | undefined>;
  /** Called when `current` has changed after `refresh` returned. */
  readonly changed: () => void;
  readonly waitMs?: number;
  readonly againMs?: number;
}

export class OwnAddress implements Disposable {
  readonly #options: OwnAddressOptions;
  #current: string | undefined;
  /** Number of the last `refresh`: results of lookups of an earlier one are ignored. */
  #round = 0;
  #again: Timer | undefined;

  constructor(options: OwnAddressOptions) {
    this.#options = options;
  }

  /** The address that was found last. */
  get current(): string | undefined {
    return this.#current;
  }

  /** Looks the address up; returns when it is known, or after 2 s. */
  async refresh(): Promise<void> {
    const round = ++this.#round;
    clearTimeout(this.#again);
    const { promise: late, resolve } = Promise.withResolvers<void>();
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      resolve();
    }, this.#options.waitMs ?? WAIT_MS);
    await Promise.race([this.#look(round, () => isLate), late]);
    clearTimeout(timer);
  }

  async #look(round: number, isLate: () => boolean): Promise<void> {
    const found = await this.#options.find();
    if (round !== this.#round) return;
    if (found === undefined) {
      const again = (): void => void this.#look(round, () => true);
      this.#again = setTimeout(again, this.#options.againMs ?? AGAIN_MS);
    } else if (found !== this.#current) {
      this.#current = found;
      if (isLate()) this.#options.changed();
    }
  }

  /** Ends the lookups. */
  [Symbol.dispose](): void {
    this.#round++;
    clearTimeout(this.#again);
  }
}
