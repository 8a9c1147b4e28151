// Messages of a peer that no member in step sends: what C does with them (dfsm.c, dcdb.c), this
// node does too, since a member that leaves, or applies something else, parts from the C nodes.
import { describe, expect, test } from "bun:test";
import { drained } from "../../src/base/steps.ts";
import { DatabaseGroup } from "../../src/pmxcfs/replication/dcdb.ts";
import { encodeCommand, encodeUpdate } from "../../src/pmxcfs/replication/dcdb-message.ts";
import type { Instant, Member } from "../../src/pmxcfs/replication/events.ts";
import { Dfsm } from "../../src/pmxcfs/replication/machine.ts";
import {
  decodeNormal,
  encodeControl,
  encodeNormal,
  Type,
} from "../../src/pmxcfs/replication/message.ts";
import { bareStatusGroup } from "./bare-status-group.ts";
import { ClusterLog } from "../../src/pmxcfs/state/cluster-log.ts";
import { decodeJournal, encodeBase, encodeRecord } from "../../src/pmxcfs/store/journal-format.ts";
import { MemoryRows } from "../../src/pmxcfs/store/memory-rows.ts";
import { treeOf } from "./traces/database.ts";

const A: Member = { nodeid: 1, pid: 100 };
const B: Member = { nodeid: 2, pid: 200 };
const at: Instant = { seconds: 1_700_000_000, ms: 0 };
const stamp = { protocol: 1, time: at.seconds };
const NOTHING = new Uint8Array(0);
const INDEX_COUNT_AT = 24;
/** In a STATE, and of its entries in an index. */
const INDEX_AT = 32;
const INDEX_ENTRIES_AT = 32;
const INDEX_ENTRY_BYTES = 40;

/** A member with the files `names`, synced with nobody yet. */
function memberWith(self: Member, names: readonly string[]) {
  const tree = treeOf(new MemoryRows(), () => at.seconds);
  for (const path of names) tree.apply({ kind: "create", path }, { writer: 1, time: 5 });
  const group = new DatabaseGroup({ tree, nodeid: self.nodeid });
  group.quorate = true;
  const machine = new Dfsm({ self, application: group, startedAt: at });
  return { tree, group, machine };
}

/** Sends everything that the machine offers. */
function sent(machine: Dfsm): Buffer[] {
  const all: Buffer[] = [];
  for (let out = machine.next(at); out !== undefined; out = machine.next(at)) {
    all.push(Buffer.from(out.bytes));
    machine.sent("sent");
  }
  return all;
}

function work(machine: Dfsm): void {
  while (machine.busy) machine.work();
}

const typeOf = (message: Buffer): number => message.readUInt16LE(0);

/** A is the lowest of two members, and has sent its STATE; `control`: messages of that epoch. */
function syncing(names: readonly string[] = [], other = B) {
  const member = memberWith(A, names);
  const { machine } = member;
  machine.confchg({ members: [A, other], joined: [other], left: [] }, at);
  for (const start of sent(machine)) machine.deliver(A, start, at);
  const [own = Buffer.alloc(0)] = sent(machine);
  const { epoch } = machine.status(at);
  const control = (type: number, body: Uint8Array = NOTHING) =>
    encodeControl(stamp, { type, epoch, body });
  return { ...member, own, control };
}

