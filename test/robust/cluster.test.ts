/**
 * A cluster node that sends arbitrary messages, and a node whose disk is full, beside two nodes of
 * ours with their mounts: readers of /etc/pve there get correct answers within 1 s throughout;
 * afterwards both nodes accept changes, have the same tree, and use no more resources than before.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout } from "bun:test";
import { join } from "node:path";
import { Agent } from "../corosync/support/agent.ts";
import {
  type ClusterNode,
  noCluster,
  type NodeProcess,
  TestCluster,
} from "../corosync/support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { Moments } from "../support/moments.ts";
import { REPOSITORY } from "../support/native.ts";
import { noPrivateNode } from "../support/private-node.ts";
import { program } from "../support/service.ts";
import { testUnless } from "../support/unless.ts";
import { residentKib, waitedForProcessorMs } from "./footprint.ts";
import { replaceSection, type SeenRow } from "./report.ts";

setDefaultTimeout(120_000);
const unless = noCluster() ?? noPrivateNode();
const test = testUnless(unless);

const ATTACK = join(REPOSITORY, "test/robust/mount-attack.py");
const GROUPS = ["pve_dcdb_v1\0", "pve_kvstore_v1\0"] as const;
/** The longest allowed wait of a reader, ms, beyond what its server waited for a processor. */
const WORST_MS = 1000;
const GROWTH_KIB = 128 * 1024;
const MIB = 1024 * 1024;
const STORE = "/var/lib/pve-cluster";
const moments = new Moments(20_261_127);
const outcomes: SeenRow[] = [];

let cluster: TestCluster;
let servers: NodeProcess[];
let beforeKib: number[];

function random(bytes: number): string {
  return String.fromCodePoint(
    ...Array.from({ length: bytes }, () => Math.floor(moments.below(256))),
  );
}

/** A message's header: type and protocol. */
function header(type: number, protocol: number): string {
  return Buffer.from(new Uint32Array([type, protocol, 0, 0]).buffer).toString("latin1");
}

/** Sends `texts` to both groups, as a member of both; returns a description. */
async function sends(agent: Agent, texts: readonly string[]): Promise<string> {
  for (const group of GROUPS) {
    for (const text of texts) await agent.do({ op: "mcast", group, text });
  }
  return `${texts.length} messages to each group`;
}

/** All have the current protocol version: at a newer one a node leaves permanently, as C does. */
const ROWS: Readonly<Record<string, (agent: Agent) => Promise<string>>> = {
  "each type, random bodies": async (agent) => {
    const kinds = Array.from({ length: 12 }, (_, type) => [0, 1, 2].map((body) => [type, body]));
    return await sends(
      agent,
      kinds.flat().map(([type = 0, body = 0]) => `${header(type, 1)}${random(body * 40)}`),
    );
  },
  "a flood, and messages of a MiB": async (agent) => {
    for (const group of GROUPS) {
      await agent.do({ op: "flood", group, text: `${header(0, 1)}flood`, count: 2000 });
      for (let at = 0; at < 5; at++) await agent.do({ op: "large", group, text: "\0", size: MIB });
    }
    return "2,000 messages and 5 of a MiB to each group as fast as corosync takes them";
  },
  "joins and leaves": async (agent) => {
    for (let at = 0; at < 10; at++) {
      for (const group of GROUPS) {
        await agent.do({ op: "leave", group });
        await agent.do({ op: "finalize", group });
        await agent.do({ op: "connect", group });
        await agent.do({ op: "join", group });
      }
    }
    return "joined and left both groups 10 times";
  },
};

function nodeAt(id: number): ClusterNode {
  return cluster.node(id);
}

/** Starts a node's server; returns when it is mounted. */
async function serve(id: number): Promise<NodeProcess> {
  const server = nodeAt(id).start([...program(), "pmxcfs", "-f"]);
  await eventually(`node ${id} serves`, () => server.output.includes("serving pve2"), 30_000);
  return server;
}

/** Checks that both nodes of ours accept changes and have the same tree. */
async function inStep(): Promise<void> {
  for (const id of [1, 2]) {
    await eventually(
      `node ${id} takes changes`,
      async () => (await nodeAt(id).sh(`date >/etc/pve/in-step-${id}`)).exitCode === 0,
      40_000,
    );
  }
  const tree = "cd /etc/pve && find . -type f -not -path './.*' | sort | xargs sha256sum";
  await eventually("one tree", async () => {
    const [one, two] = await Promise.all([nodeAt(1).sh(tree), nodeAt(2).sh(tree)]);
    return one.exitCode === 0 && one.stdout === two.stdout;
  });
}

