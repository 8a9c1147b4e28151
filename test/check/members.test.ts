/** The members of pmxcfs's groups: two nodes with a real corosync, and our server on each. */
import { afterAll, beforeAll, expect } from "bun:test";
import { CsError } from "../../src/corosync/cs-error.ts";
import { memberFindings } from "../../src/tools/check/probes/members.ts";
import type { ClusterStatus } from "../../src/pmxcfs/replication/services/cluster.ts";
import type { CorosyncView } from "../../src/tools/cluster/corosync-view.ts";
import { Agent } from "../corosync/support/agent.ts";
import { noCluster, type NodeProcess, TestCluster } from "../corosync/support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { noPrivateNode } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";
import { codesOf, expectFound, PROGRAM, reported, type Told } from "./support/run.ts";

const reason = noCluster() ?? noPrivateNode();
const testMembers = testUnless(reason);
const DATABASE_GROUP = "pve_dcdb_v1\0";

let cluster: TestCluster | undefined;
const servers: NodeProcess[] = [];

function up(): TestCluster {
  if (cluster === undefined) throw new Error("no cluster");
  return cluster;
}

beforeAll(async () => {
  if (reason !== undefined) return;
  cluster = await TestCluster.up(2);
  for (const node of cluster.nodes) servers.push(node.start([...PROGRAM, "pmxcfs", "-f"]));
}, 60_000);
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

/** Runs the check on node 1. */
async function checked(): Promise<Told> {
  const words = ["--check", "--only", "cluster", "--json"];
  const patient = ["--deadline", "10s", "--total-deadline", "50s"];
  const { stdout } = await up()
    .node(1)
    .run(...PROGRAM, ...words, ...patient);
  return JSON.parse(stdout) as Told;
}

function texts({ findings }: Told): string[] {
  return findings.map(({ text }) => text);
}

testMembers(
  "two synced nodes pass, with pid and name of each",
  async () => {
    const report = await eventually(
      `both are synced\n${servers.map(({ output }) => output).join("\n")}`,
      async () => {
        const now = await checked();
        const bothSynced = texts(now).some((text) => text.includes("2 of 2 synced"));
        return bothSynced && codesOf(now).length === 0 ? now : undefined;
      },
      40_000,
    );
    expect(report.exit_code).toBe(0);
    expect(texts(report).join("\n")).toMatch(
      /^corosync is quorate, in pmxcfs's group: 1\/\d+ \(n1\), 2\/\d+ \(n2\); synced, 2 of 2 /m,
    );
  },
  60_000,
);

testMembers(
  "GROUP_MEMBER_ABSENT: the server of a node has ended",
  async () => {
    await servers[1]?.stop("SIGTERM");
    expectFound(await checked(), "GROUP_MEMBER_ABSENT", {
      line: /^node n2 \(id 2\) is in the cluster, but no pmxcfs of it .* the groups dcdb, status$/,
      fix: /^On node n2: /,
      exit: 1,
    });
  },
  30_000,
);

/**
 * An UPDATE_COMPLETE of no epoch, which all members ignore, from a clock that is at least an hour
 * ahead: the next time that consists of ASCII bytes, because a command to a node can contain only
 * those.
 */
function strayMessage(): string {
  let time = Math.floor(Date.now() / 1000) + 3600;
  while ((time & 0x80808080) !== 0) time++;
  const words = new Uint32Array([4, 1, time, 0, 0, 0, 0, 0, 0]);
  return Buffer.from(words.buffer).toString("latin1");
}

testMembers(
  "MEMBER_SILENT, CLUSTER_CLOCK_DIFFERS: a member that says nothing of its state, with a clock ahead",
  async () => {
    await using mute = new Agent(up().node(2));
    await mute.do({ op: "connect", group: DATABASE_GROUP });
    expect(await mute.do({ op: "join", group: DATABASE_GROUP })).toBe(CsError.OK);
    await mute.do({ op: "mcast", group: DATABASE_GROUP, text: strayMessage() });
    const report = await eventually(
      "it is named",
      async () => {
        const now = await checked();
        return codesOf(now).includes("MEMBER_SILENT") ? now : undefined;
      },
      30_000,
    );
    expectFound(report, "MEMBER_SILENT", {
      line: /^dcdb: for \d+ s all members wait for the state of 2\/\d+ \(node n2\)/,
      fix: /^On node n2: .*The other members continue as soon as it has left\.$/,
      exit: 2,
    });
    expectFound(report, "CLUSTER_CLOCK_DIFFERS", {
      line: /^the clock of node n2 is \d{4,8} s ahead of this node's \(limit 2 s\)$/,
      fix: /chronyc tracking/,
      exit: 2,
    });
  },
  60_000,
);