describe("a verification", () => {
  const bodies = [
    [Type.verifyRequest, new Uint8Array(8)],
    [Type.verify, new Uint8Array(40)],
  ] as const;

  test("of the present epoch, in a member that is not synced: leave, as C", () => {
    for (const [type, body] of bodies) {
      const { machine, control } = syncing();
      machine.deliver(B, control(type, body), at);
      expect(machine.mode).toBe("leave");
    }
  });

  test("that was begun on a connection that has ended is not completed", () => {
    const { machine, own, control } = syncing();
    for (const member of [A, B]) machine.deliver(member, own, at);
    work(machine);
    sent(machine);
    machine.deliver(B, control(Type.verifyRequest, new Uint8Array(8)), at);
    machine.deliver(B, control(Type.verify, new Uint8Array(40)), at);
    expect([machine.mode, machine.busy]).toEqual(["synced", true]);
    machine.restart(at);
    work(machine);
    expect(machine.mode).toBe("start");
  });

  test("that is under way when this node leaves is completed: it does not wait for nothing", () => {
    const { machine, own, control } = syncing();
    for (const member of [A, B]) machine.deliver(member, own, at);
    work(machine);
    sent(machine);
    machine.deliver(B, control(Type.verifyRequest, new Uint8Array(8)), at);
    machine.deliver(B, Buffer.alloc(3), at);
    expect([machine.mode, machine.busy]).toEqual(["leave", true]);
    for (let steps = 0; machine.busy; steps++) {
      expect(steps).toBeLessThan(100);
      machine.work();
    }
    expect(machine.mode).toBe("leave");
  });

  test("is not requested while a member takes the leader's updates: a C member would leave", () => {
    const { machine, own, control } = syncing(["f"]);
    machine.deliver(A, own, at);
    machine.deliver(B, control(Type.state, memberWith(B, []).tree.index.encode()), at);
    work(machine);
    expect(machine.mode).toBe("synced");
    expect(sent(machine).map(typeOf).at(-1)).toBe(Type.updateComplete);
    expect(machine.verify()).toBe(false);
    machine.tick({ ...at, ms: 3_600_000 });
    expect(sent(machine)).toEqual([]);
    machine.deliver(A, control(Type.updateComplete), at);
    expect(machine.verify()).toBe(true);
    expect(sent(machine).map(typeOf)).toEqual([Type.verifyRequest]);
  });
});

/** The result of comparing A's tree with this index of B: mode, and inodes that are sent. */
function compared(index: Buffer) {
  const { machine, own, control } = syncing(["a", "b", "c"]);
  machine.deliver(A, own, at);
  machine.deliver(B, control(Type.state, index), at);
  work(machine);
  const updates = sent(machine).filter((message) => typeOf(message) === Type.update);
  return { mode: machine.mode, inodes: updates.map((each) => each.readUInt32LE(40)) };
}

describe("a STATE", () => {
  test("with another number of entries than it has room for is taken as it is, as in C", () => {
    const { tree } = memberWith(B, ["a", "b", "c"]);
    for (const count of [0, 2, 1000]) {
      const index = Buffer.from(tree.index.encode());
      index.writeUInt32LE(count, INDEX_COUNT_AT);
      expect(compared(index).mode).toBe("synced");
    }
  });

  test("that is not in the order of inodes: passed entries are sent, as by C", () => {
    const { tree } = memberWith(B, ["a", "b", "c"]);
    const index = Buffer.from(tree.index.encode());
    const entry = (position: number) => {
      const from = INDEX_ENTRIES_AT + position * INDEX_ENTRY_BYTES;
      return index.subarray(from, from + INDEX_ENTRY_BYTES);
    };
    // Root, then the last entry, the others after it.
    const [first, second, third] = [1, 2, 3].map((position) => Buffer.from(entry(position)));
    if (!first || !second || !third) throw new Error("too few entries");
    entry(1).set(third);
    entry(2).set(first);
    entry(3).set(second);
    const wanted = [first, second].map((each) => each.readUInt32LE(0));
    expect(compared(index)).toEqual({ mode: "synced", inodes: wanted });
  });
});

describe("an UPDATE", () => {
  test("of an entry that is neither a file nor a directory: leave at once", () => {
    const entry = { inode: 9, parent: 0, version: 9, writer: 2, mtime: 5, name: "f" };
    for (const [type, mode] of [
      [8, "update"],
      [4, "update"],
      [10, "leave"],
    ] as const) {
      const { machine, own, control } = syncing();
      machine.deliver(A, own, at);
      machine.deliver(B, control(Type.state, memberWith(B, ["f"]).tree.index.encode()), at);
      work(machine);
      const update = encodeUpdate({ ...entry, type, data: NOTHING });
      machine.deliver(B, control(Type.update, update), at);
      expect(machine.mode).toBe(mode);
    }
  });
});

test("a WRITE without data gives an empty file a size but no bytes, as in C", () => {
  const { tree, group } = memberWith(A, ["empty", "full"]);
  const write = (path: string, offset: number, data: string) => {
    const { subtype, body } = encodeCommand({
      kind: "write",
      path,
      offset,
      data: Buffer.from(data),
    });
    const message = decodeNormal(encodeNormal(stamp, { subtype, count: 1n, body }));
    const result = message && group.apply(message, B).result;
    const { bytes = NOTHING, size } = tree.memdb.find(path) ?? {};
    return { result, size, text: Buffer.from(bytes).toString() };
  };
  expect(write("empty", 5, "")).toEqual({ result: 0, size: 5, text: "" });
  expect(write("empty", 3, "")).toEqual({ result: 0, size: 3, text: "" });
  write("full", 0, "abc");
  expect(write("full", 5, "")).toEqual({ result: 0, size: 5, text: "abc\0\0" });
  expect(write("full", 1, "")).toEqual({ result: 0, size: 5, text: "abc\0\0" });
  expect(write("empty", 1, "x")).toEqual({ result: 1, size: 2, text: "\0x" });
});

