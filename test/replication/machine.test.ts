// The machine alone, with a minimal application: modes, epochs, queues, sends and waiters.
import { describe, expect, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import type { Effect, Member } from "../../src/pmxcfs/replication/events.ts";
import { encodeControl, encodeNormal, Type } from "../../src/pmxcfs/replication/message.ts";
import { A, at, B, change, drain, machineOf } from "./notes-machine.ts";

const normal = (count: number, text: string) =>
  encodeNormal(
    { protocol: 1, time: 5 },
    { subtype: 1, count: BigInt(count), body: Buffer.from(text) },
  );
const settled = (effects: Effect[]) =>
  effects.flatMap((effect) => (effect.kind === "settled" ? [effect.result] : []));

/** Both are members; the synchronisation has ended. */
function syncedPair() {
  const pair = [machineOf(A), machineOf(B)] as const;
  const queue: [Member, Buffer][] = [];
  const collect = () => {
    for (const [index, member] of [A, B].entries()) {
      const { machine } = pair[index as 0 | 1];
      for (const bytes of drain(machine, at(0))) queue.push([member, bytes]);
    }
  };
  for (const { machine } of pair) machine.confchg(change([A, B], [A, B]), at(0));
  collect();
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    for (const { machine } of pair) machine.deliver(next[0], next[1], at(0));
    collect();
  }
  return pair;
}

describe("the clock of another member", () => {
  test("a confchg keeps the difference of a member that stays", () => {
    const [{ machine }] = syncedPair();
    const late = encodeNormal(
      { protocol: 1, time: at(0).seconds + 10 },
      { subtype: 1, count: 10n, body: Buffer.from("x") },
    );
    machine.confchg(change([A, B]), at(20_000));
    machine.deliver(B, late, at(30_000));
    const peer = machine.status(at(30_000)).members.find(({ nodeid }) => nodeid === B.nodeid);
    expect(peer?.clockSeconds).toBe(0);
  });
});

describe("a member alone", () => {
  test("is synced at once, and gets the result of applying its own change", () => {
    const { machine, notes } = machineOf(A);
    machine.confchg(change([A], [A]), at(0));
    expect(machine.mode).toBe("synced");
    expect(machine.propose({ subtype: 1, body: Buffer.from("x=1") }, at(1))).toEqual({ ticket: 1 });
    const [sent] = drain(machine, at(2));
    expect(sent?.readBigUInt64LE(16)).toBe(1n);
    expect(settled(machine.deliver(A, sent ?? Buffer.alloc(0), at(3)))).toEqual([3]);
    expect(notes.applied).toEqual(["x=1"]);
  });

  test("that waits 30 s for its change gets EBUSY, and further changes get it at once", () => {
    const { machine } = machineOf(A);
    machine.confchg(change([A], [A]), at(0));
    machine.propose({ subtype: 1, body: Buffer.from("lost") }, at(0));
    drain(machine, at(0));
    expect(settled(machine.tick(at(29_999)))).toEqual([]);
    expect(settled(machine.tick(at(30_000)))).toEqual([Errno.EBUSY]);
    expect(machine.propose({ subtype: 1, body: Buffer.from("next") }, at(30_001))).toBe(
      Errno.EBUSY,
    );
    machine.deliver(A, normal(1, "lost"), at(31_000));
    expect(machine.propose({ subtype: 1, body: Buffer.from("next") }, at(31_001))).toEqual({
      ticket: 2,
    });
  });

  test("gets the result of a change that comes back before its last fragment is answered", () => {
    const { machine } = machineOf(A);
    machine.confchg(change([A], [A]), at(0));
    machine.propose({ subtype: 1, body: Buffer.from("large") }, at(0));
    const sent = Buffer.from(machine.next(at(0))?.bytes ?? []);
    expect(machine.sent("pending")).toEqual([]);
    expect(settled(machine.deliver(A, sent, at(1)))).toEqual([5]);
    expect(machine.sent("sent")).toEqual([]);
    expect(machine.status(at(1)).sending).toMatchObject({ outbox: 0, waiting: 0 });
  });

  test("learns from a later message of its own that an earlier one is lost", () => {
    const { machine } = machineOf(A);
    machine.confchg(change([A], [A]), at(0));
    for (const text of ["lost", "fine"])
      machine.propose({ subtype: 1, body: Buffer.from(text) }, at(0));
    const [, second] = drain(machine, at(0));
    expect(settled(machine.deliver(A, second ?? Buffer.alloc(0), at(1)))).toEqual([Errno.EBUSY, 4]);
  });
});

