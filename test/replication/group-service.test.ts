/** A group's service whose start fails, or that leaves while it is joining. */
import { afterEach, expect, mock, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { type Log, silentLog } from "../../src/base/log.ts";
import { CsError, CsFailure } from "../../src/corosync/cs-error.ts";
import { Mode } from "../../src/pmxcfs/replication/events.ts";
import { encodeControl, NO_EPOCH, Type } from "../../src/pmxcfs/replication/message.ts";
import { eventually } from "../support/eventually.ts";
import { FakeCpg, nothing, serviceOver } from "./fake-connection.ts";

afterEach(() => {
  mock.restore();
});

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
