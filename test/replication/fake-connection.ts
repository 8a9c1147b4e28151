/** A group's service over a connection to corosync that is played by the test. */
import { spyOn } from "bun:test";
import { type Log, silentLog } from "../../src/base/log.ts";
import { type CpgCallbacks, CpgGroup } from "../../src/corosync/cpg.ts";
import { CsError } from "../../src/corosync/cs-error.ts";
import type { Application } from "../../src/pmxcfs/replication/application.ts";
import type { Member } from "../../src/pmxcfs/replication/events.ts";
import { Dfsm } from "../../src/pmxcfs/replication/machine.ts";
import {
  decodeControl,
  encodeControl,
  NO_EPOCH,
  Type,
} from "../../src/pmxcfs/replication/message.ts";
import { GroupService } from "../../src/pmxcfs/replication/services/group-service.ts";
import { IDLE } from "./idle-application.ts";

/** A connection to corosync that answers each join with `joined`. */
export class FakeCpg {
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

export async function nothing(): Promise<void> {
  await Promise.resolve();
}

/** A service over `cpg`; `callbacks` has those of its connection. */
export function serviceOver(
  cpg: FakeCpg,
  beforeJoin: () => Promise<void>,
  log: Log = silentLog,
  application: Application = IDLE,
  works: () => boolean = () => true,
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
      return new Dfsm({ self, application, startedAt });
    },
    beforeEvent: () => {},
    beforeConfchg: async () => {
      await Promise.resolve();
    },
    beforeJoin,
    syncing: () => {},
    lost: () => {},
    works,
  });
  return { service, callbacks };
}

export const OTHER: Member = { nodeid: 2, pid: 200 };
/** Of messages of the group. */
export const stamp = { protocol: 1, time: 1 };

/** Begins a synchronisation with OTHER, whose STATE arrives before `meanwhile`, ours after it. */
export async function synchronise(
  cpg: FakeCpg,
  callbacks: CpgCallbacks,
  meanwhile: () => Promise<void>,
) {
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
