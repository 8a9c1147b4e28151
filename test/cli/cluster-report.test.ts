/** The problems that `cluster status` lists: what waits while a member of a group is silent. */
import { expect, test } from "bun:test";
import type { GroupStatus } from "../../src/pmxcfs/replication/group-status.ts";
import { reportOf } from "../../src/tools/cluster/report.ts";

const NODES = [1, 2].map((id) => ({ id, name: `n${id}`, votes: 1 }));
const MEMBERS = NODES.map(({ id }) => ({ nodeid: id, pid: id * 100 }));

/** The lines about this node's server, one of whose groups waits for node 2. */
function problems(group: "dcdb" | "status", mode: GroupStatus["mode"]): readonly string[] {
  const view = {
    facts: { clusterName: "c", configVersion: 1, nodes: NODES },
    running: [],
    holdMs: 0,
    nodeid: 1,
    quorate: true,
    partition: [1, 2],
    groups: { dcdb: MEMBERS, status: MEMBERS },
  };
  const waiting: GroupStatus = {
    mode,
    modeMs: 9000,
    epoch: { counter: 1, time: 1, nodeid: 1, pid: 100 },
    lowest: 1,
    leader: mode === "update" ? { nodeid: 2, pid: 200 } : undefined,
    updates: 0,
    updateBytes: 0,
    largestUpdate: 0,
    members: [],
    missing: [{ nodeid: 2, pid: 200, silentMs: 9000 }],
    queued: 0,
    queuedBytes: 0,
    sending: {
      outbox: 0,
      retries: 0,
      waiting: 0,
      oldestMs: 0,
      stuck: false,
      sent: { messages: 0, bytes: 0, retries: 0 },
    },
  };
  const server = {
    quorate: true,
    nodes: [1, 2],
    services: { quorum: true, confdb: true, dcdb: true, status: true },
    groups: { dcdb: undefined, status: undefined, [group]: waiting },
  };
  const report = reportOf(view, { host: undefined, tree: undefined }, server);
  return report.problems.filter((line) => line.startsWith(`${group}: `));
}

/** What those lines say that waits. */
function waits(group: "dcdb" | "status", mode: GroupStatus["mode"]) {
  return problems(group, mode).map((line) => /until it does, ([^.]*)/.exec(line)?.[1]);
}

test("the writes of all nodes wait for a state of the database group, and for nothing else", () => {
  expect(waits("dcdb", "start-sync")).toEqual(["no write of any node is answered"]);
  expect(waits("dcdb", "update")).toEqual(["no write of this node is answered"]);
  expect(waits("status", "start-sync")).toEqual([
    "status values and log entries of all nodes wait",
  ]);
});
