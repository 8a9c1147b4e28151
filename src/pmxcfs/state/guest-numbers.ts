/**
 * Maps guest numbers to configurations: a number exists only once over all nodes and types. The
 * writable tree checks it before a create, write or rename. C counterpart: status.c,
 * vmlist_different_vm_exists.
 */
import type { Steps } from "../../base/steps.ts";
import type { ComingTree } from "./coming-tree.ts";
import { guestConfigs, guestPath } from "./guests.ts";
import type { Change, Entry, Memdb } from "./memdb.ts";

/** Configurations per step. */
const CONFIGS_A_STEP = 64;

/** Follows the changes of the tree. */
export class GuestNumbers {
  #paths = new Map<number, string>();
  /** The paths in the tree that was prepared last. */
  #coming = new Map<number, string>();

  constructor(memdb: Memdb) {
    for (const { vmid, path } of guestConfigs(memdb.root)) {
      if (!this.#paths.has(vmid)) this.#paths.set(vmid, path);
    }
    memdb.subscribe((change) => this.#changed(change));
    memdb.prepareWith((coming) => this.#prepare(memdb.root, coming));
  }

  /**
   * The other path that has the guest number of `path`; undefined when the number is free, or when
   * `path` is not a guest's.
   */
  elsewhere(path: string): string | undefined {
    const vmid = guestPath(path)?.vmid;
    if (vmid === undefined) return undefined;
    const held = this.#paths.get(vmid);
    return held === path ? undefined : held;
  }

  #changed({ kind, path, entry }: Change): void {
    if (kind === "reloaded") this.#paths = this.#coming;
    const vmid = guestPath(path)?.vmid;
    if (vmid === undefined) return;
    const held = this.#paths.get(vmid);
    if (kind === "removed" && held === path) this.#paths.delete(vmid);
    if (kind !== "placed") return;
    if (entry.kind === "file" && held === undefined) this.#paths.set(vmid, path);
    // A directory has replaced a configuration.
    if (entry.kind === "directory" && held === path) this.#paths.delete(vmid);
  }

  *#prepare(root: Entry, coming: ComingTree): Steps {
    const paths = new Map<number, string>();
    let count = 0;
    for (const { vmid, path } of guestConfigs(root, (entry) => coming.childrenOf(entry))) {
      if (!paths.has(vmid)) paths.set(vmid, path);
      if (++count % CONFIGS_A_STEP === 0) yield undefined;
    }
    this.#coming = paths;
  }
}
