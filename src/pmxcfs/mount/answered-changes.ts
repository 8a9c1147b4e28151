/**
 * Answers changes of the mount that the previous server stored but did not answer: they get the
 * answer that server owed, and are not made twice.
 */
import type { Errno } from "../../base/errno.ts";
import type { Replicator, Requester } from "../replication/replicator.ts";
import type { TreeCommand } from "../state/tree-command.ts";

/** The changes the previous server stored (ChangeLedger). */
export interface StoredChanges {
  wasStored(request: number): boolean;
}

export class AnsweredChanges implements Pick<Replicator, "propose" | "quorate" | "flush"> {
  readonly #inner: Replicator;
  readonly #stored: StoredChanges;

  constructor(inner: Replicator, stored: StoredChanges) {
    this.#inner = inner;
    this.#stored = stored;
  }

  get quorate(): boolean {
    return this.#inner.quorate;
  }

  propose(command: TreeCommand, by?: Requester, signal?: AbortSignal): number | Promise<number> {
    const request = by?.request;
    if (request !== undefined && this.#stored.wasStored(request)) {
      return command.kind === "write" ? command.data.length : 0;
    }
    return this.#inner.propose(command, by, signal);
  }

  flush(): 0 | Errno {
    return this.#inner.flush();
  }
}
