/**
 * Pauses of random length, the same in every run with a seed: to send a signal to another process
 * at an arbitrary moment of its work. Not for waiting for an event.
 */
export class Moments {
  #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** A number from 0 up to, but not including, `most`. */
  below(most: number): number {
    this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (this.#seed / 0x8000_0000) * most;
  }

  /** Sleeps for a random time below `mostMs`. */
  async pass(mostMs: number): Promise<void> {
    await Bun.sleep(this.below(mostMs));
  }
}
