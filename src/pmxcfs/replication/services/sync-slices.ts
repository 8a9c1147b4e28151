/**
 * Short time slices for the serving thread while a group of this node synchronises. All members of
 * the cluster are busy then, and the thread itself has no time to spare: a client that asks for it
 * would wait until other threads have used up their slices. At other times a server that polls
 * would lose a tenth of its round trips with sixteen clients by that.
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
