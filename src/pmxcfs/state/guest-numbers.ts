/**
 * Which configuration has which guest number: a number exists once over all nodes and kinds. The
 * writable tree checks here before it creates, writes or renames. C counterpart: status.c,
 * vmlist_different_vm_exists.
 */
import { guestPath } from "./guests.ts";
import { pathOf, type Change, type Memdb } from "./memdb.ts";

/** Updated by the tree's changes. */
export class GuestNumbers {
  readonly #memdb: Memdb;
  readonly #paths = new Map<number, string>();

  constructor(memdb: Memdb) {
    this.#memdb = memdb;
    this.#collect();
    memdb.subscribe((change) => this.#changed(change));
  }

  /**
   * The other path that has the guest number of `path`; undefined when it is free or no guest's.
   */
  elsewhere(path: string): string | undefined {
    const vmid = guestPath(path)?.vmid;
    if (vmid === undefined) return undefined;
    const held = this.#paths.get(vmid);
    return held === path ? undefined : held;
  }

  #changed({ kind, path, entry }: Change): void {
    if (kind === "reloaded") this.#collect();
    const vmid = guestPath(path)?.vmid;
    if (vmid === undefined) return;
    const held = this.#paths.get(vmid);
    if (kind === "removed" && held === path) this.#paths.delete(vmid);
    if (kind !== "placed") return;
    if (entry.kind === "file" && held === undefined) this.#paths.set(vmid, path);
    // A directory has replaced a configuration.
    if (entry.kind === "directory" && held === path) this.#paths.delete(vmid);
  }

  #collect(): void {
    this.#paths.clear();
    for (const entry of this.#memdb.entries()) {
      if (entry.kind === "directory") continue;
      const path = pathOf(entry);
      const vmid = guestPath(path)?.vmid;
      if (vmid !== undefined && !this.#paths.has(vmid)) this.#paths.set(vmid, path);
    }
  }
}
