/**
 * Who takes changes now, behind one object that mount and requests keep: the local replicator on a
 * single node; in a cluster one without quorum until corosync's services are connected.
 */
import { Errno } from "../../base/errno.ts";
import type { TreeCommand } from "../state/tree-command.ts";
import type { LogMessage, Replicator, Requester } from "./replicator.ts";

export class ReplicatorSwitch implements Replicator {
  #current: Replicator;

  constructor(current: Replicator) {
    this.#current = current;
  }

  /** From now on `replicator` takes changes; those under way stay with the one before. */
  use(replicator: Replicator): void {
    this.#current = replicator;
  }

  get quorate(): boolean {
    return this.#current.quorate;
  }

  propose(command: TreeCommand, by?: Requester, signal?: AbortSignal): number | Promise<number> {
    return this.#current.propose(command, by, signal);
  }

  flush(): 0 | Errno {
    return this.#current.flush();
  }

  setStatus(name: string, data: Uint8Array): 0 | Errno {
    return this.#current.setStatus(name, data);
  }

  log(message: LogMessage): void {
    this.#current.log(message);
  }
}

/** A node of a cluster that is not connected to it: it reports its status, and changes nothing. */
export class DisconnectedReplicator implements Replicator {
  readonly quorate = false;
  readonly #local: Replicator;

  constructor(local: Replicator) {
    this.#local = local;
  }

  propose(): Errno {
    return Errno.EACCES;
  }

  flush(): 0 | Errno {
    return this.#local.flush();
  }

  setStatus(name: string, data: Uint8Array): 0 | Errno {
    return this.#local.setStatus(name, data);
  }

  log(message: LogMessage): void {
    this.#local.log(message);
  }
}
