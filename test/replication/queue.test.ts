// The queue of messages that arrive during a synchronisation: its order, and the cost of inserting.
import { describe, expect, test } from "bun:test";
import { MessageQueue, type Queued } from "../../src/pmxcfs/replication/queue.ts";

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
    for (let count = 1; count <= 256; count++) queue.insert(value(1, count), `key ${count % 2}`);
    expect(queue.length).toBe(256);
    for (let count = 257; count <= 10_000; count++)
      queue.insert(value(1, count), `key ${count % 2}`);
    queue.insert(value(2, 5), "key 0");
    queue.insert(value(1, 3));
    expect(queue.length).toBe(258);
    expect(queue.bytes).toBe(258 * bytes.length);
    const kept = queue.takeAll().map(({ from, message }) => `${from.nodeid}: ${message.count}`);
    expect(kept.slice(-2)).toEqual(["1: 9999", "1: 10000"]);
    expect(kept).toContain("2: 5");
    expect(kept.filter((each) => each === "1: 3")).toHaveLength(2);
    // It begins anew: nothing of the last synchronisation is replaced.
    queue.insert(value(1, 10_001), "key 1");
    expect([queue.length, queue.bytes]).toEqual([1, bytes.length]);
  });
});
