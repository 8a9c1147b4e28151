/** Three nodes with config.db, status and a real corosync: the required behaviour of a cluster. */
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { eventually } from "../support/eventually.ts";
import { testUnless } from "../support/unless.ts";
import { noCluster } from "./support/cluster.ts";
import { type NodeServer, sameTree } from "./support/node-server.ts";
import { ALL, ServedCluster } from "./support/served-cluster.ts";

/** How long a change waits for its confirmation. */
const DEADLINE_MS = 4000;

const reason = noCluster();
const test = testUnless(reason);
let served: ServedCluster;

beforeAll(async () => {
  if (reason === undefined) served = await ServedCluster.up(DEADLINE_MS);
}, 120_000);

afterAll(async () => {
  if (reason === undefined) await served[Symbol.asyncDispose]();
});

/** Of GET_CLUSTER_INFO. */
interface Nodelist {
  readonly nodelist: Readonly<Record<string, { readonly online: number; readonly ip?: string }>>;
}

function at(id: number): NodeServer {
  return served.at(id);
}

describe("three nodes", () => {
  test("have files of their own", async () => {
    for (const path of ["/etc", "/var/lib", "/run", "/dev/shm"]) {
      const file = `${path}/of-node-1`;
      expect((await served.cluster.node(1).run("touch", file)).exitCode).toBe(0);
      expect((await served.cluster.node(2).run("test", "-e", file)).exitCode).toBe(1);
      expect(existsSync(file)).toBe(false);
    }
  });

  test("a change is equal on all nodes, and its result is that of applying it", async () => {
    expect(await at(1).do({ op: "mkdir", path: "dir" })).toBe(0);
    expect(await at(2).do({ op: "create", path: "dir/file" })).toBe(0);
    expect(await at(3).do({ op: "write", path: "dir/file", text: "hello" })).toBe(5);
    expect(await at(1).do({ op: "mkdir", path: "dir" })).toBe(Errno.EEXIST);
    expect(await at(2).do({ op: "remove", path: "dir" })).toBe(Errno.ENOTEMPTY);
    expect(await at(3).do({ op: "remove", path: "none" })).toBe(Errno.ENOENT);
    await sameTree(served.servers);
    for (const one of served.servers)
      expect(await one.do({ op: "read", path: "dir/file" })).toBe("hello");
  });

  test("an empty file that grows reads as zeros, and a held lock is refused", async () => {
    await at(1).do({ op: "create", path: "grown" });
    expect(await at(1).do({ op: "truncate", path: "grown", size: 300_000 })).toBe(0);
    await sameTree(served.servers);
    const grown = (await at(2).do({ op: "read", path: "grown" })) as string;
    expect(grown.length).toBe(300_000);
    await at(1).do({ op: "mkdir", path: "priv" });
    await at(1).do({ op: "mkdir", path: "priv/lock" });
    expect(await at(2).do({ op: "mkdir", path: "priv/lock/a" })).toBe(0);
    const asked = await at(3).do({ op: "utime", path: "priv/lock/a", mtime: 0 });
    expect(asked).toBe(Errno.EACCES);
    await sameTree(served.servers);
  });

  test("keys, addresses and log entries are on every node", async () => {
    await at(1).do({ op: "set", name: "k1", text: "of one" });
    await at(2).do({ op: "log", text: "from two" });
    await eventually("the key", async () => {
      return (await at(3).do({ op: "get", node: "n1", name: "k1" })) === "of one";
    });
    const received = "[status] notice: received log";
    await eventually("its line, as in C", () => at(1).log.includes(received));
    for (const one of served.servers) {
      await eventually("the entry", async () => {
        const entries = (await one.do({ op: "entries" })) as { msg: string }[];
        return entries.some(({ msg }) => msg === "from two");
      });
      await eventually("all addresses, all online", async () => {
        const { nodelist } = (await one.do({ op: "members" })) as Nodelist;
        return ALL.every((id) => {
          const node = nodelist[`n${id}`];
          return node?.online === 1 && node.ip === `10.99.0.${id}`;
        });
      });
    }
  });

  test("all trees are verified on demand, and no node leaves", async () => {
    expect(await at(1).do({ op: "verify" })).toBe(true);
    await eventually("the word", () => /verif\w* success/.test(at(2).log));
    expect((await at(2).view()).groups.dcdb?.mode).toBe("synced");
  });
});

