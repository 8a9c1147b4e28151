// The two applications of the machine: the database group's sync, and the status group's keys, log
// and addresses.
import { describe, expect, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { drained, type Steps } from "../../src/base/steps.ts";
import { DatabaseGroup, type OverruledBy } from "../../src/pmxcfs/replication/dcdb.ts";
import { encodeCommand } from "../../src/pmxcfs/replication/dcdb-message.ts";
import type { Instant, Member } from "../../src/pmxcfs/replication/events.ts";
import { Dfsm } from "../../src/pmxcfs/replication/machine.ts";
import { decodeNormal, encodeNormal } from "../../src/pmxcfs/replication/message.ts";
import { StatusGroup } from "../../src/pmxcfs/replication/status-group.ts";
import { ClusterLog } from "../../src/pmxcfs/state/cluster-log.ts";
import type { TreeCommand } from "../../src/pmxcfs/state/tree-command.ts";
import { MemoryRows } from "../../src/pmxcfs/store/memory-rows.ts";
import type { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";
import { treeOf } from "./traces/database.ts";

const A: Member = { nodeid: 1, pid: 100 };
const B: Member = { nodeid: 2, pid: 200 };
const at: Instant = { seconds: 1_700_000_000, ms: 0 };

function node(member: Member, overruled?: (plan: OverruledBy) => void) {
  const rows = new MemoryRows();
  const tree = treeOf(rows, () => at.seconds);
  // oxlint-disable-next-line require-yield -- the test takes no time
  const onOverruled = function* (plan: OverruledBy): Steps {
    overruled?.(plan);
  };
  const group = new DatabaseGroup({ tree, nodeid: member.nodeid, onOverruled });
  group.quorate = true;
  return { rows, tree, group };
}

function apply(tree: TreeStore, ...commands: TreeCommand[]): void {
  for (const command of commands) tree.apply(command, { writer: 1, time: 5 });
}

/** The number of updates of a sync of two members, with this function as the machine. */
function sync(one: ReturnType<typeof node>, other: ReturnType<typeof node>): unknown {
  const states = [one, other].map(({ group }, index) => ({
    member: index === 0 ? A : B,
    state: Buffer.from(group.state()),
  }));
  const leading = drained(one.group.compare(states, A));
  const lagging = drained(other.group.compare(states, B));
  if ("reason" in leading || "reason" in lagging) return "leave";
  const updates = leading.updates;
  let count = 0;
  for (let next = updates?.next(); next?.done === false; next = updates?.next()) {
    other.group.keepUpdate(Buffer.from(next.value));
    count++;
  }
  return lagging.synced[1] === true ? count : (drained(other.group.commit()) ?? count);
}

const create = (path: string): TreeCommand => ({ kind: "create", path });
const mkdir = (path: string): TreeCommand => ({ kind: "mkdir", path });

describe("the database group", () => {
  test("sends a lagging member the entries that it lacks, and no others", () => {
    const [one, other] = [node(A), node(B)];
    apply(one.tree, mkdir("d"), create("d/f"), {
      kind: "write",
      path: "d/f",
      offset: 0,
      data: Buffer.from("x"),
    });
    apply(other.tree, create("old"));
    expect(sync(one, other)).toBe(3);
    expect(other.tree.index.checksum()).toEqual(one.tree.index.checksum());
    expect(other.rows.root.type).toBe(4);
    expect(sync(one, other)).toBe(0);
  });

  test("reports before the commit which guests and how many entries a sync removes", () => {
    const plans: OverruledBy[] = [];
    const [one, other] = [node(A), node(B, (plan) => plans.push(plan))];
    const directories = ["nodes", "nodes/n1", "nodes/n1/lxc"].map(mkdir);
    apply(other.tree, ...directories, create("nodes/n1/lxc/100.conf"));
    apply(one.tree, ...directories, create("a"), create("b"), create("c"));
    expect(sync(one, other)).toBeNumber();
    expect(plans).toHaveLength(1);
    expect(plans[0]).toMatchObject({ leader: A, guests: ["nodes/n1/lxc/100.conf"], deleted: 1 });
  });

  test("reports nothing when a guest's configuration is only rewritten or moved", () => {
    const plans: OverruledBy[] = [];
    const [one, other] = [node(A), node(B, (plan) => plans.push(plan))];
    const directories = ["nodes", "nodes/n1", "nodes/n1/lxc", "nodes/n2", "nodes/n2/lxc"].map(
      mkdir,
    );
    for (const { tree } of [one, other])
      apply(tree, ...directories, create("nodes/n1/lxc/100.conf"));
    apply(
      one.tree,
      create("t"),
      { kind: "rename", path: "t", to: "nodes/n1/lxc/100.conf" },
      { kind: "rename", path: "nodes/n1/lxc/100.conf", to: "nodes/n2/lxc/100.conf" },
    );
    expect(sync(one, other)).toBeNumber();
    expect(plans).toEqual([]);
  });

  test("makes a file with a size but no bytes empty on all members when one lacks it", () => {
    const [one, other] = [node(A), node(B)];
    for (const { tree } of [one, other])
      apply(tree, create("f"), { kind: "truncate", path: "f", size: 9 });
    expect(one.tree.memdb.find("f")?.size).toBe(9);
    const restarted = { ...other, tree: treeOf(other.rows, () => 0) };
    const group = new DatabaseGroup({ tree: restarted.tree, nodeid: 2 });
    expect(sync(one, { ...restarted, group })).toMatchObject({ reason: "database" });
    expect(one.tree.memdb.find("f")?.size).toBe(0);
    expect(sync(one, { ...restarted, group })).toBe(0);
  });

  test("answers EIO for a change that cannot be written, and sends no further one", () => {
    const { rows, group } = node(A);
    rows.failure = Errno.EIO;
    const { subtype, body } = encodeCommand(create("f"));
    const bytes = encodeNormal({ protocol: 1, time: 5 }, { subtype, count: 1n, body });
    const message = decodeNormal(bytes);
    expect(message && group.apply(message, B)).toMatchObject({
      result: Errno.EIO,
      leave: { reason: "database" },
    });
    expect(group.writable).toBe(Errno.EIO);
    group.repaired();
    expect(group.writable).toBe(0);
    group.quorate = false;
    expect(group.writable).toBe(Errno.EACCES);
  });

  test("does not apply a change without quorum, and leaves", () => {
    const { tree, group } = node(A);
    group.quorate = false;
    const { subtype, body } = encodeCommand(create("f"));
    const bytes = encodeNormal({ protocol: 1, time: 5 }, { subtype, count: 1n, body });
    const message = decodeNormal(bytes);
    expect(message && group.apply(message, B)).toMatchObject({ leave: { reason: "no-quorum" } });
    expect(tree.memdb.find("f")).toBeUndefined();
  });
});

/** The group with its keys and log, at a time that the test sets. */
function status(clock = { seconds: 1_700_000_000 }) {
  const keys = new Map<string, string>();
  const log = new ClusterLog({ nodeName: "n1", pid: 1, now: () => clock.seconds * 1000 });
  const store = {
    setOf(id: number, name: string, data: Uint8Array) {
      keys.set(`${id}/${name}`, Buffer.from(data).toString());
      return 0 as const;
    },
    ownKeys: () => new Map([["k", Buffer.from("v")]]),
    set: () => 0 as const,
  };
  const dropped: string[] = [];
  const group = new StatusGroup({
    self: A,
    status: store,
    log,
    onMembers() {},
    address: () => "192.0.2.1",
    onDropped: (text) => dropped.push(text),
  });
  return { keys, log, group, dropped };
}

/** The messages of a log, newest first. */
function messagesIn(log: ClusterLog): string[] {
  const { data } = JSON.parse(log.dump("", 100).toString()) as { data: { msg: string }[] };
  return data.map(({ msg }) => msg);
}

const machineOf = (group: StatusGroup) => new Dfsm({ self: A, application: group, startedAt: at });

describe("the status group", () => {
  test("names what another member's value sets, and nothing of other messages", () => {
    const { group } = status();
    const value = { ...group.encodeKey("rrd/x", Buffer.from("1")), time: 0, count: 1n };
    const body = Buffer.from(value.body);
    expect(group.lifetimeOf({ ...value, body }, B)).toEqual({ key: "rrd/x" });
    expect(group.lifetimeOf({ ...value, body }, A)).toBeUndefined();
    expect(group.lifetimeOf({ ...value, subtype: 3, body }, B)?.key).toBeUndefined();
    expect(group.lifetimeOf({ ...value, body: Buffer.alloc(300, 1) }, B)?.key).toBeUndefined();
  });

  test("sends only the latest value of a key after corosync refused messages for a while", () => {
    const { group } = status();
    const machine = machineOf(group);
    machine.confchg({ members: [A], joined: [A], left: [] }, at);
    machine.sent("sent");
    for (const value of ["1", "2", "3"]) machine.send(group.encodeKey("load", Buffer.from(value)));
    machine.send(group.encodeKey("other", Buffer.from("x")));
    const sent: string[] = [];
    for (let out = machine.next(at); out !== undefined; out = machine.next(at)) {
      const { body } = decodeNormal(Buffer.from(out.bytes)) ?? { body: Buffer.alloc(0) };
      sent.push(`${body.toString("latin1", 0, body.indexOf(0))}=${body.toString("latin1", 256)}`);
      machine.sent("sent");
    }
    expect(sent).toEqual(["nodeip=192.0.2.1\0", "load=3", "other=x"]);
  });

  test("keeps the latest 1,000 log entries that could not be sent", () => {
    const { group, log } = status();
    const machine = machineOf(group);
    for (let line = 0; line < 1500; line++) {
      log.add({ priority: 6, user: "u", tag: "t", message: `${line}`, pid: 1 });
      machine.send(group.encodeLog(log.newestEntry()));
    }
    expect(machine.status(at).sending.outbox).toBeLessThanOrEqual(1001);
  });

  test("drops a key without its NUL, a truncated entry, and a message of unknown kind", () => {
    const { group, keys, dropped } = status();
    const messages: [number, Buffer][] = [
      [1, Buffer.alloc(300, 65)],
      [1, Buffer.alloc(20)],
      [3, Buffer.alloc(47)],
      [2, Buffer.alloc(300)],
    ];
    for (const [subtype, body] of messages) {
      group.apply({ subtype, time: 0, count: 1n, body }, B);
    }
    expect(dropped).toHaveLength(4);
    expect(keys.size).toBe(0);
  });

  test("never gives an own entry a time before the last one, whatever the clock does", () => {
    const clock = { seconds: 1_700_003_600 };
    const { log } = status(clock);
    const other = status(clock).log;
    const add = () => {
      log.add({ priority: 6, user: "u", tag: "t", message: "m", pid: 1 });
      return log.newestEntry();
    };
    const before = add();
    clock.seconds -= 3600;
    const after = add();
    const another = new ClusterLog({ nodeName: "n2", pid: 2, now: () => 0 });
    expect(another.insert(before)).toBe("inserted");
    expect(another.insert(after)).toBe("inserted");
    expect(another.insert(after)).toBe("duplicate");
    expect(other.insert(before)).toBe("inserted");
  });

  test("continues after a restart in the same second with a uid that others do not know", () => {
    const first = status().log;
    for (let count = 0; count < 5; count++) {
      first.add({ priority: 6, user: "u", tag: "t", message: "m", pid: 1 });
    }
    const second = status().log;
    second.merge([Buffer.from(second.block), Buffer.from(first.block)], 0);
    second.add({ priority: 6, user: "u", tag: "t", message: "m", pid: 1 });
    expect(first.insert(second.newestEntry())).toBe("inserted");
  });

  test("merges logs so that both nodes have the same entries, each of them once", () => {
    const clock = { seconds: 1_700_000_000 };
    const one = new ClusterLog({ nodeName: "n1", pid: 1, now: () => clock.seconds * 1000 });
    const two = new ClusterLog({ nodeName: "n2", pid: 2, now: () => clock.seconds * 1000 });
    for (let line = 0; line < 20; line++) {
      clock.seconds++;
      const from = line % 3 === 0 ? one : two;
      from.add({ priority: 6, user: "u", tag: "t", message: `${line}`, pid: 1 });
      if (line % 4 === 0) (from === one ? two : one).insert(from.newestEntry());
    }
    for (const log of [one, two]) log.sort();
    const blocks = [Buffer.from(one.block), Buffer.from(two.block)];
    one.merge(blocks, 0);
    two.merge(blocks, 1);
    expect(Buffer.from(two.block)).toEqual(Buffer.from(one.block));
    expect(messagesIn(one)).toEqual([
      ...Array.from({ length: 20 }, (_, line) => `${19 - line}`),
      "starting cluster log",
      "starting cluster log",
    ]);
  });

  test("merges a log of another size, as C does, and ignores one with a wrong length", () => {
    for (const sizeBytes of [32_768, 1_048_576]) {
      const { log } = status();
      const other = new ClusterLog({ nodeName: "n2", pid: 2, now: () => 2e12, sizeBytes });
      const block = Buffer.from(other.block);
      log.merge([Buffer.from(log.block), block.subarray(0, -8)], 0);
      log.merge([Buffer.from(log.block), block.subarray(0, 3)], 0);
      expect(messagesIn(log)).toHaveLength(1);
      log.merge([Buffer.from(log.block), block], 0);
      expect(messagesIn(log)).toHaveLength(2);
      expect(log.block).toHaveLength(131_072);
    }
  });
});
