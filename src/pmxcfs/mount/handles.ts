/**
 * Open handles with content: the text of a special file, made at open, and the entries of a
 * directory, collected when reading begins. Ordinary files need no handle, only their node.
 */
import { CfsLimits } from "../../base/limits.ts";
import type { Listing } from "./listing.ts";

/** The handle of files that need none. */
export const NO_HANDLE = 0;

/** Most handles that one server gives out: a thousand each second for a hundred years. */
const MOST = 2 ** 42;

/**
 * Most entries of all kept listings: two of the largest directory. Every user may open directories,
 * as often as descriptors allow, and each listing that is begun would take memory until its end.
 */
const MOST_LISTED = 2 * CfsLimits.treeInodes;

/** Most bytes of all kept texts, which members of www-data may open as often. */
const MOST_TEXT_BYTES = 64 * 1024 * 1024;

export class Handles {
  /** By handle, in the order in which they were opened. */
  readonly #texts = new Map<number, Uint8Array>();
  #textBytes = 0;
  /** By handle; the one that was read last is the last. */
  readonly #listings = new Map<number, Listing>();
  /** Entries of all kept listings. */
  #listed = 0;
  /** Begins anywhere: after a take-over, processes still have handles of the previous server. */
  #next = 1 + Math.floor(Math.random() * (Number.MAX_SAFE_INTEGER - MOST));

  /** Number of handles with content. */
  get size(): number {
    return this.#texts.size + this.#listings.size;
  }

  /** Beyond MOST_TEXT_BYTES the texts that were opened longest ago are dropped. */
  openText(text: Uint8Array): number {
    const handle = this.#next++;
    for (const oldest of this.#texts.keys()) {
      if (this.#textBytes + text.length <= MOST_TEXT_BYTES) break;
      this.#dropText(oldest);
    }
    this.#texts.set(handle, text);
    this.#textBytes += text.length;
    return handle;
  }

  #dropText(handle: number): void {
    this.#textBytes -= this.#texts.get(handle)?.length ?? 0;
    this.#texts.delete(handle);
  }

  /** Undefined for a handle of a previous server, and for a dropped text: read the present one. */
  text(handle: number | undefined): Uint8Array | undefined {
    return handle === undefined ? undefined : this.#texts.get(handle);
  }

  openListing(): number {
    return this.#next++;
  }

  /**
   * The listing of `handle`; made again at `offset` 0, or when there is none. Beyond MOST_LISTED
   * the listings that were read longest ago are dropped: a reader goes on after the same entry.
   */
  listing(handle: number, offset: number, make: () => Listing): Listing {
    const listing = (offset === 0 ? undefined : this.#listings.get(handle)) ?? make();
    this.#drop(handle);
    for (const oldest of this.#listings.keys()) {
      if (this.#listed + listing.length <= MOST_LISTED) break;
      this.#drop(oldest);
    }
    this.#listings.set(handle, listing);
    this.#listed += listing.length;
    return listing;
  }

  #drop(handle: number): void {
    this.#listed -= this.#listings.get(handle)?.length ?? 0;
    this.#listings.delete(handle);
  }

  close(handle: number): void {
    this.#dropText(handle);
    this.#drop(handle);
  }

  /** Closes all handles, as their connection has ended. */
  clear(): void {
    this.#texts.clear();
    this.#textBytes = 0;
    this.#listings.clear();
    this.#listed = 0;
  }
}