describe("a partition", () => {
  test("refuses changes in the smaller part, allows them in the larger, and heals", async () => {
    served.cluster.partition([1, 2], [3]);
    await eventually("no quorum", async () => !(await at(3).view()).quorate, 30_000);
    expect(await at(3).do({ op: "create", path: "refused" })).toBe(Errno.EACCES);
    await at(3).do({ op: "log", text: "three alone" });
    await served.inStep(1, 2);
    expect(await at(1).do({ op: "create", path: "without-three" })).toBe(0);
    served.cluster.heal();
    await served.allInStep();
    await sameTree(served.servers);
    expect(await at(3).do({ op: "create", path: "healed" })).toBe(0);
    await eventually("its entry", async () => {
      const entries = (await at(1).do({ op: "entries" })) as { msg: string }[];
      return entries.some(({ msg }) => msg === "three alone");
    });
    for (const one of served.servers) expect(one.log).not.toContain("leaving CPG group");
  }, 120_000);
});

describe("a member that does not answer", () => {
  test("makes changes fail within one deadline, and is named; without it writes work", async () => {
    at(3).signal("SIGSTOP");
    // A confchg while it is stopped: its state message is missing.
    const start = performance.now();
    await at(2).stop("SIGKILL");
    served.restart(2);
    await eventually("the stall is named", () => at(1).log.includes("(node n3)"), 30_000);
    const burst = (await at(1).do({ op: "burst", path: "stalled-", count: 50 })) as {
      result: number;
      ms: number;
    }[];
    expect(burst.every(({ result }) => result === Errno.EBUSY)).toBe(true);
    // One deadline for all of them, not one each.
    expect(Math.max(...burst.map(({ ms }) => ms))).toBeLessThan(2 * DEADLINE_MS);
    // The next ones are refused at once.
    const again = (await at(1).do({ op: "burst", path: "again-", count: 20 })) as {
      ms: number;
    }[];
    expect(Math.max(...again.map(({ ms }) => ms))).toBeLessThan(DEADLINE_MS / 2);
    expect(performance.now() - start).toBeGreaterThan(4000);
    at(3).signal("SIGCONT");
    await served.allInStep();
    expect(await at(1).do({ op: "create", path: "thawed" })).toBe(0);
    await sameTree(served.servers);
  }, 120_000);

  test("makes an interrupted caller get EINTR", async () => {
    at(3).signal("SIGSTOP");
    await at(2).stop("SIGKILL");
    served.restart(2);
    await eventually("out of step", async () => {
      return (await at(1).view()).groups.dcdb?.mode !== "synced";
    });
    const asked = { op: "interrupted", path: "interrupted", afterMs: 200 } as const;
    expect(await at(1).do(asked)).toMatchObject({ result: Errno.EINTR });
    at(3).signal("SIGCONT");
    await served.allInStep();
    // The change was withdrawn before it was sent.
    expect(await at(1).do({ op: "read", path: "interrupted" })).toBe("none");
  }, 120_000);
});

describe("stop and restart", () => {
  test("a server that stops or is killed is synced again after its restart", async () => {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await at(2).stop(signal);
      await served.inStep(1, 3);
      expect(await at(1).do({ op: "create", path: `while-${signal}` })).toBe(0);
      await at(1).do({ op: "set", name: `while-${signal}`, text: signal });
      served.restart(2);
      await served.allInStep();
      await sameTree(served.servers);
      await eventually("keys", async () => {
        const name = `while-${signal}`;
        return (await at(2).do({ op: "get", node: "n1", name })) === signal;
      });
    }
  }, 120_000);

  test("a server answers without corosync, and joins again without a restart", async () => {
    await served.cluster.node(3).stopCorosync();
    await eventually("noticed", async () => !(await at(3).view()).quorate);
    expect(await at(3).do({ op: "create", path: "no" })).toBe(Errno.EACCES);
    expect(await at(3).do({ op: "set", name: "offline", text: "kept" })).toBe(0);
    await served.inStep(1, 2);
    expect(await at(1).do({ op: "create", path: "while-corosync" })).toBe(0);
    served.cluster.node(3).startCorosync();
    await served.allInStep();
    await sameTree(served.servers);
    await eventually("the key it was given meanwhile", async () => {
      return (await at(1).do({ op: "get", node: "n3", name: "offline" })) === "kept";
    });
  }, 120_000);

  test("a node that moved is shown so, also when its name service is slow", async () => {
    await at(3).stop("SIGTERM");
    served.restart(3, "--moved", "4000");
    await served.allInStep();
    for (const one of served.servers) {
      await eventually("the address", async () => {
        const { nodelist } = (await one.do({ op: "members" })) as Nodelist;
        return nodelist["n3"]?.ip === "10.99.7.3";
      });
    }
  }, 120_000);
});
