/** Changes that are stored together: when their callers are answered, and what ends a group. */
import { afterEach, expect, mock, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { silentLog } from "../../src/base/log.ts";
import { CsError } from "../../src/corosync/cs-error.ts";
import type { Application, Leave } from "../../src/pmxcfs/replication/application.ts";
import type { Effect } from "../../src/pmxcfs/replication/events.ts";
import { Dfsm } from "../../src/pmxcfs/replication/machine.ts";
import { encodeControl, NO_EPOCH, Type } from "../../src/pmxcfs/replication/message.ts";
import { eventually } from "../support/eventually.ts";
import { FakeCpg, nothing, OTHER, serviceOver, stamp } from "./fake-connection.ts";
import { IDLE } from "./idle-application.ts";
import { A, at, B, change, drain } from "./notes-machine.ts";

afterEach(() => {
  mock.restore();
});

const FAILED: Leave = { reason: "database", text: "not written" };

/** A group that notes what is asked of it; `store` returns `fails`. */
function storing(fails?: Leave) {
  const notes: string[] = [];
  const application: Application = {
    ...IDLE,
    apply({ body }) {
      notes.push(body.toString());
      return { result: body.length === 1 ? 1 : Errno.ENOENT };
    },
    gather: () => {},
    store() {
      notes.push("store");
      return fails;
    },
    membersChanged: () => void notes.push("members"),
    state() {
      notes.push("state");
      return new Uint8Array(1);
    },
  };
  return { notes, application };
}

/** A synced machine, alone in its group, with the messages of changes that it has proposed. */
function proposing(texts: readonly string[], fails?: Leave) {
  const { notes, application } = storing(fails);
  const machine = new Dfsm({ self: A, application, startedAt: at(0) });
  machine.confchg(change([A], [A]), at(0));
  for (const text of texts) machine.propose({ subtype: 1, body: Buffer.from(text) }, at(0));
  notes.length = 0;
  return { notes, machine, messages: drain(machine, at(0)) };
}

const answers = (effects: readonly Effect[]) =>
  effects.flatMap((effect) => (effect.kind === "settled" ? [effect.result] : []));

test("callers are answered when all changes of the group are stored", () => {
  const { notes, machine, messages } = proposing(["a", "bb", "c"]);
  expect(machine.gather()).toBe(true);
  for (const message of messages) expect(machine.deliver(A, message, at(1))).toEqual([]);
  expect(answers(machine.store())).toEqual([1, Errno.ENOENT, 1]);
  expect(notes).toEqual(["a", "bb", "c", "store"]);
  // It has ended: nothing is left to store or to answer.
  expect(machine.store()).toEqual([]);
  expect(notes.length).toBe(4);
});

test("callers of what was applied and not stored get EIO, and the node leaves", () => {
  const { machine, messages } = proposing(["a", "bb"], FAILED);
  machine.gather();
  for (const message of messages) machine.deliver(A, message, at(1));
  const effects = machine.store();
  expect(answers(effects)).toEqual([Errno.EIO, Errno.ENOENT]);
  expect(effects.at(-1)).toEqual({ kind: "leave", reason: "database" });
  expect(machine.mode).toBe("leave");
});

test("any other event finds the changes stored", () => {
  const body = Buffer.alloc(0);
  const complete = encodeControl(stamp, { type: Type.updateComplete, epoch: NO_EPOCH, body });
  const events: Record<string, (machine: Dfsm) => Effect[]> = {
    confchg: (machine) => machine.confchg(change([A, B], [B]), at(2)),
    "UPDATE_COMPLETE of an earlier epoch": (machine) => machine.deliver(B, complete, at(2)),
    "a message that is none": (machine) => machine.deliver(B, Buffer.alloc(3), at(2)),
    restart: (machine) => machine.restart(at(2)),
  };
  for (const [name, event] of Object.entries(events)) {
    const { notes, machine, messages } = proposing(["a"]);
    machine.gather();
    for (const message of messages) machine.deliver(A, message, at(1));
    expect([name, answers(event(machine))]).toEqual([name, [1]]);
    expect([name, notes.slice(0, 2)]).toEqual([name, ["a", "store"]]);
  }
});

test("a group that stores nothing gathers nothing", () => {
  const machine = new Dfsm({ self: A, application: IDLE, startedAt: at(0) });
  machine.confchg(change([A], [A]), at(0));
  machine.propose({ subtype: 1, body: Buffer.from("a") }, at(0));
  expect(machine.gather()).toBe(false);
  const [message = Buffer.alloc(0)] = drain(machine, at(0));
  expect(answers(machine.deliver(A, message, at(1)))).toEqual([0]);
});

test("the changes of one turn are stored once, before a caller is answered", async () => {
  const { notes, application } = storing();
  const cpg = new FakeCpg(CsError.OK);
  const { service, callbacks } = serviceOver(cpg, nothing, silentLog, application);
  expect(await service.start()).toBeUndefined();
  const self = { nodeid: cpg.nodeid, pid: cpg.pid };
  const joined = [{ ...self, reason: 1 }];
  await callbacks[0]?.confchg({ members: [self], left: [], joined });
  notes.length = 0;
  const proposed = ["a", "bb", "c"].map(async (text) => {
    const result = await service.propose({ subtype: 1, body: Buffer.from(text) });
    notes.push(`${text}: ${result}`);
  });
  await eventually("they are sent", () => cpg.sent.length === 3);
  for (const message of cpg.sent.splice(0)) void callbacks[0]?.deliver(self, message);
  expect(notes).toEqual(["a", "bb", "c"]);
  await Promise.all(proposed);
  expect(notes.slice(3)).toEqual(["store", "a: 1", `bb: ${Errno.ENOENT}`, "c: 1"]);
  await service.stop();
});

test("a node whose changes could not be stored joins again when that works", async () => {
  const { application } = storing(FAILED);
  const cpg = new FakeCpg(CsError.OK);
  let works = false;
  const { service, callbacks } = serviceOver(cpg, nothing, silentLog, application, () => works);
  expect(await service.start()).toBeUndefined();
  const self = { nodeid: cpg.nodeid, pid: cpg.pid };
  await callbacks[0]?.confchg({ members: [self], left: [], joined: [{ ...self, reason: 1 }] });
  const proposed = Promise.resolve(service.propose({ subtype: 1, body: Buffer.from("a") }));
  await eventually("it is sent", () => cpg.sent.length === 1);
  // The connection ends in the same turn: nobody leaves the group for the reason "database".
  for (const message of cpg.sent.splice(0)) void callbacks[0]?.deliver(self, message);
  void callbacks[0]?.deliver(OTHER, Buffer.alloc(3));
  expect(await proposed).toBe(Errno.EIO);
  await eventually("it has left", () => cpg.closed);
  // The supervisor starts what is not up.
  expect(service.isUp).toBe(true);
  works = true;
  expect(service.isUp).toBe(false);
});
