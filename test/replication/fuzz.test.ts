// Bytes from other nodes are not trusted: damaged messages of every type, in every mode, lead to
// LEAVE or are ignored; nothing throws, and nothing runs forever. By hand, with another seed:
// PMXCFS_IPC_FUZZ_SEED=N bun test test/replication/fuzz.test.ts
import { describe, expect, test } from "bun:test";
import { DatabaseGroup } from "../../src/pmxcfs/replication/dcdb.ts";
import {
  decodeCommand,
  decodeIndex,
  decodeLock,
  decodeUpdate,
  encodeCommand,
  encodeUpdate,
} from "../../src/pmxcfs/replication/dcdb-message.ts";
import type { Instant, Member } from "../../src/pmxcfs/replication/events.ts";
import { Dfsm } from "../../src/pmxcfs/replication/machine.ts";
import {
  encodeControl,
  encodeNormal,
  Type,
  type Epoch,
} from "../../src/pmxcfs/replication/message.ts";
import { StatusGroup } from "../../src/pmxcfs/replication/status-group.ts";
import { ClusterLog } from "../../src/pmxcfs/state/cluster-log.ts";
import { chain, Field, Head, newBlock, sorted } from "../../src/pmxcfs/state/log-block.ts";
import { Random } from "./simulator/random.ts";
import { importedRows, treeOf } from "./traces/database.ts";

const FIRST_SEED = Number(process.env["PMXCFS_IPC_FUZZ_SEED"] ?? 1);
const SEEDS = 400;
const A: Member = { nodeid: 1, pid: 100 };
const B: Member = { nodeid: 2, pid: 200 };
const at: Instant = { seconds: 1_700_000_000, ms: 0 };
const NOTHING = new Uint8Array(0);

/** Numbers that replace lengths and counts. */
const ODD = [0, 1, 7, 8, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

function damaged(message: Buffer, random: Random): Buffer {
  const copy = Buffer.from(message);
  for (let count = random.below(4); count > 0; count--) {
    const where = random.below(copy.length);
    const roll = random.next();
    if (roll < 0.4) copy[where] = random.below(256);
    else if (roll < 0.8 && where + 4 <= copy.length) {
      copy.writeUInt32LE(random.pick(ODD) ?? 0, where - (where % 4));
    } else return copy.subarray(0, where);
  }
  return copy;
}

function newTree() {
  return treeOf(importedRows(Buffer.from("totem {}\n"), 1_700_000_000), () => at.seconds);
}

/** Undamaged messages of the database group. */
function databaseMessages(epoch: Epoch, random: Random): Buffer {
  const stamp = { protocol: 1, time: at.seconds };
  const control = (type: number, body: Uint8Array) => encodeControl(stamp, { type, epoch, body });
  const entry = { inode: 9, parent: 0, version: 9, writer: 2, mtime: 5, type: 8, name: "f" };
  const commands = [
    encodeCommand({ kind: "write", path: "f", offset: 2, data: Buffer.from("abc") }),
    encodeCommand({ kind: "rename", path: "f", to: "g" }),
    encodeCommand({ kind: "truncate", path: "f", size: 5 }),
    encodeCommand({ kind: "create", path: "f" }),
    encodeCommand({ kind: "mkdir", path: "d" }),
    encodeCommand({ kind: "utime", path: "", mtime: 5 }),
  ];
  const roll = random.below(9);
  if (roll === 0) return control(Type.syncStart, NOTHING);
  if (roll === 1) return control(Type.state, newTree().index.encode());
  if (roll === 2) return control(Type.update, encodeUpdate({ ...entry, data: Buffer.from("x") }));
  if (roll === 3) return control(Type.updateComplete, NOTHING);
  if (roll === 4) return control(Type.verifyRequest, Buffer.alloc(8, 1));
  if (roll === 5) return control(Type.verify, Buffer.alloc(40, 1));
  if (roll === 6) return control(7 + random.below(3), NOTHING);
  const { subtype, body } = random.pick(commands) ?? { subtype: 9, body: NOTHING };
  return encodeNormal(stamp, { subtype, count: BigInt(random.below(9)), body });
}

function statusGroup(log: ClusterLog) {
  const keys = new Map<string, Uint8Array>();
  const status = {
    setOf: (_: number, name: string, data: Uint8Array) => {
      keys.set(name, Buffer.from(data));
      return 0 as const;
    },
    ownKeys: () => new Map([["k", Buffer.from("v")]]),
    set: () => 0 as const,
  };
  return new StatusGroup({ self: A, status, log, onMembers() {}, address: () => "192.0.2.1" });
}

function newLog(now = 1_700_000_000_000) {
  return new ClusterLog({ nodeName: "n1", pid: 1, now: () => now, sizeBytes: 16_384 });
}

/** Runs a machine through random events with damaged messages. */
function run(machine: Dfsm, message: (epoch: Epoch) => Buffer, random: Random): void {
  let epoch: Epoch = { counter: 1, time: at.seconds, ...A };
  const joined = { members: [A, B], joined: [B], left: [] };
  machine.confchg(joined, at);
  for (let round = 0; round < 40; round++) {
    const from = random.chance(0.5) ? A : random.chance(0.9) ? B : { nodeid: 3, pid: 1 };
    const whole = random.chance(0.5);
    const bytes = message(epoch);
    machine.deliver(from, whole ? bytes : damaged(bytes, random), at);
    for (let steps = 0; machine.busy; steps++) {
      expect(steps).toBeLessThan(10_000);
      machine.work();
    }
    for (let out = machine.next(at); out !== undefined; out = machine.next(at)) {
      if (random.chance(0.7)) machine.deliver(A, out.bytes, at);
      machine.sent("sent");
    }
    ({ epoch } = machine.status(at));
    if (machine.mode === "leave" || machine.mode === "version-error") machine.restart(at);
    if (machine.mode === "start" || random.chance(0.05)) {
      machine.confchg(random.chance(0.5) ? joined : { members: [A], joined: [], left: [B] }, at);
    }
  }
}

describe("damaged messages", () => {
  test("of the database group lead to LEAVE, or are ignored", () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      const random = new Random(seed);
      const application = new DatabaseGroup({ tree: newTree(), nodeid: 1 });
      application.quorate = true;
      const machine = new Dfsm({ self: A, application, startedAt: at });
      run(machine, (epoch) => databaseMessages(epoch, random), random);
    }
  });

  test("of the status group too", () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      const random = new Random(seed);
      const application = statusGroup(newLog());
      const machine = new Dfsm({ self: A, application, startedAt: at });
      const other = newLog(1_700_000_000_000 + random.below(9) * 1000);
      other.add({ priority: 6, user: "u", tag: "t", message: "m", pid: 1 });
      const entry = other.newestEntry();
      const body = Buffer.concat([Buffer.from("key\0"), Buffer.alloc(300, 1)]);
      run(
        machine,
        (epoch) => {
          const stamp = { protocol: 0, time: at.seconds };
          const count = BigInt(random.below(9));
          if (random.chance(0.3)) return encodeNormal(stamp, { subtype: 1, count, body });
          if (random.chance(0.4)) {
            return encodeNormal(stamp, { subtype: 3, count, body: entry });
          }
          const type = random.below(7);
          const state = type === Type.state ? other.block : Buffer.alloc(random.below(64), 1);
          return encodeControl(stamp, { type: type || 1, epoch, body: state });
        },
        random,
      );
    }
  });

  test("decode to undefined, or to values within their bytes", () => {
    const { body } = encodeCommand({ kind: "rename", path: "a/b", to: "c" });
    const command = Buffer.from(body);
    const update = encodeUpdate({
      inode: 9,
      parent: 0,
      version: 9,
      writer: 2,
      mtime: 5,
      type: 8,
      name: "f",
      data: Buffer.from("data"),
    });
    const index = Buffer.from(newTree().index.encode());
    for (let seed = FIRST_SEED; seed < FIRST_SEED + 4000; seed++) {
      const random = new Random(seed);
      const decoded = decodeCommand(1 + random.below(8), damaged(command, random));
      if (decoded !== undefined) expect(decoded.path.length).toBeLessThan(body.length);
      const entry = decodeUpdate(damaged(update, random));
      if (entry !== undefined) expect(entry.data.length).toBeLessThan(update.length);
      decodeIndex(damaged(index, random));
      decodeLock(damaged(command, random));
    }
  });
});

