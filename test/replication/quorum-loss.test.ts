// Quorum that is lost while changes are on their way: a message that is delivered without it makes
// every member of the minority leave, so none is sent.
import { describe, expect, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { DatabaseGroup } from "../../src/pmxcfs/replication/dcdb.ts";
import { Change, encodeCommand, encodeLock } from "../../src/pmxcfs/replication/dcdb-message.ts";
import type { Effect, Instant, Member } from "../../src/pmxcfs/replication/events.ts";
import { Dfsm } from "../../src/pmxcfs/replication/machine.ts";
import { decodeNormal, encodeNormal } from "../../src/pmxcfs/replication/message.ts";
import { MemoryRows } from "../../src/pmxcfs/store/memory-rows.ts";
import { treeOf } from "./traces/database.ts";

const A: Member = { nodeid: 1, pid: 100 };
const at = (ms: number): Instant => ({ seconds: 1_700_000_000 + Math.floor(ms / 1000), ms });
const create = (path: string) => encodeCommand({ kind: "create", path });
const settled = (effects: Effect[]) =>
  effects.flatMap((effect) => (effect.kind === "settled" ? [[effect.ticket, effect.result]] : []));

/** A member that is alone, synced and has quorum. */
function member() {
  const rows = new MemoryRows();
  const tree = treeOf(rows, () => at(0).seconds);
  const group = new DatabaseGroup({ tree, nodeid: A.nodeid });
  group.quorate = true;
  const machine = new Dfsm({ self: A, application: group, startedAt: at(0) });
  machine.confchg({ members: [A], joined: [A], left: [] }, at(0));
  return { rows, tree, group, machine };
}

describe("when quorum is lost", () => {
  test("changes that corosync has not taken are answered EACCES, and are not sent", () => {
    const { machine } = member();
    for (const path of ["sent", "refused", "behind"]) machine.propose(create(path), at(0));
    machine.send(
      encodeLock(Change.unlockRequest, { path: "priv/lock/a", digest: Buffer.alloc(32) }),
    );
    const sent = Buffer.from(machine.next(at(0))?.bytes ?? []);
    machine.sent("sent");
    machine.next(at(0));
    machine.sent("again");
    expect(settled(machine.refuseUnsent(Errno.EACCES))).toEqual([
      [2, Errno.EACCES],
      [3, Errno.EACCES],
    ]);
    expect(machine.next(at(1))).toBeUndefined();
    expect(machine.status(at(1)).sending).toMatchObject({ outbox: 0, waiting: 1, retries: 0 });
    expect(settled(machine.deliver(A, sent, at(1)))).toEqual([[1, 0]]);
    machine.propose(create("later"), at(2));
    expect(machine.next(at(2))).toBeDefined();
  });

  test("one of which corosync has a part is not taken back", () => {
    const { machine } = member();
    for (const path of ["part", "behind"]) machine.propose(create(path), at(0));
    machine.next(at(0));
    machine.sent("pending");
    expect(settled(machine.refuseUnsent(Errno.EACCES))).toEqual([[2, Errno.EACCES]]);
    machine.sent("sent");
    expect(machine.status(at(1)).sending).toMatchObject({ outbox: 0, waiting: 1 });
  });

  test("a change that does not come back is not followed by a probe until there is quorum", () => {
    const { group, machine } = member();
    machine.propose(create("lost"), at(0));
    machine.next(at(0));
    machine.sent("sent");
    group.quorate = false;
    for (const ms of [5000, 6000, 30_000, 31_000]) machine.tick(at(ms));
    expect(machine.next(at(31_000))).toBeUndefined();
    group.quorate = true;
    machine.tick(at(32_000));
    expect(machine.next(at(32_000))).toBeDefined();
  });
});

test("a change whose predecessor was taken back after many tries gets all of its own", () => {
  const { machine } = member();
  for (const path of ["first", "second"]) machine.propose(create(path), at(0));
  for (let tries = 0; tries < 90; tries++) {
    machine.next(at(0));
    machine.sent("again");
  }
  expect(machine.withdraw(1)).toBe(true);
  for (let tries = 0; tries < 99; tries++) {
    machine.next(at(0));
    expect(settled(machine.sent("again"))).toEqual([]);
  }
  machine.next(at(0));
  expect(settled(machine.sent("again"))).toEqual([[2, Errno.EBUSY]]);
});

test("a lock that cannot be removed because the database is locked: the node leaves", () => {
  const { rows, tree, group } = member();
  for (const path of ["priv", "priv/lock", "priv/lock/a"]) {
    tree.apply({ kind: "mkdir", path }, { writer: 1, time: 5 });
  }
  const unlock = (digest: Buffer) => {
    const { subtype, body } = encodeLock(Change.unlock, { path: "priv/lock/a", digest });
    const stamp = { protocol: 1, time: 5 };
    const message = decodeNormal(encodeNormal(stamp, { subtype, count: 1n, body }));
    return message && group.apply(message, A);
  };
  const digest = tree.lockDigest("priv/lock/a") ?? Buffer.alloc(32);
  rows.failure = Errno.EBUSY;
  expect(unlock(Buffer.alloc(32))).toEqual({ result: 0 });
  expect(unlock(digest)).toMatchObject({ result: Errno.EIO, leave: { reason: "database" } });
  rows.failure = 0;
  expect(unlock(digest)).toEqual({ result: 0 });
});
