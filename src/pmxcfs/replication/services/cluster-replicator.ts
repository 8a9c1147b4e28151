/**
 * Changes of a node in a cluster: each is multicast, and its caller gets the result of applying it
 * here when it comes back. C counterpart: cfs-plug-memdb.c with dfsm.
 */
import { Errno } from "../../../base/errno.ts";
import { CfsLimits } from "../../../base/limits.ts";
import { keptCommand, type TreeCommand } from "../../state/tree-command.ts";
import type { TreeStore } from "../../store/tree-store.ts";
import { isUnlockRequest, withoutPhantoms } from "../local.ts";
import type { Replicator, Requester } from "../replicator.ts";
import type { LogEntry } from "../../state/cluster-log.ts";
import type { Cluster } from "./cluster.ts";

export class ClusterReplicator implements Replicator {
  readonly #cluster: Cluster;
  readonly #tree: TreeStore;

  constructor(cluster: Cluster, tree: TreeStore) {
    this.#cluster = cluster;
    this.#tree = tree;
  }

  get quorate(): boolean {
    return this.#cluster.quorate;
  }

  propose(given: TreeCommand, _by?: Requester, signal?: AbortSignal): number | Promise<number> {
    const { held } = this.#cluster;
    if (held === undefined) return this.#propose(given, signal);
    return this.#proposeLater(held, keptCommand(given), signal);
  }

  /** In the order of the calls, as all wait for the same promise. EINTR when `signal` ends it. */
  async #proposeLater(
    held: Promise<void>,
    command: TreeCommand,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const { promise: aborted, resolve } = Promise.withResolvers<void>();
    const abort = (): void => resolve();
    signal?.addEventListener("abort", abort, { once: true });
    await Promise.race([held, aborted]);
    signal?.removeEventListener("abort", abort);
    return signal?.aborted === true ? Errno.EINTR : await this.#propose(command, signal);
  }

  #propose(given: TreeCommand, signal: AbortSignal | undefined): number | Promise<number> {
    const { database } = this.#cluster;
    if (!this.#cluster.quorate) return Errno.EACCES;
    if (database === undefined) return Errno.EBUSY;
    const { group, service } = database;
    if (group.writable !== 0) return group.writable;
    if (endOf(given) > CfsLimits.fileBytes) return Errno.EFBIG;
    if (isUnlockRequest(this.#tree.memdb, given)) {
      const request = group.unlockRequest(given.path);
      if (request !== undefined) service.send(request);
    }
    const command = withoutPhantoms(this.#tree.memdb, given);
    const result = service.propose(group.encode(command), signal);
    return command === given ? result : grown(result);
  }

  flush(): 0 | Errno {
    return this.#tree.storage.flush();
  }

  setStatus(name: string, data: Uint8Array): 0 | Errno {
    return this.#cluster.setStatus(name, data);
  }

  log(message: LogEntry): void {
    this.#cluster.log(message);
  }
}

/**
 * Where a write or a truncate would end. One beyond the limit is not sent: a message has 32 bits
 * for the offset, so C takes it modulo 4 GiB, and a truncate to 4 GiB empties the file.
 */
function endOf(command: TreeCommand): number {
  if (command.kind === "truncate") return command.size;
  return command.kind === "write" ? command.offset + command.data.length : 0;
}

/** A truncate that was sent as a write: 0 instead of the bytes written. */
async function grown(result: number | Promise<number>): Promise<number> {
  return Math.min(0, await result);
}
