// The queue of messages that arrive during a synchronisation: its order, and the cost of inserting.
import { describe, expect, test } from "bun:test";
import { Dfsm } from "../../src/pmxcfs/replication/machine.ts";
import { encodeControl, encodeNormal, Type } from "../../src/pmxcfs/replication/message.ts";
import { bareStatusGroup } from "./bare-status-group.ts";
import { ClusterLog } from "../../src/pmxcfs/state/cluster-log.ts";
import { MessageQueue, type Queued } from "../../src/pmxcfs/replication/queue.ts";

function logOf(nodeName: string): ClusterLog {
  return new ClusterLog({ nodeName, pid: 1, now: () => 1.7e12 });
}

/** How often a count was read, by any comparison. */
const reads = { count: 0 };

function item(nodeid: number, count: bigint): Queued {
  const bytes = Buffer.alloc(24);
  const message = {
    subtype: 1,
    time: 0,
    body: bytes,
    get count() {
      reads.count++;
      return count;
    },
  };
  return { from: { nodeid, pid: 1 }, bytes, message };
}

describe("the queue", () => {
  test("is sorted by count, and by arrival where counts are equal", () => {
    const queue = new MessageQueue();
    const arrivals: [number, bigint][] = [];
    for (let step = 0; step < 500; step++) arrivals.push([step, BigInt((step * 7919) % 23)]);
    for (const [nodeid, count] of arrivals) queue.insert(item(nodeid, count));
    expect([queue.length, queue.bytes]).toEqual([500, 500 * 24]);
    const wanted = arrivals.toSorted(([, one], [, other]) => Number(one - other));
    expect(queue.takeAll().map(({ from }) => from.nodeid)).toEqual(wanted.map(([id]) => id));
    expect([queue.length, queue.bytes]).toEqual([0, 0]);
  });

  test("compares counts by the low 32 bits of their difference, as C does", () => {
    const queue = new MessageQueue();
    const counts = [5n, 0xffff_ffff_ffff_fffen, 0x1_0000_0003n, 0x7fff_ffffn];
    for (const [nodeid, count] of counts.entries()) queue.insert(item(nodeid, count));
    expect(queue.takeAll().map(({ from }) => from.nodeid)).toEqual([1, 2, 0, 3]);
  });

  test("drops the replaced value and no other one, in whatever order counts came", () => {
    const queue = new MessageQueue();
    const bytes = Buffer.alloc(9 * 1024 * 1024);
    const counts = [1n, 0x7000_0000n, 0xe000_0000n, 2n, 0x6000_0000n, 0xd000_0000n];
    for (const [at, count] of counts.entries()) {
      queue.insert({ ...item(1, count), bytes }, { key: `key ${at % 3}` });
    }
    const kept = queue.takeAll().map(({ message }) => message.count);
    for (const count of counts.slice(3)) expect(kept).toContain(count);
  });

  test("takes a message in a few steps, however far the counts of two senders are apart", () => {
    const queue = new MessageQueue();
    const messages = 20_000;
    for (let sent = 0; sent < messages; sent++) queue.insert(item(1, BigInt(5_000_000 + sent)));
    reads.count = 0;
    for (let sent = 0; sent < 100; sent++) queue.insert(item(2, BigInt(sent + 1)));
    expect(reads.count / 100).toBeLessThan(25);
  });

  test("keeps every value up to 16 MiB, and beyond that the latest of each sender and key", () => {
    const queue = new MessageQueue();
    const bytes = Buffer.alloc(64 * 1024);
    const value = (nodeid: number, count: number): Queued => ({
      ...item(nodeid, BigInt(count)),
      bytes,
    });
    for (let count = 1; count <= 256; count++)
      queue.insert(value(1, count), { key: `key ${count % 2}` });
    expect(queue.length).toBe(256);
    for (let count = 257; count <= 10_000; count++)
      queue.insert(value(1, count), { key: `key ${count % 2}` });
    queue.insert(value(2, 5), { key: "key 0" });
    queue.insert(value(1, 3));
    expect(queue.length).toBe(258);
    expect(queue.bytes).toBe(258 * bytes.length);
    const kept = queue.takeAll().map(({ from, message }) => `${from.nodeid}: ${message.count}`);
    expect(kept.slice(-2)).toEqual(["1: 9999", "1: 10000"]);
    expect(kept).toContain("2: 5");
    expect(kept.filter((each) => each === "1: 3")).toHaveLength(2);
    // It begins anew: nothing of the last synchronisation is replaced.
    queue.insert(value(1, 10_001), { key: "key 1" });
    expect([queue.length, queue.bytes]).toEqual([1, bytes.length]);
  });

  test("keeps of log entries beyond 16 MiB those that fill each sender's part of a log", () => {
    const queue = new MessageQueue();
    const bytes = Buffer.alloc(4096);
    const laterBytes = 256 * 1024;
    const entry = (nodeid: number, count: number): Queued => ({
      ...item(nodeid, BigInt(count)),
      bytes,
    });
    queue.insert(entry(2, 1), { laterBytes });
    for (let count = 1; count <= 4095; count++) queue.insert(entry(1, count), { laterBytes });
    expect([queue.length, queue.bytes]).toEqual([4096, 4096 * 4096]);
    for (let count = 4096; count <= 100_000; count++) {
      queue.insert(entry(1, count), { laterBytes });
      expect(queue.bytes).toBeLessThanOrEqual(16 * 1024 * 1024);
    }
    const kept = queue.takeAll().map(({ from, message }) => `${from.nodeid}: ${message.count}`);
    expect(kept).toContain("2: 1");
    const own = kept.filter((each) => each.startsWith("1: "));
    expect(own.at(0)).toBe(`1: ${100_000 - own.length + 1}`);
    expect(own.length).toBeGreaterThanOrEqual(64);
  });
});

