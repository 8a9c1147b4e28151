/** A group's service whose start fails, or that leaves while it is joining. */
import { afterEach, expect, mock, spyOn, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { type Log, silentLog } from "../../src/base/log.ts";
import type { Steps } from "../../src/base/steps.ts";
import { type CpgCallbacks, CpgGroup } from "../../src/corosync/cpg.ts";
import { CsError, CsFailure } from "../../src/corosync/cs-error.ts";
import type { Application, Comparison } from "../../src/pmxcfs/replication/application.ts";
import { type Member, Mode } from "../../src/pmxcfs/replication/events.ts";
import { Dfsm } from "../../src/pmxcfs/replication/machine.ts";
import {
  decodeControl,
  encodeControl,
  encodeNormal,
  NO_EPOCH,
  Type,
} from "../../src/pmxcfs/replication/message.ts";
import { GroupService } from "../../src/pmxcfs/replication/services/group-service.ts";
import { eventually } from "../support/eventually.ts";

/** A connection to corosync that answers each join with `joined`. */
class FakeCpg {
  readonly nodeid = 1;
  readonly pid = 100;
  closed = false;
  /** Called before a join is answered. */
  beforeAnswer: () => Promise<void> = async () => {};
  readonly #joined: CsError;

  constructor(joined: CsError) {
    this.#joined = joined;
  }

  async join(): Promise<CsError> {
    await this.beforeAnswer();
    return this.#joined;
  }

  /** The answer to a leave. */
  leaves: () => Promise<CsError> = async () => await Promise.resolve(CsError.NOT_EXIST);

  async leave(): Promise<CsError> {
    return await this.leaves();
  }

  async finalize(): Promise<void> {
    // As the connection does, after the answer to the call before.
    await this.leaves();
  }

  readonly sent: Buffer[] = [];

  mcast(message: Uint8Array): CsError {
    this.sent.push(Buffer.from(message));
    return CsError.OK;
  }

  together(sends: () => void): void {
    sends();
  }

  close(): void {
    this.closed = true;
  }
}

const application: Application = {
  tag: "notes",
  protocol: 1,
  whileSyncing: "notes wait",
  apply: () => ({ result: 0 }),
  membersChanged() {},
  state: () => new Uint8Array(1),
  // oxlint-disable-next-line require-yield -- the test takes no time
  *compare(states): Steps<Comparison> {
    return { synced: states.map(() => true) };
  },
  keepUpdate: () => undefined,
  // oxlint-disable-next-line require-yield -- the test takes no time
  *commit(): Steps<undefined> {
    return undefined;
  },
  dropSync() {},
  synced: () => [],
};

afterEach(() => {
  mock.restore();
});

async function nothing(): Promise<void> {
  await Promise.resolve();
}

/** A service over `cpg`; `callbacks` has those of its connection. */
function serviceOver(
  cpg: FakeCpg,
  beforeJoin: () => Promise<void>,
  log: Log = silentLog,
  apply: Application["apply"] = application.apply,
) {
  const callbacks: CpgCallbacks[] = [];
  spyOn(CpgGroup, "connect").mockImplementation(async (_group, given) => {
    callbacks.push(given);
    return await Promise.resolve(cpg as unknown as CpgGroup);
  });
  const service = new GroupService({
    name: "notes",
    group: "notes\0",
    log,
    machineOf: (self) => {
      const startedAt = { seconds: 0, ms: 0 };
      return new Dfsm({ self, application: { ...application, apply }, startedAt });
    },
    beforeEvent: () => {},
    beforeConfchg: async () => {
      await Promise.resolve();
    },
    beforeJoin,
    lost: () => {},
  });
  return { service, callbacks };
}

const OTHER: Member = { nodeid: 2, pid: 200 };
const stamp = { protocol: 1, time: 1 };

/** Begins a synchronisation with OTHER, whose STATE arrives before `meanwhile`, ours after it. */
async function synchronise(cpg: FakeCpg, callbacks: CpgCallbacks, meanwhile: () => Promise<void>) {
  const self = { nodeid: cpg.nodeid, pid: cpg.pid };
  const joined = [self, OTHER].map(({ nodeid, pid }) => ({ nodeid, pid, reason: 1 }));
  await callbacks.confchg({ members: [self, OTHER], left: [], joined });
  const request = cpg.sent.splice(0)[0] ?? Buffer.alloc(0);
  await callbacks.deliver(self, request);
  const { epoch } = decodeControl(request) ?? { epoch: NO_EPOCH };
  const state = encodeControl(stamp, { type: Type.state, epoch, body: Buffer.from("x") });
  await callbacks.deliver(OTHER, state);
  await meanwhile();
  await callbacks.deliver(self, cpg.sent.splice(0)[0] ?? Buffer.alloc(0));
}

test("a change that waits for a join that is refused is answered EBUSY at once", async () => {
  const cpg = new FakeCpg(CsError.EXIST);
  let answer: number | undefined;
  const { service } = serviceOver(cpg, async () => {
    await Promise.resolve();
    const result = Promise.resolve(service.propose({ subtype: 1, body: Buffer.from("x") }));
    void result.then((errno) => (answer = errno));
  });
  expect(await service.start()).toBeInstanceOf(CsFailure);
  expect([service.connected, cpg.closed]).toEqual([false, true]);
  await eventually("the answer", () => answer, 2000);
  expect(answer).toBe(Errno.EBUSY);
});

test("a change that waits to be sent is answered at once when quorum is lost", async () => {
  const cpg = new FakeCpg(CsError.OK);
  const { service } = serviceOver(cpg, async () => {
    await Promise.resolve();
  });
  expect(await service.start()).toBeUndefined();
  const change = { subtype: 1, body: Buffer.from("x") };
  const answers = [1, 2].map(async () => await service.propose(change));
  service.quorumView([1, 2]);
  service.quorumView([1], Errno.EACCES);
  expect(await Promise.all(answers)).toEqual([Errno.EACCES, Errno.EACCES]);
});

test("another connection is announced when one has ended, as by C, but not at a stop", async () => {
  for (const ends of [true, false]) {
    const cpg = new FakeCpg(CsError.OK);
    const lines: string[] = [];
    const write = (line: string): void => void lines.push(line);
    const log: Log = { ...silentLog, error: write, info: write, tagged: () => log };
    const { service, callbacks } = serviceOver(cpg, nothing, log);
    expect(await service.start()).toBeUndefined();
    const member = { nodeid: cpg.nodeid, pid: cpg.pid, reason: 1 };
    await callbacks[0]?.confchg({ members: [member], joined: [member], left: [] });
    if (ends) callbacks[0]?.ended(new CsFailure(CsError.LIBRARY, "corosync stopped"));
    else await service.stop();
    expect(lines).toEqual([
      "members: 1/100",
      "all data is up to date",
      ...(ends ? ["cpg_dispatch failed: CS_ERR_LIBRARY (corosync stopped)"] : []),
      ...(ends ? ["start cluster connection"] : []),
    ]);
    mock.restore();
  }
});

test("the time of synchronisations has neither the time in step nor that without corosync", async () => {
  let nowMs = 1000;
  spyOn(performance, "now").mockImplementation(() => nowMs);
  const cpg = new FakeCpg(CsError.OK);
  const { service, callbacks } = serviceOver(cpg, nothing);
  nowMs += 5000;
  for (const connection of [0, 1]) {
    expect(await service.start()).toBeUndefined();
    const end = callbacks[connection];
    if (end === undefined) throw new Error("not connected");
    await synchronise(cpg, end, async () => await Promise.resolve(void (nowMs += 40)));
    expect(service.mode).toBe(Mode.synced);
    expect(service.times).toMatchObject({ syncs: connection + 1, syncMs: (connection + 1) * 40 });
    nowMs += 60_000;
    end.ended(new CsFailure(CsError.LIBRARY, "corosync stopped"));
    nowMs += 60_000;
  }
});

test("queued changes of others count as theirs when an own message ends the wait", async () => {
  const cpg = new FakeCpg(CsError.OK);
  const applied: boolean[] = [];
  const { service, callbacks } = serviceOver(cpg, nothing, silentLog, () => {
    applied.push(service.appliesForOthers);
    return { result: 0 };
  });
  expect(await service.start()).toBeUndefined();
  const connection = callbacks[0];
  if (connection === undefined) throw new Error("not connected");
  const change = encodeNormal(stamp, { subtype: 1, count: 1n, body: Buffer.from("x") });
  await synchronise(cpg, connection, async () => await connection.deliver(OTHER, change));
  await connection.deliver(OTHER, change);
  await connection.deliver({ nodeid: cpg.nodeid, pid: cpg.pid }, change);
  expect(applied).toEqual([true, true, false]);
});

test("a start that throws leaves no connection, so that it is made again", async () => {
  const cpg = new FakeCpg(CsError.OK);
  const { service } = serviceOver(cpg, async () => {
    await Promise.reject(new Error("a bug of ours"));
  });
  expect(service.start()).rejects.toThrow("a bug of ours");
  await eventually("it has ended", () => cpg.closed);
  expect([service.connected, service.isUp]).toEqual([false, false]);
});

test("a node that meets a newer protocol before its join is answered stays out", async () => {
  const cpg = new FakeCpg(CsError.OK);
  const { service, callbacks } = serviceOver(cpg, async () => {
    await Promise.resolve();
  });
  cpg.beforeAnswer = async () => {
    const self = { nodeid: cpg.nodeid, pid: cpg.pid };
    const members = [self, { nodeid: 2, pid: 200 }];
    await callbacks[0]?.confchg({ members, left: [], joined: [{ ...self, reason: 1 }] });
    const newer = encodeControl(
      { protocol: 2, time: 1 },
      { type: Type.state, epoch: NO_EPOCH, body: Buffer.from("x") },
    );
    await callbacks[0]?.deliver({ nodeid: 2, pid: 200 }, Buffer.from(newer));
  };
  expect(await service.start()).toBeUndefined();
  await eventually("it has left", () => cpg.closed);
  expect([service.connected, service.mode]).toEqual([false, Mode.start]);
  // Nothing to start: the supervisor does not ask for another join.
  await eventually("it stays out", () => service.isUp, 2000);
});

test("a stop ends after some seconds also when corosync does not answer the leave", async () => {
  const cpg = new FakeCpg(CsError.OK);
  const { service } = serviceOver(cpg, async () => {
    await Promise.resolve();
  });
  expect(await service.start()).toBeUndefined();
  const { promise: never } = Promise.withResolvers<CsError>();
  cpg.leaves = async () => await never;
  const start = performance.now();
  await service.stop();
  // Both groups are left within the 10 s that systemd gives a stop.
  expect(performance.now() - start).toBeLessThan(3500);
  expect(cpg.closed).toBe(true);
});
