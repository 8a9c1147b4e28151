/** Machines alone, with a minimal application, and two of their members. */
import type { Steps } from "../../src/base/steps.ts";
import type { Application, Comparison } from "../../src/pmxcfs/replication/application.ts";
import type { Instant, Member } from "../../src/pmxcfs/replication/events.ts";
import { Dfsm } from "../../src/pmxcfs/replication/machine.ts";

export const A: Member = { nodeid: 1, pid: 100 };
export const B: Member = { nodeid: 2, pid: 200 };
export const at = (ms: number): Instant => ({ seconds: 1_700_000_000 + Math.floor(ms / 1000), ms });
export const change = (members: Member[], joined: Member[] = []) => ({ members, joined, left: [] });

/** Applies a message by recording it; every member is always synced. */
class Notes implements Application {
  readonly tag = "notes";
  readonly protocol = 1;
  readonly whileSyncing = "notes wait";
  readonly applied: string[] = [];
  apply({ body }: { body: Buffer }) {
    this.applied.push(body.toString());
    return { result: body.length };
  }
  membersChanged() {}
  state = () => new Uint8Array([1]);
  /** The result of each comparison; every member is synced unless given. */
  comparison: Comparison | undefined;
  /** False: the commit does not end. */
  mayCommit = true;
  commits = { begun: 0, ended: 0, done: 0 };
  *compare(states: readonly unknown[]): Steps<Comparison> {
    yield undefined;
    return this.comparison ?? { synced: states.map(() => true) };
  }
  keepUpdate = () => undefined;
  *commit(): Steps<undefined> {
    this.commits.begun++;
    try {
      while (!this.mayCommit) yield undefined;
      this.commits.done++;
      return undefined;
    } finally {
      this.commits.ended++;
    }
  }
  dropSync() {}
  synced = () => [];
}

/** A machine of `self` that has not joined. */
export function machineOf(self: Member) {
  const notes = new Notes();
  return { notes, machine: new Dfsm({ self, application: notes, startedAt: at(0) }) };
}

/** Sends everything that the machine offers now, all of which corosync accepts. */
export function drain(machine: Dfsm, now: Instant): Buffer[] {
  const sent = [];
  for (let out = machine.next(now); out !== undefined; out = machine.next(now)) {
    sent.push(Buffer.from(out.bytes));
    machine.sent("sent");
  }
  return sent;
}
