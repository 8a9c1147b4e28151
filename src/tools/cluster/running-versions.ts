/**
 * The version of corosync.conf that each node runs, as this node's corosync has it
 * (runtime.members in cmap, cmap.c of corosync): the last one heard of a node that has left.
 */
import type { Cmap } from "../../corosync/cmap.ts";
import type { CsError } from "../../corosync/cs-error.ts";

/** A node that has been a member since this node's corosync started. */
export interface MemberVersion {
  readonly id: number;
  readonly version: number;
  /** It is a member now. */
  readonly joined: boolean;
}

const MEMBERS = "runtime.members.";

/** In the order of the node ids; an error of cmap. */
export async function memberVersions(cmap: Cmap): Promise<MemberVersion[] | CsError> {
  const keys = await cmap.keys(MEMBERS);
  if (typeof keys === "number") return keys;
  const found: MemberVersion[] = [];
  for (const key of keys) {
    const [id = "", field] = key.slice(MEMBERS.length).split(".");
    if (field !== "config_version") continue;
    const version = await cmap.get(key);
    const status = await cmap.get(`${MEMBERS}${id}.status`);
    // Keys that went while this walk was under way.
    if (typeof version === "number" || version.kind !== "integer") continue;
    const joined = typeof status === "object" && status.value === "joined";
    found.push({ id: Number(id), version: Number(version.value), joined });
  }
  return found.toSorted((a, b) => a.id - b.id);
}