testMembers(
  "NO_QUORUM: by corosync, and not twice",
  async () => {
    up().partition([1], [2]);
    const report = await eventually(
      "quorum is lost",
      async () => {
        const now = await checked();
        return codesOf(now).includes("NO_QUORUM") ? now : undefined;
      },
      30_000,
    );
    expect(codesOf(report).filter((code) => code === "NO_QUORUM")).toHaveLength(1);
    expect(report.exit_code).toBe(2);
  },
  60_000,
);

testMembers(
  "COROSYNC_UNREACHABLE: it does not run, or hangs",
  async () => {
    const wanted = {
      line: /^3 of 3 services of corosync do not answer: cmap: CS_ERR_\w+: /,
      fix: /^Look at `systemctl status corosync`/,
      exit: 2,
    };
    up().node(1).signalCorosync("SIGSTOP");
    try {
      expectFound(await checked(), "COROSYNC_UNREACHABLE", wanted);
    } finally {
      up().node(1).signalCorosync("SIGCONT");
    }
    await up().node(1).stopCorosync("SIGKILL");
    expectFound(await checked(), "COROSYNC_UNREACHABLE", wanted);
  },
  60_000,
);

// A real ghost needs two faults of corosync in one second; this view is what corosync then reports.
const GHOST: CorosyncView = {
  facts: {
    clusterName: "test",
    configVersion: 3,
    nodes: [1, 2, 3].map((id) => ({ id, name: `n${id}`, votes: 1 })),
  },
  running: [],
  holdMs: 180,
  nodeid: 1,
  quorate: true,
  partition: [1, 2],
  groups: {
    dcdb: [1, 2, 3].map((nodeid) => ({ nodeid, pid: 4711 })),
    status: [1, 2].map((nodeid) => ({ nodeid, pid: 4711 })),
  },
};

testUnless(undefined)("GROUP_GHOST: in the group, and not in quorum's list", () => {
  const seen = { view: GHOST, server: undefined, serving: true, links: [] };
  const report = reported(memberFindings(seen));
  expect(codesOf(report)).toEqual(["GROUP_GHOST"]);
  expectFound(report, "GROUP_GHOST", {
    line: /^3\/4711 \(node n3\) is in pmxcfs's groups \(dcdb\), but quorum does not have its node$/,
    fix: /^Restart corosync on the remaining members, one at a time: /,
    exit: 2,
  });
});

/** A view of three nodes that are all in quorum, and the status of this node's server. */
function stalled(mode: "update" | "start-sync") {
  const members = [1, 2, 3].map((nodeid) => ({ nodeid, pid: 4711, synced: false }));
  const dcdb = {
    mode,
    // Another member has joined since.
    modeMs: 2000,
    leader: members[1],
    updates: 0,
    updateBytes: 0,
    largestUpdate: 0,
    members,
    missing: [
      { nodeid: 2, pid: 4711, silentMs: 14_400 },
      { nodeid: 3, pid: 4711, silentMs: 2000 },
    ],
    sending: { waiting: 0, oldestMs: 0 },
  };
  const server = { groups: { dcdb } } as unknown as ClusterStatus;
  const groups = { dcdb: GHOST.groups.dcdb, status: GHOST.groups.dcdb };
  const view: CorosyncView = { ...GHOST, partition: [1, 2, 3], groups };
  return memberFindings({ view, server, serving: true, links: [] });
}

testUnless(undefined)("MEMBER_SILENT: a node that lags waits for the leader alone", () => {
  const [finding, other] = stalled("update");
  expect(other).toBeUndefined();
  expect(finding?.text).toBe("dcdb: for 14 s this node waits for the updates of 2/4711 (node n2)");
});

testUnless(undefined)("MEMBER_SILENT: without a state all members wait", () => {
  const [finding] = stalled("start-sync");
  expect(finding?.text).toBe("dcdb: for 14 s all members wait for the state of 2/4711 (node n2)");
});
