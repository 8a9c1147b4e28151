/**
 * What nodes must agree on in their cluster logs: what fits into the block of a merge, entries of
 * the largest size, whose message C stores with a length that ends before its NUL, and digests.
 */
import { describe, expect, test } from "bun:test";
import { ClusterLog } from "../../src/pmxcfs/state/cluster-log.ts";
import { fnv1a64 } from "../../src/pmxcfs/state/fnv.ts";

/** C: CLOG_DEFAULT_SIZE, the block's header, CLOG_MAX_ENTRY_SIZE. */
const BLOCK_BYTES = 131_072;
const HEAD_BYTES = 8;
const LARGEST_BYTES = 4096;
const ALL = 0xffff_ffff;

function logOf(nodeName: string, clock: { seconds: number }) {
  const log = new ClusterLog({ nodeName, pid: 1, now: () => clock.seconds * 1000 });
  const add = (message: string): Buffer => {
    log.add({ priority: 6, user: "root@pam", tag: "t", message, pid: 1 });
    return log.newestEntry();
  };
  const shown = () =>
    (JSON.parse(log.dump("", ALL).toString()) as { data: { msg: string }[] }).data.map(
      ({ msg }) => msg,
    );
  return { log, add, shown };
}

const newestAt = (log: ClusterLog): number => Buffer.from(log.block).readUInt32LE(4);

/** A message that is longer than an entry has room for: each character takes 6 bytes. */
const UMLAUTS = Buffer.from("\u00e4".repeat(5000)).toString("latin1");

describe("a merge", () => {
  test("takes entries until they fill the block, each rounded up to 8 bytes, as in C", () => {
    const clock = { seconds: 1_700_000_000 };
    const [one, two] = [logOf("n1", clock), logOf("n2", clock)];
    // 48 + "n1\0root@pam\0t\0" + 3 bytes = 65, which take 72.
    for (let line = 0; line < 3000; line++) {
      clock.seconds++;
      (line % 2 === 0 ? one : two).add(String(line % 100).padStart(2, "0"));
    }
    const blocks = [Buffer.from(one.log.block), Buffer.from(two.log.block)];
    one.log.merge(blocks, 0);
    two.log.merge(blocks, 1);
    const taken = Math.ceil((BLOCK_BYTES - HEAD_BYTES - LARGEST_BYTES) / 72);
    expect(newestAt(one.log)).toBe(HEAD_BYTES + (taken - 1) * 72);
    expect(one.shown()).toHaveLength(taken);
    expect(one.shown().at(-1)).toBe(String((3000 - taken) % 100));
    expect(Buffer.from(two.log.block)).toEqual(Buffer.from(one.log.block));
  });
});

/** Whether C puts entries of one node before those of another node in the same second. */
function isBefore(one: string, other: string): boolean {
  const [a, b] = [one, other].map((name) => fnv1a64(Buffer.from(`${name}\0`), 0, name.length + 1));
  return (((a?.low ?? 0) - (b?.low ?? 0)) | 0) < 0;
}

describe("the order of entries of one second", () => {
  const clock = { seconds: 1_700_000_000 };

  /** The logs of nodes after a merge of all; `writers`: which of them made each entry. */
  function merged(nodes: readonly string[], writers: readonly number[]) {
    const logs = nodes.map((node) => logOf(node, clock));
    for (const [entry, writer] of writers.entries()) {
      const wire = logs[writer]?.add(`${nodes[writer]} ${entry}`) ?? Buffer.alloc(0);
      for (const [index, { log }] of logs.entries()) if (index !== writer) log.insert(wire);
    }
    for (const { log } of logs) log.sort();
    const blocks = logs.map(({ log }) => Buffer.from(log.block));
    for (const [index, { log }] of logs.entries()) log.merge(blocks, index);
    return logs.map(({ shown }) => shown().filter((line) => !line.startsWith("starting")));
  }

  test("is that of the nodes' digests, by the low half of their difference, as in C", () => {
    for (const [one = "", other = ""] of [
      ["pve1", "pve2"],
      ["hera", "mars"],
      ["hera", "hestia"],
    ]) {
      const entries = [`${one} 2`, `${one} 0`, `${other} 3`, `${other} 1`];
      const newestFirst = isBefore(one, other)
        ? [...entries.slice(2), ...entries.slice(0, 2)]
        : entries;
      expect(merged([one, other], [0, 1, 0, 1])).toEqual([newestFirst, newestFirst]);
    }
  });

  test("has each entry once, and those of a node in their order, when C's is a circle", () => {
    const nodes = ["hera", "hestia", "mars"];
    expect(nodes.map((node, at) => isBefore(node, nodes[(at + 1) % 3] ?? ""))).toEqual([
      true,
      true,
      true,
    ]);
    for (const writers of [
      [1, 0, 0, 2, 1],
      [0, 2, 2, 1, 0],
      [2, 1, 0, 1, 0, 2, 1, 2, 0],
    ]) {
      const [first = [], ...others] = merged(nodes, writers);
      const expected = writers.map((writer, entry) => `${nodes[writer]} ${entry}`).toReversed();
      for (const node of nodes) {
        const ofNode = (line: string) => line.startsWith(`${node} `);
        expect([writers, first.filter(ofNode)]).toEqual([writers, expected.filter(ofNode)]);
      }
      expect(others).toEqual([first, first]);
    }
  });
});

