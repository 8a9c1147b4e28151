/** The status group of a node that has no status values, for tests of the cluster log alone. */
import type { Member } from "../../src/pmxcfs/replication/events.ts";
import { StatusGroup } from "../../src/pmxcfs/replication/status-group.ts";
import type { ClusterLog } from "../../src/pmxcfs/state/cluster-log.ts";

export function bareStatusGroup(self: Member, log: ClusterLog): StatusGroup {
  return new StatusGroup({
    self,
    status: { setOf: () => 0, ownKeys: () => [], set: () => 0 },
    log,
    onMembers() {},
    address: () => undefined,
  });
}