interface Beside extends SeenRow {
  /** How long the server of node 1 was ready to run and others had the processors, in ms. */
  readonly starvedMs: number;
}

/** Runs `work` beside a reader on node 1; returns the row. */
async function beside(name: string, work: () => Promise<string>): Promise<Beside> {
  await nodeAt(1).run("rm", "-f", "/run/steady-stop");
  const pid = (await servers[0]?.pid) ?? 0;
  const before = waitedForProcessorMs(pid);
  const reader = nodeAt(1).start(["python3", ATTACK, "steady", "90", "reads"]);
  const did = await work();
  await nodeAt(1).run("touch", "/run/steady-stop");
  await reader.exited;
  await reader.drained;
  const [worstMs = Infinity, wrong = Infinity] = reader.output.split(" ").map(Number);
  return { name, did, worstMs, wrong, starvedMs: waitedForProcessorMs(pid) - before };
}

/** The row of an attack by a member of both groups on node 3. */
async function attacked(name: string, attack: (agent: Agent) => Promise<string>): Promise<Beside> {
  return await beside(name, async () => {
    await using agent = new Agent(nodeAt(3));
    for (const group of GROUPS) {
      await agent.do({ op: "connect", group });
      await agent.do({ op: "join", group });
    }
    return await attack(agent);
  });
}

async function memory(): Promise<number[]> {
  return await Promise.all(servers.map(async (server) => residentKib(await server.pid)));
}

beforeAll(async () => {
  if (unless !== undefined) return;
  cluster = await TestCluster.up(3);
  servers = [await serve(1), await serve(2)];
  await inStep();
  await nodeAt(1).sh("head -c 1024 /dev/zero | tr '\\0' s >/etc/pve/steady");
  beforeKib = await memory();
}, 120_000);

afterAll(async () => {
  replaceSection("A node of the cluster that sends anything", outcomes);
  await cluster?.[Symbol.asyncDispose]();
});

for (const [name, attack] of Object.entries(ROWS)) {
  test(`a peer: ${name}: readers are served, and the others agree afterwards`, async () => {
    const row = await attacked(name, attack);
    outcomes.push(row);
    expect(row.wrong).toBe(0);
    // Repeated if it took long: another process may have had the processors.
    if (row.worstMs >= WORST_MS + row.starvedMs) {
      await inStep();
      const again = await attacked(name, attack);
      expect(again.worstMs).toBeLessThan(WORST_MS + again.starvedMs);
    }
    for (const server of servers) expect(server.running).toBe(true);
    await inStep();
  });
}

test("a node with a full disk fails its own changes only, and recovers", async () => {
  const row = await beside("a full disk below config.db", async () => {
    expect(await servers[1]?.stop()).toBe(0);
    await nodeAt(2).sh(`cp -a ${STORE} /run/saved; mount -t tmpfs -o size=4m tmpfs ${STORE}
      cp -a /run/saved/. ${STORE}/`);
    servers[1] = await serve(2);
    await inStep();
    await nodeAt(2).sh(`dd if=/dev/zero of=${STORE}/fill bs=4096; true`);
    let failed = "";
    await eventually("a change fails there", async () => {
      const { stderr } = await nodeAt(2).sh("head -c 60000 /dev/urandom >/etc/pve/full");
      failed = /: ([A-Z][\w/ ]+)$/m.exec(stderr)?.[1] ?? "";
      return failed !== "";
    });
    expect((await nodeAt(1).sh("echo on >/etc/pve/meanwhile")).exitCode).toBe(0);
    expect((await nodeAt(2).sh("cat /etc/pve/steady | wc -c")).stdout.trim()).toBe("1024");
    await nodeAt(2).run("rm", `${STORE}/fill`);
    await inStep();
    expect((await nodeAt(2).sh("cat /etc/pve/meanwhile")).stdout).toBe("on\n");
    return `its changes: ${failed}; reads there and changes elsewhere went on; back with room`;
  });
  outcomes.push(row);
  expect(row.wrong).toBe(0);
});

test("afterwards both servers are alive and use no more memory than before", async () => {
  for (const [index, kib] of (await memory()).entries()) {
    expect(kib).toBeLessThan((beforeKib[index] ?? 0) + GROWTH_KIB);
  }
  for (const id of [1, 2]) {
    expect(await servers[id - 1]?.stop()).toBe(0);
    const verified = await nodeAt(id).run(
      ...program(),
      "config",
      "verify",
      "--db",
      `${STORE}/config.db`,
    );
    expect(verified.stdout).toContain(": sound");
  }
});