/** The block of a log with some entries. */
function block(random: Random): Buffer {
  const log = newLog();
  for (let count = random.below(300); count > 0; count--) {
    const message = "m".repeat(random.below(90));
    log.add({ priority: 6, user: "u", tag: "t", message, pid: 1 });
  }
  return Buffer.from(log.block);
}

describe("a damaged log block", () => {
  test("is read to its end and merged, whatever bytes it has", () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      const random = new Random(seed);
      const broken = damaged(block(random), random);
      const whole = Buffer.concat([broken, Buffer.alloc(16_384 - broken.length)]);
      const log = newLog();
      log.merge([Buffer.alloc(0), whole], 0);
      expect([...chain(Buffer.from(log.block))].length).toBeGreaterThan(0);
      JSON.parse(log.dump("", 500).toString("latin1"));
    }
  });

  test("whose chain is a cycle is followed at most once around", () => {
    const circle = block(new Random(1));
    const newest = circle.readUInt32LE(Head.newest);
    circle.writeUInt32LE(newest, newest + Field.prev);
    expect([...chain(circle)].length).toBeLessThanOrEqual(16_384 / 48 + 1);
    expect([...chain(sorted(circle))]).toHaveLength(1);
    const two = block(new Random(2));
    const [first = 0, second = 0] = chain(two);
    two.writeUInt32LE(first, second + Field.prev);
    expect([...chain(sorted(two))].length).toBeLessThanOrEqual(2);
  });

  test("that is empty, or of another size, is left out", () => {
    const log = newLog();
    const before = Buffer.from(log.block);
    log.merge([before, newBlock(16_384), Buffer.alloc(7), newBlock(8192)], 0);
    expect(Buffer.from(log.block)).toEqual(before);
  });
});
