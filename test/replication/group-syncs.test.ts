/** Synchronisations of a group's service: their time, when it joins again, whose changes. */
import { afterEach, expect, mock, spyOn, test } from "bun:test";
import { silentLog } from "../../src/base/log.ts";
import type { CpgCallbacks } from "../../src/corosync/cpg.ts";
import { CsError, CsFailure } from "../../src/corosync/cs-error.ts";
import { Mode } from "../../src/pmxcfs/replication/events.ts";
import { encodeNormal } from "../../src/pmxcfs/replication/message.ts";
import { eventually } from "../support/eventually.ts";
import { IDLE } from "./idle-application.ts";
import { FakeCpg, nothing, OTHER, serviceOver, stamp, synchronise } from "./fake-connection.ts";

afterEach(() => {
  mock.restore();
});

test("the time of syncs has neither the time in step nor that without corosync", async () => {
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

test("a node joins at once if it was in step for a minute since it left", async () => {
  let nowMs = 1000;
  spyOn(performance, "now").mockImplementation(() => nowMs);
  const cpg = new FakeCpg(CsError.OK);
  const { service, callbacks } = serviceOver(cpg, nothing);
  const connected = async (): Promise<CpgCallbacks> => {
    expect(await service.start()).toBeUndefined();
    const connection = callbacks.at(-1);
    if (connection === undefined) throw new Error("not connected");
    await synchronise(cpg, connection, nothing);
    return connection;
  };
  /** Leaves because of a bad message; whether the service may be started again then. */
  const mayJoinAfterLeave = async (connection: CpgCallbacks): Promise<boolean> => {
    await connection.deliver(OTHER, Buffer.alloc(3));
    await eventually("it has left", () => !service.connected);
    return !service.isUp;
  };
  expect(await mayJoinAfterLeave(await connected())).toBe(true);
  expect(await mayJoinAfterLeave(await connected())).toBe(false);
  nowMs += 1000;
  // A synchronisation, as by the start of another node, in which this one leaves.
  const connection = await connected();
  nowMs += 60_000;
  await synchronise(cpg, connection, nothing);
  expect(await mayJoinAfterLeave(connection)).toBe(true);
  expect(await mayJoinAfterLeave(await connected())).toBe(false);
  nowMs += 1000;
  const other = await connected();
  nowMs += 60_000;
  other.ended(new CsFailure(CsError.LIBRARY, "corosync stopped"));
  expect(await mayJoinAfterLeave(await connected())).toBe(true);
  expect(await mayJoinAfterLeave(await connected())).toBe(false);
});

test("queued changes of others count as theirs when an own message ends the wait", async () => {
  const cpg = new FakeCpg(CsError.OK);
  const applied: boolean[] = [];
  const { service, callbacks } = serviceOver(cpg, nothing, silentLog, {
    ...IDLE,
    apply() {
      applied.push(service.appliesForOthers);
      return { result: 0 };
    },
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