describe("a WRITE with data that also sets the size", () => {
  const FLAGS_AT = 16;

  /** What a file of six bytes has after it. */
  function after(offset: number, data: string) {
    const { tree, group } = memberWith(A, ["f"]);
    const write = (command: { offset: number; data: Buffer }, flags: number) => {
      const { subtype, body } = encodeCommand({ kind: "write", path: "f", ...command });
      Buffer.from(body.buffer, body.byteOffset).writeUInt32LE(flags, FLAGS_AT);
      const message = decodeNormal(encodeNormal(stamp, { subtype, count: 1n, body }));
      return message && group.apply(message, B).result;
    };
    write({ offset: 0, data: Buffer.from("abcdef") }, 0);
    const result = write({ offset, data: Buffer.from(data) }, 1);
    const { bytes = NOTHING, size } = tree.memdb.find("f") ?? {};
    return { result, size, text: Buffer.from(bytes).toString() };
  }

  test("cuts the file behind the data, as in C", () => {
    expect(after(1, "XY")).toEqual({ result: 2, size: 3, text: "aXY" });
    expect(after(5, "XY")).toEqual({ result: 2, size: 7, text: "abcdeXY" });
    expect(after(8, "X")).toEqual({ result: 1, size: 9, text: "abcdef\0\0X" });
  });

  test("is the same change when it is read from the journal", () => {
    const base = { version: 1, fingerprint: Buffer.alloc(32) };
    const origin = { writer: 2, time: 5 };
    const whole = { kind: "write", path: "f", offset: 1, data: Buffer.from("XY") } as const;
    const records = [{ ...whole, cuts: true }, whole].map((command) => ({ command, origin }));
    const bytes = Buffer.concat([encodeBase(base), ...records.map(encodeRecord)]);
    expect(decodeJournal(bytes)?.records).toEqual(records);
  });
});

test("members whose ids are 2^31 apart are ordered as by C, so that all know one leader", () => {
  const high: Member = { nodeid: 0xc0a8_0101, pid: 1 };
  const { machine, own, control } = syncing(["f"], high);
  machine.deliver(A, own, at);
  // The same tree: the first member leads and sends UPDATE_COMPLETE.
  machine.deliver(high, control(Type.state, own.subarray(INDEX_AT)), at);
  work(machine);
  expect(machine.mode).toBe("synced");
  expect(sent(machine)).toEqual([]);
  expect(machine.status(at).lowest).toBe(1);
});

test("a log entry that later ones of its sender make superfluous is no longer in the log", () => {
  const HEADER_BYTES = 24;
  const [log, other] = ["n1", "n2"].map((nodeName) => new ClusterLog({ nodeName, pid: 1 }));
  if (log === undefined || other === undefined) throw new Error("no log");
  const group = bareStatusGroup(A, log);
  const sizes: number[] = [];
  // The shortest entries: of these, messages are longer than the entries by the most.
  for (let line = 0; line < 9000; line++) {
    other.add({ priority: 6, user: "", tag: "", message: `${line}`, pid: 1 });
    const entry = other.newestEntry();
    log.insert(entry);
    sizes.push(entry.length + HEADER_BYTES);
  }
  const { data } = JSON.parse(log.dump("", 9000).toString()) as { data: { msg: string }[] };
  const oldest = Number(data.at(-1)?.msg);
  expect(oldest).toBeGreaterThan(1000);
  const later = sizes.filter((_, line) => line > oldest).reduce((sum, bytes) => sum + bytes, 0);
  const entry = { subtype: 3, time: 0, count: 1n, body: Buffer.alloc(100) };
  expect(group.lifetimeOf(entry, B)?.laterBytes).toBeGreaterThan(later);
  expect(group.lifetimeOf(entry, A)).toBeUndefined();
});

test("an index and its own entries do not differ", () => {
  const { group } = memberWith(A, ["a", "b"]);
  const state = Buffer.from(group.state());
  const both = [A, B].map((member) => ({ member, state }));
  expect(drained(group.compare(both, A))).toMatchObject({ synced: [true, true], leader: A });
});
