/**
 * Messages that get lost between the nodes, by corosync's counters: three nodes with a real
 * corosync and our server, and a path that drops packets.
 */
import { afterAll, beforeAll, expect } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import type { GroupStatus } from "../../src/pmxcfs/replication/group-status.ts";
import type { LinkFigures, Statistics } from "../../src/tools/cluster/link-statistics.ts";
import { isLossy, lossesBetween, narrowLinks, nodesApart } from "../../src/tools/cluster/losses.ts";
import { progressText } from "../../src/tools/cluster/progress.ts";
import { type ClusterNode, noCluster, TestCluster } from "../corosync/support/cluster.ts";
import { FIXED_MTU } from "../corosync/support/corosync-conf.ts";
import { eventually } from "../support/eventually.ts";
import { noPrivateNode } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";
import {
  checkedOn,
  DROP_LARGE,
  filter,
  linkCodes,
  noFilter,
  OWN_INTERFACES,
} from "./support/links.ts";
import { codesOf, expectFound, PROGRAM, type Told } from "./support/run.ts";

/** Drops a fifth of the packets above 300 bytes: then also loads a random word and compares. */
const DROP_SOME = filter(
  "6,128 0 0 0,37 0 3 300,32 0 0 4294963256,37 1 0 858993459,6 0 0 2,6 0 0 0",
);
const PASS_ALL = "tc qdisc del dev eth0 clsact";

const reason = noCluster() ?? noPrivateNode() ?? noFilter();
const testLinks = testUnless(reason);
/** Token and pings are late on a busy machine that drops packets too. */
const PATIENT = [
  ["token: 1000", "token: 3000"],
  ["consensus: 1200", "consensus: 3600"],
  ["knet_ping_interval: 100", "knet_ping_interval: 1000"],
  ["knet_ping_timeout: 500", "knet_ping_timeout: 8000"],
] as const;

let cluster: TestCluster | undefined;

function node(id: number): ClusterNode {
  if (cluster === undefined) throw new Error("no cluster");
  return cluster.node(id);
}

function changeConf(path: string, changes: readonly (readonly [string, string])[]): void {
  let conf = readFileSync(path, "latin1");
  for (const [old, now] of changes) {
    expect(conf).toContain(old);
    conf = conf.replace(old, now);
  }
  writeFileSync(path, conf);
}

beforeAll(async () => {
  if (reason !== undefined) return;
  cluster = await TestCluster.up(3, { corosync: false });
  for (const { holder } of cluster.nodes) {
    changeConf(holder.path("/etc/corosync/corosync.conf"), PATIENT);
    await holder.run(OWN_INTERFACES);
  }
  for (const one of cluster.nodes) one.startCorosync();
  await cluster.agreed([1, 2, 3]);
  for (const id of [1, 2]) node(id).start([...PROGRAM, "pmxcfs", "-f"]);
}, 90_000);
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

async function checked(id: number): Promise<Told> {
  return await checkedOn(node(id));
}

/** Waits until the server of a node has `count` synced members. */
async function inStep(id: number, count: number): Promise<void> {
  await eventually(
    `node ${id} is one of ${count} synced members`,
    async () => {
      const { stdout } = await node(id).run(...PROGRAM, "cluster", "status");
      return new RegExp(`^dcdb: synced .*, ${count} of ${count} members synced`, "m").test(stdout);
    },
    40_000,
  );
}

testLinks(
  "nothing is said of links that work, while large files are written",
  async () => {
    await inStep(1, 2);
    const { stderr } = await node(1).sh(`for name in a b c; do echo $name > /etc/pve/$name; done
      head -c 300000 /dev/urandom > /etc/pve/large`);
    expect(stderr).toBe("");
    for (const id of [1, 2]) expect(linkCodes(await checked(id))).toEqual([]);
  },
  90_000,
);

/**
 * The state of the status group is a large message too (the cluster log): where it comes first, it
 * keeps what follows of the other group.
 */
function isWaiting({ code, text }: Told["findings"][number]): boolean {
  const waiting = "(this node waits for the updates|all members wait for the state)";
  const line = new RegExp(`^\\w+: for \\d+ s ${waiting} of 1\\/\\d+ \\(node n1\\)`);
  return code === "MEMBER_SILENT" && line.test(text);
}

