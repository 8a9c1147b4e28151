// A member of the database group, without corosync, that keeps what it logs.
import { DatabaseGroup } from "../../src/pmxcfs/replication/dcdb.ts";
import type { Effect, Instant, Member } from "../../src/pmxcfs/replication/events.ts";
import { Dfsm } from "../../src/pmxcfs/replication/machine.ts";
import { encodeControl, encodeNormal } from "../../src/pmxcfs/replication/message.ts";
import { MemoryRows } from "../../src/pmxcfs/store/memory-rows.ts";
import { treeOf } from "./traces/database.ts";

export const A: Member = { nodeid: 1, pid: 100 };
export const B: Member = { nodeid: 2, pid: 200 };
export const at: Instant = { seconds: 1_700_000_000, ms: 0 };
export const stamp = { protocol: 1, time: at.seconds };
export const NOTHING = new Uint8Array(0);

/** A member with the files `names`, and what it has logged, as `level text`. */
export class LoggingMember {
  readonly self: Member;
  readonly tree = treeOf(new MemoryRows(), () => at.seconds);
  readonly machine: Dfsm;
  lines: string[] = [];

  constructor(self: Member, names: readonly string[] = []) {
    this.self = self;
    const origin = { writer: 1, time: 5 };
    for (const path of names) this.tree.apply({ kind: "create", path }, origin);
    const application = new DatabaseGroup({ tree: this.tree, nodeid: self.nodeid });
    application.quorate = true;
    this.machine = new Dfsm({ self, application, startedAt: at });
  }

  take(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === "log") this.lines.push(`${effect.level} ${effect.text}`);
    }
  }

  /** Does all pending work, and sends everything that is offered. */
  sent(): Buffer[] {
    const all: Buffer[] = [];
    while (this.machine.busy) this.take(this.machine.work());
    for (let out = this.machine.next(at); out !== undefined; out = this.machine.next(at)) {
      all.push(Buffer.from(out.bytes));
      this.take(this.machine.sent("sent"));
    }
    return all;
  }

  deliver(from: Member, bytes: Buffer): void {
    this.take(this.machine.deliver(from, bytes, at));
    while (this.machine.busy) this.take(this.machine.work());
  }

  confchg(members: readonly Member[], joined: readonly Member[] = []): void {
    this.take(this.machine.confchg({ members, joined, left: [] }, at));
  }

  /** The lines since the last call. */
  news(): string[] {
    const { lines } = this;
    this.lines = [];
    return lines;
  }

  control(type: number, body: Uint8Array = NOTHING): Buffer {
    return encodeControl(stamp, { type, epoch: this.machine.status(at).epoch, body });
  }
}

/** A NORMAL message. */
export const normal = (count: number, body: Uint8Array = NOTHING, subtype = 1) =>
  encodeNormal(stamp, { subtype, count: BigInt(count), body });

/** A member alone, which has logged that. */
export function alone(): LoggingMember {
  const member = new LoggingMember(A);
  member.confchg([A], [A]);
  member.news();
  return member;
}

/** The lowest of two members, which waits for the states. */
export function syncing(): LoggingMember {
  const member = new LoggingMember(A);
  member.confchg([A, B], [B]);
  for (const message of member.sent()) member.deliver(A, message);
  member.sent();
  member.news();
  return member;
}
