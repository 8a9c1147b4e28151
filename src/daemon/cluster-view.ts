/** A node's part in its cluster as the `cluster` socket and the metrics show it. */
import type { ClusterSource } from "../observe/cluster-socket.ts";
import { memberText } from "../pmxcfs/replication/events.ts";
import { messageText } from "../pmxcfs/replication/message-text.ts";
import type { Cluster } from "../pmxcfs/replication/services/cluster.ts";
import type { GroupEvent } from "../pmxcfs/replication/services/group-service.ts";

function eventOf(group: "dcdb" | "status", event: GroupEvent, now: Date): object {
  const head = { time: now.toISOString(), group, kind: event.kind };
  switch (event.kind) {
    case "message": {
      const { from, message } = event;
      const text = messageText(group, message);
      return { ...head, from: memberText(from), bytes: message.length, text };
    }
    case "members":
      return { ...head, members: event.members.map(memberText) };
    case "mode":
      return { ...head, mode: event.mode };
    default:
      return event satisfies never;
  }
}

/** What the socket of this server answers. */
export function clusterSource(cluster: Cluster): ClusterSource {
  return {
    view: () => ({ schema_version: 1, pid: process.pid, ...cluster.view }),
    verify: () => cluster.verify(),
    watch: (observer) =>
      cluster.observe(observer && ((group, event) => observer(eventOf(group, event, new Date())))),
  };
}