testLinks(
  "LARGE_MESSAGES_LOST: a join that waits for a large message says what came, the counters, and MTU",
  async () => {
    expect((await node(3).sh(DROP_LARGE)).stderr).toBe("");
    node(3).start([...PROGRAM, "pmxcfs", "-f"]);
    let seen = "";
    const report = await eventually(
      "it is found",
      async () => {
        const now = await checked(3);
        seen = JSON.stringify(now.findings, undefined, 1);
        return now.findings.some(isWaiting) && linkCodes(now).length > 0 ? now : undefined;
      },
      60_000,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${seen}`, { cause: error });
    });
    expectFound(report, "LARGE_MESSAGES_LOST", {
      line: /^large messages are lost .* \(MTU\): \d+ pieces of messages came within \d\.\d s /,
      fix: /^`ping -M do -c 3 -s 1472` to the address of each other node/,
      exit: 2,
    });
    const silent = report.findings.find(isWaiting);
    expect(silent?.follows_from).toBe("LARGE_MESSAGES_LOST");
    expect(silent?.details.join("\n")).toMatch(
      /^\d (updates? of 1\/\d+ \(node n1\)|of 3 states) arrived in \d+ s(: \d.*)?$/m,
    );
    // The counters are with the first of them; it may be another member's, or the other group's.
    const first = report.findings.find(({ code }) => code === "MEMBER_SILENT");
    const details = first?.details.join("\n");
    expect(details).toMatch(
      /^corosync within \d\.\d s: \d+ messages? sent again, \d+ whole messages? and /m,
    );
    expect(details).toMatch(
      /^corosync since its start: \d+ messages? sent again of \d+, token lost \d+ /m,
    );
    expect(details).toMatch(
      /^link 0 to n1 \(id 1\): up, was down \d times?, MTU 1446 bytes, 0 send errors$/m,
    );
  },
  90_000,
);

testLinks(
  "LARGE_MESSAGES_LOST: the node that sends them says how often",
  async () => {
    const report = await checked(1);
    expectFound(report, "LARGE_MESSAGES_LOST", {
      line: /\(MTU\): \d+ messages sent again and \d+ new ones? within \d\.\d s, /,
      fix: /^`ping -M do -c 3 -s 1472`/,
      exit: 2,
    });
    expect(linkCodes(await checked(2))).toEqual([]);
  },
  60_000,
);

testLinks(
  "nothing is said any more when large packets pass again, and the join ends",
  async () => {
    await node(3).sh(PASS_ALL);
    for (const id of [3, 1]) {
      await inStep(id, 3);
      expect(linkCodes(await checked(id))).toEqual([]);
    }
  },
  90_000,
);

testLinks(
  "MESSAGES_RESENT: some messages are lost, whatever their size",
  async () => {
    expect((await node(3).sh(DROP_SOME)).stderr).toBe("");
    const writer = node(1).start([
      "sh",
      "-c",
      "while :; do head -c 700 /dev/urandom > /etc/pve/written; done",
    ]);
    try {
      const report = await eventually(
        "it is found",
        async () => {
          const now = await checked(1);
          return codesOf(now).includes("MESSAGES_RESENT") ? now : undefined;
        },
        60_000,
      );
      expectFound(report, "MESSAGES_RESENT", {
        line: /^corosync sent \d+ messages again within \d\.\d s \(limit 2\), \d+ since its start$/,
        fix: /^Look at `corosync-cfgtool -s`, at errors of the interface/,
        exit: 1,
      });
    } finally {
      await writer.stop("SIGKILL");
      await node(3).sh(PASS_ALL);
    }
  },
  90_000,
);

testLinks(
  "LINK_MTU_SMALL: corosync has found that the only path carries less than its interface",
  async () => {
    await using two = await TestCluster.up(2, { corosync: false });
    for (const { holder } of two.nodes) {
      changeConf(holder.path("/etc/corosync/corosync.conf"), [[FIXED_MTU, "knet_mtu: 0"]]);
      await holder.run(OWN_INTERFACES);
    }
    expect((await two.node(2).sh(DROP_LARGE)).stderr).toBe("");
    for (const one of two.nodes) one.startCorosync();
    await two.agreed([1, 2]);
    const report = await eventually(
      "it is found",
      async () => {
        const now = await checkedOn(two.node(1));
        return codesOf(now).includes("LINK_MTU_SMALL") ? now : undefined;
      },
      60_000,
    );
    expectFound(report, "LINK_MTU_SMALL", {
      line: /^link 0 to n2 carries packets of \d{3} bytes, at least 1330 are usual here$/,
      fix: /^`ping -M do -c 3 -s 1472` to the address of n2 /,
      // For the nodes without a server.
      exit: 1,
    });
    const found = report.findings.find(({ code }) => code === "LINK_MTU_SMALL");
    expect(found?.severity).toBe("notice");
    // Node 2 hears what is small, and sends what is large: its corosync may measure more than once.
    await eventually(
      "nothing is found on node 2",
      async () => linkCodes(await checkedOn(two.node(2))).length === 0,
      80_000,
    );
  },
  180_000,
);

const RING = {
  sent: 0,
  resent: 0,
  received: 0,
  tokens: 0,
  control: 0,
  controlSent: 0,
  tokensLost: 0,
};
const LINK: LinkFigures = {
  node: 2,
  link: 0,
  connected: true,
  mtu: 1446,
  downCount: 0,
  sendErrors: 0,
  packets: 0,
};

function reading(ring: Partial<typeof RING>, link: Partial<LinkFigures> = {}): Statistics {
  return { atMs: 0, ring: { ...RING, ...ring }, links: [{ ...LINK, ...link }] };
}

const START = reading({});

testUnless(undefined)(
  "losses depend on size when links and token are well and nothing passes",
  () => {
    const large = (ring: Partial<typeof RING>, link: Partial<LinkFigures> = {}): boolean =>
      lossesBetween(START, reading({ tokens: 5, ...ring }, { packets: 5, ...link })).large;
    // The same messages again and again.
    expect(large({ resent: 20, received: 20 })).toBe(true);
    expect(large({ resent: 20, sent: 3, received: 23 })).toBe(true);
    // A few of many are lost.
    expect(large({ resent: 20, sent: 400, received: 420 })).toBe(false);
    // Once more, which is what makes up for one loss.
    expect(large({ resent: 1, received: 1 })).toBe(false);
    // Ends of messages come, no message.
    expect(large({}, { packets: 17 })).toBe(true);
    expect(large({}, { packets: 6 })).toBe(false);
    // A whole message of many packets.
    expect(large({ received: 1 }, { packets: 51 })).toBe(false);
    // Everything is lost, not what is large.
    expect(large({ resent: 20, received: 20, tokensLost: 1 })).toBe(false);
    expect(large({ resent: 20, received: 20, tokens: 0 }, { packets: 0 })).toBe(false);
    expect(large({ resent: 20, received: 20 }, { connected: false })).toBe(false);
    expect(isLossy(lossesBetween(START, reading({ resent: 20, sent: 400 })))).toBe(true);
  },
);

function apart(
  partition: readonly number[],
  ring: Partial<typeof RING>,
  link: Partial<LinkFigures> = {},
): number[] {
  return nodesApart(START, reading(ring, link), partition);
}

testUnless(undefined)(
  "a node is heard and apart when its links are up and its messages come",
  () => {
    const heard = { control: 5, controlSent: 3 };
    expect(apart([1], heard)).toEqual([2]);
    expect(apart([1, 2], heard)).toEqual([]);
    // Only this node's own messages come back.
    expect(apart([1], { control: 3, controlSent: 3 })).toEqual([]);
    expect(apart([1], heard, { connected: false })).toEqual([]);
    expect(apart([1], heard, { downCount: 1 })).toEqual([]);
  },
);

function links(...mtus: readonly (readonly [mtu: number, link?: number])[]): Statistics {
  const figures = mtus.map(([mtu, link = 0], at) =>
    Object.assign({}, LINK, { node: at + 2, mtu, link }),
  );
  return { ...START, links: figures };
}

function narrow(statistics: Statistics, own = new Map<number, number>()): number[][] {
  return narrowLinks(statistics, own).map(({ node: id, usual }) => [id, usual]);
}

testUnless(undefined)(
  "a link is narrow beside others of its number, or beside its interface",
  () => {
    expect(narrow(links([1446], [1446]))).toEqual([]);
    expect(narrow(links([1446], [932]))).toEqual([[3, 1446]]);
    // Another link may have another MTU; one that was not measured has none.
    expect(narrow(links([8946], [1446, 1], [0]))).toEqual([]);
    // What IPv6, a cipher and SHA-512 leave of 1500.
    expect(narrow(links([1330], [1330]), new Map([[0, 1500]]))).toEqual([]);
    const both = [
      [2, 1330],
      [3, 1330],
    ];
    expect(narrow(links([932], [932]), new Map([[0, 1500]]))).toEqual(both);
  },
);

function nameOf(id: number): string {
  return `n${id}`;
}

testUnless(undefined)("what came is told by the number and the sizes of updates or states", () => {
  const members = [1, 2].map((id) => ({
    nodeid: id,
    pid: 40 + id,
    synced: false,
    stateBytes: id === 1 ? 131_072 : undefined,
    clockSeconds: 0,
  }));
  const group = {
    modeMs: 14_400,
    leader: { nodeid: 1, pid: 41 },
    updates: 3,
    updateBytes: 183,
    largestUpdate: 70,
    members,
  } as unknown as GroupStatus;
  expect(progressText({ ...group, mode: "update" }, nameOf)).toBe(
    "3 updates of 1/41 (node n1) arrived in 14 s: 183 bytes, the largest 70",
  );
  expect(progressText({ ...group, mode: "start-sync" }, nameOf)).toBe(
    "1 of 2 states arrived in 14 s: 1/41 (node n1) 131072 bytes",
  );
});
