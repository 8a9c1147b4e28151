/**
 * Reads runtime.members of this node's cmap: the version of corosync.conf that each node runs, and
 * its addresses; for a node that has left, the last ones that were received.
 */
import type { Cmap } from "../../corosync/cmap.ts";
import type { CsError } from "../../corosync/cs-error.ts";

/** A node that has been a member since this node's corosync started. */
export interface MemberVersion {
  readonly id: number;
  readonly version: number;
  /** True if it is a member. */
  readonly joined: boolean;
  /** Addresses of its links, by link number. */
  readonly addresses: readonly string[];
}

const MEMBERS = "runtime.members.";

/** `r(0) ip(10.0.0.1) r(1) ip(10.0.1.1)`: an address for each link. */
function addressesIn(text: string): string[] {
  const addresses: string[] = [];
  for (const [, link, address = ""] of text.matchAll(/r\((\d)\) ip\(([^)]*)\)/g)) {
    addresses[Number(link)] = address;
  }
  return addresses;
}

/** The entries in the order of the node ids, or cmap's error. */
export async function memberVersions(cmap: Cmap): Promise<MemberVersion[] | CsError> {
  const keys = await cmap.keys(MEMBERS);
  if (typeof keys === "number") return keys;
  const found: MemberVersion[] = [];
  for (const key of keys) {
    const [id = "", field] = key.slice(MEMBERS.length).split(".");
    if (field !== "config_version") continue;
    const version = await cmap.get(key);
    const status = await cmap.get(`${MEMBERS}${id}.status`);
    const ip = await cmap.get(`${MEMBERS}${id}.ip`);
    // The key was removed during this walk.
    if (typeof version === "number" || version.kind !== "integer") continue;
    const joined = typeof status === "object" && status.value === "joined";
    const addresses = typeof ip === "object" ? addressesIn(String(ip.value)) : [];
    found.push({ id: Number(id), version: Number(version.value), joined, addresses });
  }
  return found.toSorted((a, b) => a.id - b.id);
}