describe("two members", () => {
  test("are synced after one SYNC_START and two STATEs", () => {
    for (const { machine } of syncedPair()) expect(machine.mode).toBe("synced");
  });

  test("hold their own changes until they are synced", () => {
    const { machine } = machineOf(B);
    machine.confchg(change([A, B], [B]), at(0));
    machine.propose({ subtype: 1, body: Buffer.from("held") }, at(0));
    expect(drain(machine, at(0))).toEqual([]);
  });

  test("take back a held change when its caller gives up", () => {
    const { machine } = machineOf(B);
    machine.confchg(change([A, B], [B]), at(0));
    machine.propose({ subtype: 1, body: Buffer.from("held") }, at(0));
    expect(machine.withdraw(1)).toBe(true);
  });

  test("resend their own queued messages before the state when a member joins", () => {
    const [{ machine }] = syncedPair();
    machine.confchg(change([A, B]), at(1));
    drain(machine, at(1));
    const own = normal(7, "again");
    machine.deliver(A, own, at(1));
    machine.deliver(B, normal(3, "of another"), at(1));
    machine.confchg(change([A, B], [B]), at(2));
    const [first, second] = drain(machine, at(2));
    expect(first).toEqual(own);
    expect(second?.readUInt16LE(0)).toBe(Type.syncStart);
  });

  test("do not send a SYNC_START of an epoch that is over", () => {
    const { machine } = machineOf(A);
    machine.confchg(change([A, B], [A, B]), at(0));
    machine.next(at(0));
    machine.sent("again");
    machine.confchg(change([A], []), at(1));
    expect(drain(machine, at(1))).toEqual([]);
  });
});

/** A member that lags behind two synced ones, in mode UPDATE. */
describe("a member that waits for the leader's updates", () => {
  const C: Member = { nodeid: 3, pid: 300 };
  const epoch = { counter: 1, time: 0, ...A };
  const control = (type: number) =>
    encodeControl({ protocol: 1, time: 0 }, { type, epoch, body: new Uint8Array(1) });

  function lagging(synced: readonly boolean[]) {
    const { machine, notes } = machineOf(C);
    notes.comparison = { synced: [...synced], leader: A };
    machine.confchg(change([A, B, C], [C]), at(0));
    machine.deliver(A, control(Type.syncStart), at(0));
    for (const member of [A, B, C]) machine.deliver(member, control(Type.state), at(0));
    return { machine, notes };
  }

  test("applies messages of synced members after the commit, in the order of arrival", () => {
    const { machine, notes } = lagging([true, true, false]);
    expect(machine.mode).toBe("update");
    machine.deliver(A, normal(9, "first"), at(1));
    machine.deliver(B, normal(2, "second"), at(1));
    expect(notes.applied).toEqual([]);
    machine.deliver(A, control(Type.updateComplete), at(1));
    expect(notes.applied).toEqual(["first", "second"]);
    expect(machine.mode).toBe("synced");
  });

  test("logs that only its own writes wait, since the members in step go on", () => {
    const { machine } = lagging([true, true, false]);
    const [line] = machine.tick(at(5000));
    const text =
      "has waited 5 s for the updates (0 so far, 0 KiB) of 1/100: " +
      "until it arrives, no write of this node is answered";
    expect(line).toEqual({ kind: "log", level: "warn", text });
  });

  test("holds events until the last turn of its commit", () => {
    const { machine, notes } = lagging([true, true, false]);
    machine.deliver(A, normal(9, "before"), at(1));
    notes.mayCommit = false;
    machine.deliver(A, control(Type.updateComplete), at(1));
    for (let turn = 0; turn < 3; turn++) machine.work();
    expect([machine.holding, machine.busy, machine.mode]).toEqual([true, true, "update"]);
    expect(notes.applied).toEqual([]);
    notes.mayCommit = true;
    machine.work();
    expect([machine.holding, machine.mode]).toEqual([false, "synced"]);
    expect(notes.applied).toEqual(["before"]);
  });

  test("completes its commit before an event that arrives in the middle of it", () => {
    for (const next of ["message", "confchg"]) {
      const { machine, notes } = lagging([true, true, false]);
      machine.deliver(A, normal(9, "before"), at(1));
      notes.mayCommit = false;
      machine.deliver(A, control(Type.updateComplete), at(1));
      notes.mayCommit = true;
      if (next === "message") machine.deliver(B, normal(3, "after"), at(1));
      else machine.confchg(change([C]), at(1));
      expect(notes.commits).toEqual({ begun: 1, ended: 1, done: 1 });
      expect(notes.applied).toEqual(next === "message" ? ["before", "after"] : ["before"]);
    }
  });

  test("abandons its commit when the connection ends", () => {
    const { machine, notes } = lagging([true, true, false]);
    notes.mayCommit = false;
    machine.deliver(A, control(Type.updateComplete), at(1));
    machine.restart(at(2));
    expect(notes.commits).toEqual({ begun: 1, ended: 1, done: 0 });
    expect([machine.holding, machine.mode]).toEqual([false, "start"]);
    expect(machine.status(at(2))).toMatchObject({ members: [], lowest: 0 });
    machine.confchg(change([C], [C]), at(3));
    expect(machine.mode).toBe("synced");
  });

  test("applies queued messages by count, then those of other lagging members", () => {
    const { machine, notes } = machineOf(C);
    notes.comparison = { synced: [true, false, false], leader: A };
    machine.confchg(change([A, B, C], [C]), at(0));
    machine.deliver(A, normal(9, "nine"), at(0));
    machine.deliver(B, normal(5, "of a laggard"), at(0));
    machine.deliver(A, normal(8, "eight"), at(0));
    machine.deliver(A, control(Type.syncStart), at(0));
    for (const member of [A, B, C]) machine.deliver(member, control(Type.state), at(0));
    machine.deliver(A, normal(10, "ten"), at(1));
    machine.deliver(A, control(Type.updateComplete), at(1));
    expect(notes.applied).toEqual(["eight", "nine", "ten", "of a laggard"]);
  });

  test("drops its sync queue at the next confchg, since the leader has those changes", () => {
    const { machine, notes } = lagging([true, true, false]);
    machine.deliver(A, normal(1, "gone"), at(1));
    const { length } = normal(1, "gone");
    expect(machine.status(at(1))).toMatchObject({ queued: 1, queuedBytes: length });
    machine.confchg(change([B, C]), at(2));
    expect(machine.status(at(2))).toMatchObject({ queued: 0, queuedBytes: 0 });
    machine.confchg(change([C]), at(3));
    expect(notes.applied).toEqual([]);
  });

  test("when synced, keeps messages of a lagging member until the update is complete", () => {
    const { machine, notes } = machineOf(A);
    notes.comparison = { synced: [true, false], leader: A };
    machine.confchg(change([A, B], [B]), at(0));
    machine.deliver(B, normal(1, "early"), at(0));
    const [start] = drain(machine, at(0));
    machine.deliver(A, start ?? Buffer.alloc(0), at(0));
    const [state] = drain(machine, at(0));
    for (const member of [A, B]) machine.deliver(member, state ?? Buffer.alloc(0), at(0));
    expect(machine.mode).toBe("synced");
    expect(notes.applied).toEqual([]);
    const complete = Buffer.from(start ?? "");
    complete.writeUInt16LE(Type.updateComplete, 0);
    machine.deliver(A, complete, at(1));
    expect(notes.applied).toEqual(["early"]);
  });
});

