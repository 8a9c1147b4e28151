// Messages that corosync does not take for a long time: which are given up, and which wait. And
// those that it refuses: without which of them this node leaves.
import { expect, test } from "bun:test";
import { DatabaseGroup } from "../../src/pmxcfs/replication/dcdb.ts";
import type { Instant, Member } from "../../src/pmxcfs/replication/events.ts";
import { Dfsm } from "../../src/pmxcfs/replication/machine.ts";
import { NO_EPOCH } from "../../src/pmxcfs/replication/message.ts";
import { Outbox } from "../../src/pmxcfs/replication/outbox.ts";
import { MemoryRows } from "../../src/pmxcfs/store/memory-rows.ts";
import { treeOf } from "./traces/database.ts";

const state = { protocol: 0, seconds: 5, epoch: NO_EPOCH, synced: true };
const TRIES = 100;

/** Offers the first message until corosync has refused it for 10 s; what was given up. */
function refused(outbox: Outbox): unknown {
  let failed: unknown;
  for (let tries = 0; tries < TRIES; tries++) {
    expect(outbox.next(state)).toBeDefined();
    failed ??= outbox.sent("again").failed;
  }
  return failed;
}

test("a status value or a log entry that nobody repeats is sent when corosync takes it", () => {
  const outbox = new Outbox();
  const value = { subtype: 1, body: Buffer.from("set once"), key: "k" };
  const entry = { subtype: 3, body: Buffer.from("logged") };
  for (const item of [value, entry]) outbox.addNormal(item);
  expect(refused(outbox)).toBeUndefined();
  expect(refused(outbox)).toBeUndefined();
  for (const { body } of [value, entry]) {
    const { bytes } = outbox.next(state) ?? { bytes: Buffer.alloc(0) };
    expect(Buffer.from(bytes).toString("latin1")).toEndWith(body.toString());
    outbox.sent("sent");
  }
  expect(outbox.next(state)).toBeUndefined();
});

test("a change whose caller waits is given up after 10 s, as in C", () => {
  const outbox = new Outbox();
  const change = { subtype: 1, body: Buffer.from("x"), ticket: 1 };
  outbox.addNormal(change);
  expect(refused(outbox)).toMatchObject({ ticket: 1 });
  expect(outbox.next(state)).toBeUndefined();
});

const A: Member = { nodeid: 1, pid: 100 };
const B: Member = { nodeid: 2, pid: 200 };
const at: Instant = { seconds: 1_700_000_000, ms: 0 };
/** Header and epoch of a STATE. */
const INDEX_AT = 32;

function groupOf(...names: readonly string[]): DatabaseGroup {
  const tree = treeOf(new MemoryRows(), () => at.seconds);
  for (const path of names) tree.apply({ kind: "create", path }, { writer: 1, time: 5 });
  return new DatabaseGroup({ tree, nodeid: A.nodeid });
}

/** A's mode after a sync in which B lacks a file, and a verification; corosync refuses `name`. */
function modeWithout(name: string): string {
  const machine = new Dfsm({ self: A, application: groupOf("f"), startedAt: at });
  const run = () => {
    for (let out = machine.next(at); out !== undefined; out = machine.next(at)) {
      const message = Buffer.from(out.bytes);
      machine.sent(out.name === name ? "failed" : "sent");
      if (out.name !== name) machine.deliver(A, message, at);
      const older = Buffer.concat([message.subarray(0, INDEX_AT), groupOf().state()]);
      if (out.name === "STATE") machine.deliver(B, older, at);
      while (machine.busy) machine.work();
    }
  };
  machine.confchg({ members: [A, B], joined: [A, B], left: [] }, at);
  run();
  machine.verify();
  run();
  return machine.mode;
}

test("without a message that the others wait for, this node leaves, as in C", () => {
  for (const name of ["SYNC_START", "STATE", "UPDATE_COMPLETE", "VERIFY"]) {
    expect([name, modeWithout(name)]).toEqual([name, "leave"]);
  }
  for (const name of ["none", "UPDATE", "VERIFY_REQUEST"]) {
    expect([name, modeWithout(name)]).toEqual([name, "synced"]);
  }
});