test("the digest of a user that is truncated is that of its first 255 bytes, as in C", () => {
  const log = new ClusterLog({ nodeName: "pve1", pid: 1 });
  for (const user of ["u".repeat(300), `${"u".repeat(254)}v`, "u".repeat(254)]) {
    log.add({ priority: 6, user, tag: "t", message: "m", pid: 1 });
    const hashed = Buffer.from(`${user}\0`).subarray(0, 255);
    const { low, high } = fnv1a64(hashed, 0, hashed.length);
    const entry = log.newestEntry();
    expect([entry.readUInt32LE(24), entry.readUInt32LE(28)]).toEqual([low, high]);
    expect(entry.toString("latin1", 44 + 5, 44 + 5 + 255)).toBe(`${"u".repeat(254)}\0`);
  }
});

describe("an entry of the largest size", () => {
  test("has 4096 bytes, with the whole message, whose length ends before its NUL", () => {
    const { log, add, shown } = logOf("pve1", { seconds: 1_700_000_000 });
    const entry = add(UMLAUTS);
    // An escape may begin before byte 4096 - 44 - 16 (the names) - 7 = 4029: there are 672.
    expect(shown()[0]).toBe("\u00e4".repeat(672));
    expect(entry).toHaveLength(LARGEST_BYTES);
    expect(entry.readUInt32LE(40)).toBe(LARGEST_BYTES - 48 - 16);
    const block = Buffer.from(log.block);
    expect(block.readUInt32LE(newestAt(log) + 4)).toBe(newestAt(log) + LARGEST_BYTES);
  });

  test("and those before it survive a sort and a merge", () => {
    const clock = { seconds: 1_700_000_000 };
    const [one, two] = [logOf("pve1", clock), logOf("pve2", clock)];
    one.add("before");
    const entry = one.add(UMLAUTS);
    clock.seconds++;
    one.add("after");
    const before = one.shown();
    expect(before).toHaveLength(4);
    one.log.sort();
    expect(one.shown()).toEqual(before);
    two.log.merge([Buffer.from(one.log.block), Buffer.from(two.log.block)], 1);
    expect(two.shown()).toEqual(expect.arrayContaining(before));
    expect(logOf("pve3", clock).log.insert(entry)).toBe("inserted");
  });

  test("a larger one is not taken, neither alone nor in a block", () => {
    const clock = { seconds: 1_700_000_000 };
    const [one, two] = [logOf("pve1", clock), logOf("pve2", clock)];
    const entry = Buffer.alloc(LARGEST_BYTES + 1, "x");
    one.add("m").copy(entry, 0, 0, 60);
    entry.writeUInt32LE(entry.length - 48 - 16, 40);
    entry.fill(0, entry.length - 5);
    expect(two.log.insert(entry)).toBe("malformed");
    const block = Buffer.from(one.log.block);
    entry.copy(block, newestAt(one.log) + 8, 8);
    two.log.merge([block, Buffer.from(two.log.block)], 1);
    expect(two.shown()).toEqual(["starting cluster log", "starting cluster log"]);
  });
});
