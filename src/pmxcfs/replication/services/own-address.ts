/**
 * The address that this node's name leads to. It is looked up before each join of the status
 * group: the node may have moved since the last one. A name service that is slow, or does not know
 * the name yet, holds up no join; what it says later is announced.
 */

/** A join waits this long for a lookup. */
const WAIT_MS = 2000;
/** A lookup that found nothing is made again after this. */
const AGAIN_MS = 10_000;

export interface OwnAddressOptions {
  /** Looks the name up; latin1, undefined when it has no address. Does not throw. */
  readonly find: () => Promise<string | undefined>;
  /** `current` is another one than it was when `refresh` returned. */
  readonly changed: () => void;
  readonly waitMs?: number;
  readonly againMs?: number;
}

export class OwnAddress implements Disposable {
  readonly #options: OwnAddressOptions;
  #current: string | undefined;
  /** Counts the calls of `refresh`: what an earlier one started is out of date. */
  #asked = 0;
  #again: Timer | undefined;

  constructor(options: OwnAddressOptions) {
    this.#options = options;
  }

  /** As it was found last. */
  get current(): string | undefined {
    return this.#current;
  }

  /** Looks it up; returns when it is known, or after 2 s. */
  async refresh(): Promise<void> {
    const number = ++this.#asked;
    clearTimeout(this.#again);
    const { promise: late, resolve } = Promise.withResolvers<void>();
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      resolve();
    }, this.#options.waitMs ?? WAIT_MS);
    await Promise.race([this.#look(number, () => isLate), late]);
    clearTimeout(timer);
  }

  async #look(number: number, isLate: () => boolean): Promise<void> {
    const found = await this.#options.find();
    if (number !== this.#asked) return;
    if (found === undefined) {
      const again = (): void => void this.#look(number, () => true);
      this.#again = setTimeout(again, this.#options.againMs ?? AGAIN_MS);
    } else if (found !== this.#current) {
      this.#current = found;
      if (isLate()) this.#options.changed();
    }
  }

  /** Looks no more. */
  [Symbol.dispose](): void {
    this.#asked++;
    clearTimeout(this.#again);
  }
}
