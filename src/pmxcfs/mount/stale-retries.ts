/**
 * Processes that got ESTALE for a name: the kernel looks it up once more and repeats the request,
 * without its cache. A second ESTALE would be the program's, so the repeated request counts as made
 * at that lookup, however late it comes: on a busy machine a process may have to wait for its
 * processor in between, and another node may move the file.
 */
import { Errno } from "../../base/errno.ts";

/** More than one thread for each request that the kernel lets wait. */
const MOST = 1024;
/** No lookup yet. No node has this id. */
const NONE = 0;

export class StaleRetries {
  /** The node that each process (in fact thread) has looked up last since its ESTALE. */
  readonly #lookedUp = new Map<number, number>();

  /**
   * ESTALE for a request of `pid` (0: not known) for the node `id` that goes by the kernel's cache,
   * unless it is the repeated one; 0 for others.
   */
  refuse(pid: number, id: number, isStale: boolean): 0 | Errno {
    const lookedUp = this.#lookedUp.get(pid);
    const isRetry = this.#lookedUp.delete(pid) && lookedUp === id;
    if (isRetry || !isStale) return 0;
    if (pid === 0) return Errno.ESTALE;
    for (const [oldest] of this.#lookedUp) {
      if (this.#lookedUp.size < MOST) break;
      this.#lookedUp.delete(oldest);
    }
    this.#lookedUp.set(pid, NONE);
    return Errno.ESTALE;
  }

  /** `pid` has looked up a part of a path: the id of its node; an error ends its request. */
  lookedUp(pid: number, id: number): void {
    if (!this.#lookedUp.has(pid)) return;
    if (id > NONE) this.#lookedUp.set(pid, id);
    else this.#lookedUp.delete(pid);
  }
}