describe("an invalid message", () => {
  const epoch = { counter: 1, time: at(0).seconds, ...A };
  const control = (type: number, body: Uint8Array = new Uint8Array(0)) =>
    encodeControl({ protocol: 1, time: 0 }, { type, epoch, body });
  const empty = { subtype: 1, count: 1n, body: Buffer.alloc(0) };
  const cases: [string, Buffer, string][] = [
    ["shorter than a header", Buffer.alloc(15), "leave"],
    ["NORMAL without a count", normal(1, "").subarray(0, 23), "leave"],
    ["STATE without an epoch", control(Type.state).subarray(0, 31), "leave"],
    ["of a newer protocol", encodeNormal({ protocol: 2, time: 0 }, empty), "version-error"],
    ["of an older protocol", encodeNormal({ protocol: 0, time: 0 }, empty), "synced"],
    ["of a type that is not", control(7), "synced"],
    // A group without verification checks the length of a request, and nothing else.
    ["VERIFY_REQUEST in a group without", control(Type.verifyRequest, new Uint8Array(8)), "synced"],
    ["a short one", control(Type.verifyRequest, new Uint8Array(7)), "leave"],
    ["VERIFY in a group without", control(Type.verify), "synced"],
    ["STATE when synced", control(Type.state), "synced"],
    ["UPDATE when synced", control(Type.update), "synced"],
  ];
  test("of an unknown type, during a synchronisation: leave", () => {
    const { machine } = machineOf(A);
    machine.confchg(change([A, B], [B]), at(0));
    machine.deliver(A, control(7), at(1));
    expect(machine.mode).toBe("leave");
  });
  test("STATE without a body, also when it comes twice: counts as not sent", () => {
    const { machine } = machineOf(A);
    machine.confchg(change([A, B], [B]), at(0));
    const [start = Buffer.alloc(0)] = drain(machine, at(1));
    machine.deliver(A, start, at(1));
    const [own = Buffer.alloc(0)] = drain(machine, at(1));
    const bare = own.subarray(0, 32);
    machine.deliver(A, own, at(1));
    for (const state of [bare, bare]) machine.deliver(B, state, at(1));
    expect(machine.mode).toBe("start-sync");
    expect(machine.status(at(1)).missing).toEqual([{ ...B, silentMs: 1 }]);
    machine.deliver(B, own, at(1));
    expect(machine.mode).toBe("synced");
  });
  for (const [name, bytes, mode] of cases) {
    test(`${name}: ${mode}`, () => {
      const { machine } = machineOf(A);
      machine.confchg(change([A], [A]), at(0));
      machine.deliver(A, bytes, at(1));
      expect(machine.mode).toBe(mode as never);
    });
  }
});
