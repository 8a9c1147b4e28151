/** Faults of clusters in the field: failing, silent, hostile and stale members. */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { readdirSync } from "node:fs";
import { Errno } from "../../src/base/errno.ts";
import { CsError } from "../../src/corosync/cs-error.ts";
import { encodeUpdate } from "../../src/pmxcfs/replication/dcdb-message.ts";
import { decodeControl, encodeControl, Type } from "../../src/pmxcfs/replication/message.ts";
import type { ControlMessage } from "../../src/pmxcfs/replication/message.ts";
import { Memdb } from "../../src/pmxcfs/state/memdb.ts";
import { TreeIndex } from "../../src/pmxcfs/state/tree-index.ts";
import { eventually } from "../support/eventually.ts";
import { testUnless } from "../support/unless.ts";
import { Agent } from "./support/agent.ts";
import { noCluster } from "./support/cluster.ts";
import { LONG, limitMs } from "./support/field.ts";
import { type NodeServer, sameTree } from "./support/node-server.ts";
import { ALL, ServedCluster } from "./support/served-cluster.ts";

const reason = noCluster();
const test = testUnless(reason);
const FILL = "\xff".repeat(64);
const DATABASE_GROUP = "pve_dcdb_v1\0";
/** Deadline of a change. */
const DEADLINE_MS = 3000;
let served: ServedCluster;

beforeAll(async () => {
  if (reason === undefined) served = await ServedCluster.up(DEADLINE_MS);
}, 120_000);

afterAll(async () => {
  if (reason === undefined) await served[Symbol.asyncDispose]();
});

function at(id: number): NodeServer {
  return served.at(id);
}

/** A message's header: 16 bytes. */
function header(type: number, protocol: number): string {
  return Buffer.from(new Uint32Array([type, protocol, 0, 0]).buffer).toString("latin1");
}

/** How often the members of the database group changed, from a node's log. */
function changesOf(server: NodeServer): number {
  return server.log.match(/\[dcdb\] notice: members:/g)?.length ?? 0;
}

describe("a stale node whose tree replaces the cluster's", () => {
  test("removes guests only after the database was copied and the copy logged", async () => {
    for (const path of ["nodes", "nodes/n1", "nodes/n1/qemu-server"]) {
      expect(await at(1).do({ op: "mkdir", path })).toBe(0);
    }
    expect(await at(1).do({ op: "create", path: "nodes/n1/qemu-server/100.conf" })).toBe(0);
    await sameTree(served.servers);
    await at(3).stop("SIGTERM");
    served.restart(3, "--local");
    await eventually("it started", () => at(3).of("started")[0]);
    expect(await at(3).do({ op: "remove", path: "nodes/n1/qemu-server/100.conf" })).toBe(0);
    for (let i = 0; i < 5; i++) await at(3).do({ op: "create", path: `newer-${i}` });
    await at(3).stop("SIGTERM");
    served.restart(3);
    await served.allInStep();
    await sameTree(served.servers);
    for (const id of [1, 2]) {
      expect(at(id).log).toMatch(/replaced by that of n3.*gone: nodes\/n1\/qemu-server\/100\.conf/);
      const copies = readdirSync(
        served.cluster.node(id).holder.path("/var/lib/pve-cluster/backup"),
      );
      expect(copies).toHaveLength(1);
      expect(at(id).log).toContain(copies[0] ?? "none");
    }
  }, 90_000);
});

describe("a member that joins and sends nothing", () => {
  test("is named and makes only writes fail, with EBUSY, until it leaves", async () => {
    await using mute = new Agent(served.cluster.node(3));
    await at(3).stop("SIGTERM");
    await served.inStep(1, 2);
    await mute.do({ op: "connect", group: DATABASE_GROUP });
    expect(await mute.do({ op: "join", group: DATABASE_GROUP })).toBe(CsError.OK);
    await eventually("it is named", () => /has waited .*\(node n3\)/.test(at(1).log), 20_000);
    await eventually("on node 2 too", () => /has waited .*\(node n3\)/.test(at(2).log), 20_000);
    const writes = at(1).do({ op: "burst", path: "while-mute-", count: 20 });
    // Status and reads work meanwhile.
    expect(await at(1).do({ op: "set", name: "while-mute", text: "x" })).toBe(0);
    expect(await at(1).do({ op: "read", path: "newer-0" })).toBe("");
    const calls = await at(1).measure({ op: "keys", perSecond: 200, forMs: 1000, keys: 10 });
    expect(calls.p99).toBeLessThan(limitMs(5));
    await eventually("the key is on node 2", async () => {
      return (await at(2).do({ op: "get", node: "n1", name: "while-mute" })) === "x";
    });
    const results = (await writes) as { result: number; ms: number }[];
    expect(results.map(({ result }) => result)).toEqual(Array(20).fill(Errno.EBUSY));
    // The deadline applies to all changes together; it is checked once a second.
    expect(Math.max(...results.map(({ ms }) => ms))).toBeLessThan(DEADLINE_MS + limitMs(2000));
    await mute.do({ op: "leave", group: DATABASE_GROUP });
    await served.inStep(1, 2);
    expect(await at(1).do({ op: "create", path: "after-mute" })).toBe(0);
    for (const id of [1, 2]) expect(at(id).log).not.toContain("leaving CPG group");
  }, 90_000);
});

