/** The progress of a synchronisation that has not ended, in words. */
import type { GroupStatus } from "../../pmxcfs/replication/group-status.ts";
import type { Member } from "../../pmxcfs/replication/events.ts";

/** Number and sizes of the updates, or the size of each state. `nameOf`: a node's name. */
export function progressText(group: GroupStatus, nameOf: (nodeid: number) => string): string {
  const named = ({ nodeid, pid }: Member): string => `${nodeid}/${pid} (node ${nameOf(nodeid)})`;
  const { mode, modeMs, leader, updates, updateBytes, largestUpdate } = group;
  const within = `in ${Math.floor(modeMs / 1000)} s`;
  if (mode === "update" && leader !== undefined) {
    const counted = updates === 1 ? "1 update" : `${updates} updates`;
    const sizes = `${updateBytes} bytes, the largest ${largestUpdate}`;
    return `${counted} of ${named(leader)} arrived ${within}: ${sizes}`;
  }
  const states = group.members.flatMap(({ stateBytes, ...member }) => {
    return stateBytes === undefined ? [] : [`${named(member)} ${stateBytes} bytes`];
  });
  const list = states.length === 0 ? "" : `: ${states.join(", ")}`;
  return `${states.length} of ${group.members.length} states arrived ${within}${list}`;
}
