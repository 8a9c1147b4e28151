/** What clusters in the field suffer from: sick, silent, hostile and stale members. */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { readdirSync } from "node:fs";
import { Errno } from "../../src/base/errno.ts";
import { CsError } from "../../src/corosync/cs-error.ts";
import { eventually } from "../support/eventually.ts";
import { testUnless } from "../support/unless.ts";
import { Agent } from "./support/agent.ts";
import { noCluster, TestCluster } from "./support/cluster.ts";
import { NodeServer, sameTree } from "./support/node-server.ts";

const reason = noCluster();
const test = testUnless(reason);
const ALL = [1, 2, 3];
const FILL = "\xff".repeat(64);
const DATABASE_GROUP = "pve_dcdb_v1\0";
let cluster: TestCluster;
let servers: NodeServer[];

beforeAll(async () => {
  if (reason !== undefined) return;
  cluster = await TestCluster.up(3);
  servers = cluster.nodes.map((node) => new NodeServer(node, "--deadline", "3000"));
  await allInStep();
}, 120_000);

afterAll(async () => {
  if (reason !== undefined) return;
  for (const server of servers) await server[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
});

async function allInStep(): Promise<void> {
  await Promise.all(servers.map((one) => one.inStep(ALL)));
}

function at(id: number): NodeServer {
  const found = servers[id - 1];
  if (found === undefined) throw new Error(`no server ${id}`);
  return found;
}

function restart(id: number, ...words: readonly string[]): void {
  servers[id - 1] = new NodeServer(cluster.node(id), "--deadline", "3000", ...words);
}

/** A message's header: 16 bytes. */
function header(type: number, protocol: number): string {
  return Buffer.from(new Uint32Array([type, protocol, 0, 0]).buffer).toString("latin1");
}

/** How often the members of the database group changed, as a node logged it. */
function changesOf(server: NodeServer): number {
  return server.log.match(/\[dcdb\] info: members:/g)?.length ?? 0;
}

describe("a stale node that overrules the cluster", () => {
  test("costs guests only after a copy of the database was kept and named", async () => {
    for (const path of ["nodes", "nodes/n1", "nodes/n1/qemu-server"]) {
      expect(await at(1).do({ op: "mkdir", path })).toBe(0);
    }
    expect(await at(1).do({ op: "create", path: "nodes/n1/qemu-server/100.conf" })).toBe(0);
    await sameTree(servers);
    await at(3).stop("SIGTERM");
    restart(3, "--local");
    await eventually("it started", () => at(3).of("started")[0]);
    expect(await at(3).do({ op: "remove", path: "nodes/n1/qemu-server/100.conf" })).toBe(0);
    for (let i = 0; i < 5; i++) await at(3).do({ op: "create", path: `newer-${i}` });
    await at(3).stop("SIGTERM");
    restart(3);
    await allInStep();
    await sameTree(servers);
    for (const id of [1, 2]) {
      expect(at(id).log).toMatch(/replaced by that of n3.*gone: nodes\/n1\/qemu-server\/100\.conf/);
      const copies = readdirSync(cluster.node(id).holder.path("/var/lib/pve-cluster/backup"));
      expect(copies).toHaveLength(1);
      expect(at(id).log).toContain(copies[0] ?? "none");
    }
  }, 90_000);
});

describe("a member that joined and says nothing", () => {
  test("is named, stops writes with EBUSY and nothing else, and its end is enough", async () => {
    await using mute = new Agent(cluster.node(3));
    await at(3).stop("SIGTERM");
    await Promise.all([at(1).inStep([1, 2]), at(2).inStep([1, 2])]);
    await mute.do({ op: "connect", group: DATABASE_GROUP });
    expect(await mute.do({ op: "join", group: DATABASE_GROUP })).toBe(CsError.OK);
    await eventually("it is named", () => /waits since .*\(node n3\)/.test(at(1).log), 20_000);
    const write = at(1).do({ op: "create", path: "while-mute" });
    // Status and reads go on meanwhile.
    expect(await at(1).do({ op: "set", name: "while-mute", text: "x" })).toBe(0);
    expect(await at(1).do({ op: "read", path: "newer-0" })).toBe("");
    await eventually("the key is on node 2", async () => {
      return (await at(2).do({ op: "get", node: "n1", name: "while-mute" })) === "x";
    });
    expect(await write).toBe(Errno.EBUSY);
    await mute.do({ op: "leave", group: DATABASE_GROUP });
    await Promise.all([at(1).inStep([1, 2]), at(2).inStep([1, 2])]);
    expect(await at(1).do({ op: "create", path: "after-mute" })).toBe(0);
    for (const id of [1, 2]) expect(at(id).log).not.toContain("leaving CPG group");
  }, 90_000);
});

describe("a hostile member", () => {
  test("makes the others leave and come back, and crashes nobody", async () => {
    await using hostile = new Agent(cluster.node(3));
    await hostile.do({ op: "connect", group: DATABASE_GROUP });
    expect(await hostile.do({ op: "join", group: DATABASE_GROUP })).toBe(CsError.OK);
    await eventually("it is in", () => hostile.of("confchg")[0]);
    const bad = ["", "x", "short", header(0, 1), header(2, 1), header(5, 1), header(9, 1)];
    for (const text of bad) {
      await hostile.do({ op: "mcast", group: DATABASE_GROUP, text });
      await hostile.do({ op: "mcast", group: DATABASE_GROUP, text: `${text}${FILL}` });
    }
    await eventually("they left", () => [1, 2].every((id) => at(id).log.includes("(protocol)")));
    await hostile.do({ op: "leave", group: DATABASE_GROUP });
    await Promise.all([at(1).inStep([1, 2]), at(2).inStep([1, 2])]);
    expect(await at(1).do({ op: "create", path: "after-hostile" })).toBe(0);
    restart(3);
    await allInStep();
    await sameTree(servers);
  }, 90_000);
});

describe("a node that cannot write its database", () => {
  test("leaves once, does not shake the others, and is back when there is room", async () => {
    await at(3).stop("SIGTERM");
    await cluster.node(3).sh(`cp -a /var/lib/pve-cluster /run/saved
      mount -t tmpfs -o size=2m tmpfs /var/lib/pve-cluster
      cp -a /run/saved/. /var/lib/pve-cluster/`);
    restart(3);
    await allInStep();
    await cluster.node(3).sh("dd if=/dev/zero of=/var/lib/pve-cluster/fill bs=4096; true");
    const before = changesOf(at(1));
    await eventually("it left", async () => {
      await at(1).do({ op: "write", path: "after-hostile", text: "x".repeat(60_000) });
      return at(3).log.includes("(database)");
    });
    const results: unknown[] = [];
    for (let i = 0; i < 200; i++) {
      results.push(await at(1).do({ op: "write", path: "after-hostile", text: `${i}` }));
    }
    expect(results.filter((result) => Number(result) < 0)).toEqual([]);
    // One for its leave; it stays away while a probe fails.
    expect(changesOf(at(1)) - before).toBeLessThanOrEqual(4);
    expect((await at(3).view()).services).toMatchObject({ quorum: true, status: true });
    await cluster.node(3).run("rm", "/var/lib/pve-cluster/fill");
    await allInStep();
    await sameTree(servers);
  }, 120_000);
});

describe("quorum", () => {
  test("comes back to a server that was stopped while it changed", async () => {
    cluster.partition([1, 2], [3]);
    await eventually("alone", async () => !(await at(3).view()).quorate, 30_000);
    at(3).signal("SIGSTOP");
    cluster.heal();
    await cluster.agreed(ALL);
    at(3).signal("SIGCONT");
    await allInStep();
    expect(await at(3).do({ op: "create", path: "after-stop" })).toBe(0);
  }, 90_000);
});

describe("a corosync that takes no messages", () => {
  test("holds up no status call, and gets the last value when it goes on", async () => {
    cluster.node(2).signalCorosync("SIGSTOP");
    let slowest = 0;
    for (let i = 0; i < 300; i++) {
      const start = performance.now();
      expect(await at(2).do({ op: "set", name: `k${i % 3}`, text: `value ${i}` })).toBe(0);
      slowest = Math.max(slowest, performance.now() - start);
    }
    expect(slowest).toBeLessThan(1000);
    cluster.node(2).signalCorosync("SIGCONT");
    await allInStep();
    for (const [name, value] of [
      ["k0", "value 297"],
      ["k2", "value 299"],
    ] as const) {
      await eventually("the last value", async () => {
        return (await at(1).do({ op: "get", node: "n2", name })) === value;
      });
    }
  }, 90_000);
});
