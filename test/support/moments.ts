/**
 * Moments that hit another process anywhere in what it does: pauses of random length, the same ones
 * in every run of a seed. For signals in the middle of something, not for waiting until it is done.
 */
export class Moments {
  #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** From 0 up to `most`, without it. */
  below(most: number): number {
    this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (this.#seed / 0x8000_0000) * most;
  }

  /** Lets a random time pass, at most `mostMs`. */
  async pass(mostMs: number): Promise<void> {
    await Bun.sleep(this.below(mostMs));
  }
}
