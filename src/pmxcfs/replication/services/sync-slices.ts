/**
 * Short time slices for the serving thread while a group of this node synchronises. The thread has
 * used up its share of the processor then, and a client would wait until other threads have used up
 * their slices. Not at other times: with sixteen clients a server would lose a tenth of its round
 * trips.
 */
import { useShortSlices } from "../../../platform/processors.ts";

export class SyncSlices {
  readonly #syncing = new Set<string>();

  /** Called when the mode of `group` has changed. */
  changed(group: string, isSyncing: boolean): void {
    const before = this.#syncing.size;
    if (isSyncing) this.#syncing.add(group);
    else this.#syncing.delete(group);
    if (before > 0 !== this.#syncing.size > 0) useShortSlices(isSyncing);
  }
}
