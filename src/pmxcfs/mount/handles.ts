/**
 * Open handles that hold something: the text of a special file as it was at open, and the entries
 * of a directory as they were when reading began. Ordinary files need none: their node is enough.
 */

/** One entry of a listing. */
export interface Listed {
  readonly name: string;
  readonly node: number;
  /** DT_*. */
  readonly type: number;
  /** Where the listing goes on behind it; grows within a listing. */
  readonly offset: number;
}

/** The handle of whatever needs none. */
export const NO_HANDLE = 0;

export class Handles {
  readonly #texts = new Map<number, Uint8Array>();
  readonly #listings = new Map<number, readonly Listed[]>();
  #next = 1;

  /** Handles that hold something now. */
  get size(): number {
    return this.#texts.size + this.#listings.size;
  }

  openText(text: Uint8Array): number {
    const handle = this.#next++;
    this.#texts.set(handle, text);
    return handle;
  }

  /** Undefined for a handle that another server gave out. */
  text(handle: number | undefined): Uint8Array | undefined {
    return handle === undefined ? undefined : this.#texts.get(handle);
  }

  openListing(): number {
    return this.#next++;
  }

  /** The listing of `handle`, made anew when reading begins (`offset` 0) or none is kept. */
  listing(handle: number, offset: number, make: () => readonly Listed[]): readonly Listed[] {
    const kept = offset === 0 ? undefined : this.#listings.get(handle);
    if (kept !== undefined) return kept;
    const made = make();
    this.#listings.set(handle, made);
    return made;
  }

  close(handle: number): void {
    this.#texts.delete(handle);
    this.#listings.delete(handle);
  }
}
