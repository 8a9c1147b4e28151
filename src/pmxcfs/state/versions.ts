/**
 * The counters of GET_FS_VERSION: one for each observed path, one for the guest list, one for the
 * members. They are in memory only; a client first compares the start time. They count changes of
 * the tree after it was loaded. C counterpart: status.c, memdb_change_array.
 */
import type { Change, Memdb } from "./memdb.ts";

/** The paths whose files clients cache by version, in the order of the answer. */
export const OBSERVED_PATHS = [
  "corosync.conf",
  "corosync.conf.new",
  "storage.cfg",
  "user.cfg",
  "domains.cfg",
  "notifications.cfg",
  "priv/notifications.cfg",
  "priv/shadow.cfg",
  "priv/acme/plugins.cfg",
  "priv/tfa.cfg",
  "priv/token.cfg",
  "priv/wg-keys.cfg",
  "datacenter.cfg",
  "vzdump.cron",
  "vzdump.conf",
  "jobs.cfg",
  "ha/crm_commands",
  "ha/manager_status",
  "ha/resources.cfg",
  "ha/rules.cfg",
  "ha/groups.cfg",
  "ha/fence.cfg",
  "status.cfg",
  "replication.cfg",
  "ceph.conf",
  "sdn/vnets.cfg",
  "sdn/zones.cfg",
  "sdn/controllers.cfg",
  "sdn/subnets.cfg",
  "sdn/ipams.cfg",
  "sdn/mac-cache.json",
  "sdn/pve-ipam-state.json",
  "sdn/dns.cfg",
  "sdn/fabrics.cfg",
  "sdn/route-maps.cfg",
  "sdn/prefix-lists.cfg",
  "sdn/.running-config",
  "virtual-guest/cpu-models.conf",
  "virtual-guest/profiles.cfg",
  "firewall/cluster.fw",
  "mapping/directory.cfg",
  "mapping/pci.cfg",
  "mapping/usb.cfg",
] as const;

export interface VersionsOptions {
  /** Must be loaded already, so that loading does not count as changes. */
  readonly memdb: Memdb;
  /** Seconds since 1970; default: now. */
  readonly startTime?: number;
}

export class Versions {
  readonly startTime: number;
  readonly observed: readonly string[] = OBSERVED_PATHS;
  readonly #counters = new Map<string, number>(OBSERVED_PATHS.map((path) => [path, 1]));
  #clinfo = 0;
  #vmlist: number;
  #generation = 0;

  constructor(options: VersionsOptions) {
    const { memdb, startTime = Math.floor(Date.now() / 1000) } = options;
    this.startTime = startTime;
    this.#vmlist = memdb.find("nodes")?.kind === "directory" ? 1 : 0;
    memdb.subscribe((change) => this.#changed(change));
  }

  get clinfo(): number {
    return this.#clinfo;
  }

  get vmlist(): number {
    return this.#vmlist;
  }

  /** Changes whenever one of the counters changes. */
  get generation(): number {
    return this.#generation;
  }

  /** The counter of an observed path; 0 for any other. */
  of(path: string): number {
    return this.#counters.get(path) ?? 0;
  }

  /** To be called when the list or state of the members changed. */
  bumpClinfo(): void {
    this.#clinfo++;
    this.#generation++;
  }

  /** To be called when a guest was added or removed, or its configuration changed. */
  bumpVmlist(): void {
    this.#vmlist++;
    this.#generation++;
  }

  #changed({ kind, path, entry, created }: Change): void {
    if (kind === "reloaded") {
      for (const observed of OBSERVED_PATHS) this.#bump(observed);
    } else if (created !== true || entry.kind === "file") {
      // As in C, mkdir at an observed path does not count; its rename and removal do.
      this.#bump(path);
    }
  }

  #bump(path: string): void {
    const counter = this.#counters.get(path);
    if (counter === undefined) return;
    this.#counters.set(path, counter + 1);
    this.#generation++;
  }
}