describe("a hostile member", () => {
  test("makes the others leave and join again, and crashes none", async () => {
    await at(3).stop("SIGTERM");
    await served.inStep(1, 2);
    await using hostile = new Agent(served.cluster.node(3));
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
    await served.inStep(1, 2);
    expect(await at(1).do({ op: "create", path: "after-hostile" })).toBe(0);
    served.restart(3);
    await served.allInStep();
    await sameTree(served.servers);
  }, 90_000);
});

describe("a node that cannot write its database", () => {
  const forMs = LONG ? 60_000 : 2000;
  test(
    "leaves once, does not slow down the others, and joins again when there is room",
    async () => {
      const path = "after-hostile";
      const healthy = await at(1).measure({ op: "stream", path, forMs });
      await at(3).stop("SIGTERM");
      await served.cluster.node(3).sh(`cp -a /var/lib/pve-cluster /run/saved
        mount -t tmpfs -o size=2m tmpfs /var/lib/pve-cluster
        cp -a /run/saved/config.db /var/lib/pve-cluster/`);
      served.restart(3);
      await served.allInStep();
      await served.cluster.node(3).sh("dd if=/dev/zero of=/var/lib/pve-cluster/fill bs=4096; true");
      const before = changesOf(at(1));
      await eventually("it left", async () => {
        await at(1).do({ op: "write", path, text: "x".repeat(60_000) });
        return at(3).log.includes("(database)");
      });
      const beside = await at(1).measure({ op: "stream", path, forMs });
      expect(beside.failed).toBe(0);
      expect(beside.p99).toBeLessThan(2 * healthy.p99 + limitMs(5));
      // One change for its leave; it does not join again while its test writes fail.
      expect(changesOf(at(1)) - before).toBeLessThanOrEqual(4);
      expect((await at(3).view()).services).toMatchObject({ quorum: true, status: true });
      await served.cluster.node(3).run("rm", "/var/lib/pve-cluster/fill");
      const room = performance.now();
      await served.allInStep();
      expect(performance.now() - room).toBeLessThan(limitMs(15_000));
      await sameTree(served.servers);
    },
    120_000 + 2 * forMs,
  );
});

describe("quorum", () => {
  test("is noticed by a server that was stopped while it changed", async () => {
    served.cluster.partition([1, 2], [3]);
    await eventually("alone", async () => !(await at(3).view()).quorate, 30_000);
    at(3).signal("SIGSTOP");
    served.cluster.heal();
    await served.cluster.agreed(ALL);
    at(3).signal("SIGCONT");
    const start = performance.now();
    await eventually("writable", async () => {
      return (await at(3).do({ op: "write", path: "after-hostile", text: "x" })) === 1;
    });
    expect(performance.now() - start).toBeLessThan(limitMs(2000));
    await served.allInStep();
  }, 90_000);
});

describe("a clock that goes back by an hour", () => {
  test("hides no log entry, and is logged with the locks that cannot be refreshed", async () => {
    for (const path of ["priv", "priv/lock", "priv/lock/ha_agent_n2_lock"]) {
      expect(await at(2).do({ op: "mkdir", path })).toBe(0);
    }
    await at(2).do({ op: "log", text: "before the step" });
    await at(2).do({ op: "shift", ms: -3_600_000 });
    await at(2).do({ op: "log", text: "after the step" });
    await eventually("the entry is on node 1", async () => {
      const entries = (await at(1).do({ op: "entries" })) as { msg: string }[];
      return entries[0]?.msg === "after the step" && entries[1]?.msg === "before the step";
    });
    const line = /crit: the clock went back by 3600 s: until it shows .* its locks (\S+) below/;
    await eventually("the line", () => line.exec(at(2).log)?.[1] === "ha_agent_n2_lock");
    // As in C, a refresh with an older time is refused.
    const mtime = Math.floor(Date.now() / 1000) - 3600;
    const path = "priv/lock/ha_agent_n2_lock";
    expect(await at(2).do({ op: "utime", path, mtime })).toBe(Errno.EACCES);
    await at(2).do({ op: "shift", ms: 0 });
    expect(await at(2).do({ op: "utime", path, mtime: mtime + 3601 })).toBe(0);
  }, 60_000);
});

