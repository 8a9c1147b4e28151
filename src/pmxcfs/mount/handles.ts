/**
 * Open handles with content: the text of a special file, made at open, and the entries of a
 * directory, collected when reading begins. Ordinary files need no handle, only their node.
 */

/** One entry of a listing. */
export interface Listed {
  readonly name: string;
  readonly node: number;
  /** DT_*. */
  readonly type: number;
  /** d_off: a listing continues after this entry when given it. Ascending within a listing. */
  readonly offset: number;
}

/** The handle of files that need none. */
export const NO_HANDLE = 0;

/** Most handles that one server gives out: a thousand each second for a hundred years. */
const MOST = 2 ** 42;

export class Handles {
  readonly #texts = new Map<number, Uint8Array>();
  readonly #listings = new Map<number, readonly Listed[]>();
  /** Begins anywhere: after a take-over, processes still have handles of the previous server. */
  #next = 1 + Math.floor(Math.random() * (Number.MAX_SAFE_INTEGER - MOST));

  /** Number of handles with content. */
  get size(): number {
    return this.#texts.size + this.#listings.size;
  }

  openText(text: Uint8Array): number {
    const handle = this.#next++;
    this.#texts.set(handle, text);
    return handle;
  }

  /** Undefined for a handle of a previous server. */
  text(handle: number | undefined): Uint8Array | undefined {
    return handle === undefined ? undefined : this.#texts.get(handle);
  }

  openListing(): number {
    return this.#next++;
  }

  /** The listing of `handle`; made again at `offset` 0, or when there is none. */
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

  /** Closes all handles, as their connection has ended. */
  clear(): void {
    this.#texts.clear();
    this.#listings.clear();
  }
}