test("as many log entries of a member as a log has room for wait for a synchronisation", () => {
  const [A, B] = [
    { nodeid: 1, pid: 100 },
    { nodeid: 2, pid: 200 },
  ];
  const at = { seconds: 1_700_000_000, ms: 0 };
  const [log, other, all] = [logOf("n1"), logOf("n2"), logOf("n1")];
  const group = bareStatusGroup(A, log);
  const machine = new Dfsm({ self: A, application: group, startedAt: at });
  machine.confchg({ members: [A, B], joined: [A, B], left: [] }, at);
  const header = { protocol: 0, time: 1 };
  const message = "m".repeat(3900);
  for (let line = 1; line <= 15_000; line++) {
    // The last ones are the shortest, of which a log holds the most.
    const parts = line > 12_800 ? { user: "", tag: "", message: "" } : { user: "u", tag: "t" };
    other.add({ priority: 6, pid: line, message, ...parts });
    const body = other.newestEntry();
    expect(all.insert(body)).toBe("inserted");
    machine.deliver(B, encodeNormal(header, { subtype: 3, count: BigInt(line), body }), at);
  }
  expect(machine.status(at).queuedBytes).toBeLessThan(30 * 1024 * 1024);
  const epoch = { counter: 7, time: 1, nodeid: 1, pid: 100 };
  machine.deliver(
    A,
    encodeControl(header, { type: Type.syncStart, epoch, body: Buffer.alloc(0) }),
    at,
  );
  for (const member of [A, B]) {
    const body = logOf("n1").block;
    machine.deliver(member, encodeControl(header, { type: Type.state, epoch, body }), at);
  }
  while (machine.busy) machine.work();
  expect(log.dump("", 5000)).toEqual(all.dump("", 5000));
});

test.each([
  ["large", 1_000_000, 400],
  ["small", 0, 520_000],
])("a member that sends %s messages without end makes the others leave", (_, size, most) => {
  const [A, B] = [
    { nodeid: 1, pid: 100 },
    { nodeid: 2, pid: 200 },
  ];
  const at = { seconds: 1_700_000_000, ms: 0 };
  const group = bareStatusGroup(A, logOf("n1"));
  const machine = new Dfsm({ self: A, application: group, startedAt: at });
  machine.confchg({ members: [A, B], joined: [A, B], left: [] }, at);
  // Of unknown kind: no later one replaces it.
  const message = { subtype: 9, count: 1n, body: Buffer.alloc(size) };
  const bytes = encodeNormal({ protocol: 0, time: 1 }, message);
  const effects = [];
  for (let sent = 0; sent < most; sent++) effects.push(...machine.deliver(B, bytes, at));
  expect(effects).toContainEqual({ kind: "leave", reason: "protocol" });
  const lines = effects.flatMap((effect) => (effect.kind === "log" ? effect.text : []));
  expect(lines.at(-2)).toContain("too many messages wait for the synchronisation");
  expect(machine.status(at)).toMatchObject({ mode: "leave", queued: 0, queuedBytes: 0 });
});