describe("a corosync that takes no messages", () => {
  const forMs = LONG ? 20_000 : 3000;
  test(
    "delays no status call, causes no growing queue, and gets the last value of each key",
    async () => {
      const keys = 100;
      const calls = { op: "keys", perSecond: 200, keys } as const;
      // Once before, so that memory for the code is not counted.
      await at(2).measure({ ...calls, forMs: 1000 });
      served.cluster.node(2).signalCorosync("SIGSTOP");
      const measured = await at(2).measure({ ...calls, forMs });
      expect(measured.failed).toBe(0);
      expect(measured.p99).toBeLessThan(limitMs(5));
      expect(measured.grown).toBeLessThan(16 * 1024 * 1024);
      // At most one message per key, however often it was set.
      const { status } = (await at(2).view()).groups;
      expect(status?.sending.outbox).toBeLessThanOrEqual(keys + 10);
      served.cluster.node(2).signalCorosync("SIGCONT");
      await served.allInStep();
      const last = (key: number): string => {
        const rounds = Math.floor((measured.count - 1 - key) / keys);
        return `value ${rounds * keys + key}`;
      };
      for (const key of [0, keys / 2, keys - 1]) {
        const values = async () => {
          const get = { op: "get", node: "n2", name: `k${key}` } as const;
          return await Promise.all(served.servers.map(async (server) => await server.do(get)));
        };
        const event = `${last(key)} of k${key} on node 1`;
        try {
          await eventually(event, async () => (await values())[0] === last(key));
        } catch (error) {
          const seen = `${(await values()).join()} after ${measured.count} calls`;
          const { groups } = await at(2).view();
          const facts = `${seen}; ${JSON.stringify(groups.status)}`;
          throw new Error(`${facts}\n${at(1).log}\n${at(2).log}`, { cause: error });
        }
      }
    },
    90_000 + forMs,
  );
});

describe("a leader that sends no updates", () => {
  test("is named; the old tree is served until it leaves", async () => {
    await using leader = new Agent(served.cluster.node(3));
    await at(3).stop("SIGTERM");
    await served.inStep(1, 2);
    expect(await at(1).do({ op: "create", path: "of-old" })).toBe(0);
    const before = await sameTree([at(1), at(2)]);
    await leader.do({ op: "connect", group: DATABASE_GROUP });
    expect(await leader.do({ op: "join", group: DATABASE_GROUP })).toBe(CsError.OK);
    const delivered = (type: number): ControlMessage[] => {
      const messages = leader.of("deliver").flatMap(({ text, head }) => {
        return decodeControl(Buffer.from(String(text ?? head), "latin1")) ?? [];
      });
      return messages.filter((message) => message.type === type);
    };
    const epoch = await eventually("the sync request", () => delivered(Type.syncStart)[0]?.epoch);
    // An update before the last state makes the others leave, as it does in C.
    await eventually("the states of the others", () => delivered(Type.state).length === 2);
    const send = async (type: number, body: Uint8Array): Promise<void> => {
      const time = Math.floor(Date.now() / 1000);
      const bytes = encodeControl({ protocol: 1, time }, { type, epoch, body });
      const text = bytes.toString("latin1");
      await leader.do({ op: "mcast", group: DATABASE_GROUP, text });
    };
    // The leader's: an empty tree with a version that no other node has.
    const newest = new Memdb();
    newest.stampRoot({ version: 2 ** 40, writer: 3, mtime: 1 });
    await send(Type.state, new TreeIndex(newest, () => new Map()).encode());
    const name = "never-committed";
    const entry = { inode: 5, parent: 0, version: 5, writer: 3, mtime: 1, type: 8, name };
    await send(Type.update, encodeUpdate({ ...entry, data: Buffer.from("x") }));
    for (const id of [1, 2]) {
      const line = /has waited (\d+) s for the updates \(1 so far, 1 KiB\) of 3\/\d+ \(node n3\)/g;
      const lines = LONG ? 2 : 1;
      await eventually("it is named", () => at(id).log.match(line)?.length === lines, 25_000);
      expect(await at(id).state()).toEqual(before);
      expect(await at(id).do({ op: "read", path: "of-old" })).toBe("");
      expect(await at(id).do({ op: "read", path: name })).toBe("none");
    }
    expect(await at(1).do({ op: "create", path: "while-syncing" })).toBe(Errno.EBUSY);
    await leader.do({ op: "leave", group: DATABASE_GROUP });
    await served.inStep(1, 2);
    expect(await sameTree([at(1), at(2)])).toEqual(before);
    expect(await at(1).do({ op: "create", path: "healed" })).toBe(0);
    served.restart(3);
    await served.allInStep();
  }, 120_000);
});
