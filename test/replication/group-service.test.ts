/** A group's service over a corosync that refuses the join: what its callers are answered. */
import { afterEach, expect, mock, spyOn, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { silentLog } from "../../src/base/log.ts";
import type { Steps } from "../../src/base/steps.ts";
import { CpgGroup } from "../../src/corosync/cpg.ts";
import { CsError, CsFailure } from "../../src/corosync/cs-error.ts";
import type { Application, Comparison } from "../../src/pmxcfs/replication/application.ts";
import { Dfsm } from "../../src/pmxcfs/replication/machine.ts";
import { GroupService } from "../../src/pmxcfs/replication/services/group-service.ts";
import { eventually } from "../support/eventually.ts";

/** A connection to corosync that answers each join with `joined`. */
class FakeCpg {
  readonly nodeid = 1;
  readonly pid = 100;
  closed = false;
  readonly #joined: CsError;

  constructor(joined: CsError) {
    this.#joined = joined;
  }

  async join(): Promise<CsError> {
    return await Promise.resolve(this.#joined);
  }

  mcast(): CsError {
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
  *commit(): Steps<number> {
    return 0;
  },
  dropSync() {},
  synced: () => [],
};

afterEach(() => {
  mock.restore();
});

test("a change that waits for a join that is refused is answered EBUSY at once", async () => {
  const cpg = new FakeCpg(CsError.EXIST);
  spyOn(CpgGroup, "connect").mockImplementation(async () => {
    return await Promise.resolve(cpg as unknown as CpgGroup);
  });
  let answer: number | undefined;
  const service: GroupService = new GroupService({
    name: "notes",
    group: "notes\0",
    log: silentLog,
    machineOf: (self) => new Dfsm({ self, application, startedAt: { seconds: 0, ms: 0 } }),
    beforeEvent: () => {},
    beforeConfchg: async () => {
      await Promise.resolve();
    },
    beforeJoin: async () => {
      await Promise.resolve();
      const result = Promise.resolve(service.propose({ subtype: 1, body: Buffer.from("x") }));
      void result.then((errno) => (answer = errno));
    },
    lost: () => {},
  });
  expect(await service.start()).toBeInstanceOf(CsFailure);
  expect([service.connected, cpg.closed]).toEqual([false, true]);
  await eventually("the answer", () => answer, 2000);
  expect(answer).toBe(Errno.EBUSY);
});

test("a change that waits to be sent is answered at once when quorum is lost", async () => {
  const cpg = new FakeCpg(CsError.OK);
  spyOn(CpgGroup, "connect").mockImplementation(async () => {
    return await Promise.resolve(cpg as unknown as CpgGroup);
  });
  const service = new GroupService({
    name: "notes",
    group: "notes\0",
    log: silentLog,
    machineOf: (self) => new Dfsm({ self, application, startedAt: { seconds: 0, ms: 0 } }),
    beforeEvent: () => {},
    beforeConfchg: async () => {
      await Promise.resolve();
    },
    lost: () => {},
  });
  expect(await service.start()).toBeUndefined();
  const change = { subtype: 1, body: Buffer.from("x") };
  const answers = [1, 2].map(async () => await service.propose(change));
  service.quorumView([1, 2]);
  service.quorumView([1], Errno.EACCES);
  expect(await Promise.all(answers)).toEqual([Errno.EACCES, Errno.EACCES]);
});
