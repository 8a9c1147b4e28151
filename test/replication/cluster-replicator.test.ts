/** Changes of a node in a cluster, and what is sent for them. The service is a stand-in. */
import { describe, expect, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { CfsLimits } from "../../src/base/limits.ts";
import type { NormalSend } from "../../src/pmxcfs/replication/application.ts";
import { DatabaseGroup } from "../../src/pmxcfs/replication/dcdb.ts";
import type { Cluster } from "../../src/pmxcfs/replication/services/cluster.ts";
import { ClusterReplicator } from "../../src/pmxcfs/replication/services/cluster-replicator.ts";
import { StartHold } from "../../src/pmxcfs/replication/services/start-hold.ts";
import type { TreeCommand } from "../../src/pmxcfs/state/tree-command.ts";
import { MemoryRows } from "../../src/pmxcfs/store/memory-rows.ts";
import { textOf } from "../pmxcfs/support.ts";
import { treeOf } from "./traces/database.ts";

const SELF = { nodeid: 1, pid: 7 };

/** A quorate node alone, with a file `f`: its changes come back at once, unless they are held. */
function nodeAlone(hold = new StartHold()) {
  const tree = treeOf(new MemoryRows(), () => 5);
  const group = new DatabaseGroup({ tree, nodeid: SELF.nodeid });
  group.quorate = true;
  const service = {
    propose({ subtype, body }: NormalSend): number {
      const message = { count: 1n, time: 5, subtype, body: Buffer.from(body) };
      return group.apply(message, SELF).result;
    },
  };
  const cluster = {
    quorate: true,
    database: { group, service },
    get held(): Promise<void> | undefined {
      return hold.held;
    },
  } as unknown as Cluster;
  const replicator = new ClusterReplicator(cluster, tree);
  void replicator.propose({ kind: "create", path: "f" });
  void replicator.propose({ kind: "write", path: "f", offset: 0, data: Buffer.from("kept") });
  return { replicator, tree };
}

test("a size or offset that no message can hold is refused, not taken modulo 4 GiB", async () => {
  const { replicator, tree } = nodeAlone();
  const { fileBytes } = CfsLimits;
  const data = Buffer.from("x");
  for (const far of [fileBytes + 1, 2 ** 32, 2 ** 32 + 2, 2 ** 40, 2 ** 62]) {
    expect(await replicator.propose({ kind: "truncate", path: "f", size: far })).toBe(Errno.EFBIG);
    const write = { kind: "write", path: "f", offset: far, data } as const;
    expect(await replicator.propose(write)).toBe(Errno.EFBIG);
  }
  expect(textOf(tree.memdb.read("f") ?? Errno.ENOENT)).toBe("kept");
  expect(await replicator.propose({ kind: "truncate", path: "f", size: fileBytes })).toBe(0);
  const last = { kind: "write", path: "f", offset: fileBytes - 1, data } as const;
  expect(await replicator.propose(last)).toBe(1);
  expect(tree.memdb.find("f")?.size).toBe(fileBytes);
});

test("a change without data that makes an empty file longer is sent as zeros", async () => {
  const { replicator, tree } = nodeAlone();
  const nothing = { kind: "write", path: "a", offset: 3, data: new Uint8Array(0) } as const;
  for (const change of [nothing, { kind: "truncate", path: "b", size: 3 } as const]) {
    await replicator.propose({ kind: "create", path: change.path });
    expect(await replicator.propose(change)).toBe(0);
    expect(textOf(tree.memdb.read(change.path) ?? Errno.ENOENT)).toBe("\0\0\0");
  }
});

describe("after a mount was taken over", () => {
  test("changes wait with their own bytes, and are made in order", async () => {
    const hold = new StartHold();
    const { replicator, tree } = nodeAlone(hold);
    hold.begin(60_000);
    const shared = Buffer.from("1");
    const propose = async (change: TreeCommand) => await replicator.propose(change);
    const first = propose({ kind: "write", path: "f", offset: 0, data: shared });
    shared.write("2");
    const second = propose({ kind: "write", path: "f", offset: 1, data: shared });
    const answers = [first, second, propose({ kind: "mkdir", path: "d" })];
    answers.push(propose({ kind: "create", path: "d/x" }));
    shared.write("3");
    expect(textOf(tree.memdb.read("f") ?? Errno.ENOENT)).toBe("kept");
    hold.end();
    expect(await Promise.all(answers)).toEqual([1, 1, 0, 0]);
    expect(textOf(tree.memdb.read("f") ?? Errno.ENOENT)).toBe("12pt");
    expect(replicator.propose({ kind: "create", path: "at-once" })).toBe(0);
  });

  test("a wait is ended by its caller, and by itself", async () => {
    const hold = new StartHold();
    const { replicator, tree } = nodeAlone(hold);
    hold.begin(60_000);
    const caller = new AbortController();
    const interrupted = replicator.propose({ kind: "mkdir", path: "d" }, undefined, caller.signal);
    caller.abort();
    expect(await interrupted).toBe(Errno.EINTR);
    hold.end();
    expect(tree.memdb.find("d")).toBeUndefined();
    hold.begin(1);
    expect(await replicator.propose({ kind: "mkdir", path: "d" })).toBe(0);
    expect(hold.held).toBeUndefined();
  });
});
