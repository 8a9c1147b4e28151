// Log lines of a group: those of the C server (dfsm.c, dcdb.c) in its order, with its levels, words
// and spelling. What ours says beyond that follows C's words.
import { describe, expect, test } from "bun:test";
import { encodeCommand } from "../../src/pmxcfs/replication/dcdb-message.ts";
import type { Member } from "../../src/pmxcfs/replication/events.ts";
import {
  decodeControl,
  encodeControl,
  encodeNormal,
  encodeVerifyBody,
  Type,
} from "../../src/pmxcfs/replication/message.ts";
import {
  A,
  alone,
  at,
  B,
  LoggingMember,
  normal,
  NOTHING,
  stamp,
  syncing,
} from "./logging-member.ts";

/** Delivers all messages of both to both; `after` is called with each, once it was delivered. */
function synchronise(members: readonly LoggingMember[], after: (message: Buffer) => void): void {
  const all = members.map(({ self }) => self);
  for (const member of members) member.confchg(all, all);
  const waiting: [Member, Buffer][] = [];
  const collect = (): void => {
    for (const member of members) {
      for (const bytes of member.sent()) waiting.push([member.self, bytes]);
    }
  };
  collect();
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    for (const member of members) member.deliver(...next);
    after(next[1]);
    collect();
  }
}

describe("a synchronisation", () => {
  test("is logged as by C, by the leader and by a member that lags", () => {
    const [leader, lagging] = [new LoggingMember(A, ["f", "g"]), new LoggingMember(B)];
    const { subtype, body } = encodeCommand({ kind: "mkdir", path: "d" });
    synchronise([leader, lagging], (message) => {
      // A change of the leader, before it has sent the updates to the other.
      const { type } = decodeControl(message) ?? { type: Type.normal };
      if (type === Type.update && lagging.machine.status(at).queued === 0) {
        lagging.deliver(A, normal(1, body, subtype));
      }
    });
    const begin = [
      "info members: 1/100, 2/200",
      "info starting data syncronisation",
      "info received sync request (epoch 1/100/00000001)",
      "info received all states",
      "info leader is 1/100",
      "info synced members: 1/100",
    ];
    expect(leader.news()).toEqual([
      ...begin,
      "info start sending inode updates",
      "info all data is up to date",
      "info sent all (3) updates",
    ]);
    expect(lagging.news()).toEqual([
      ...begin,
      "info waiting for updates from leader",
      "info update complete - trying to commit (got 3 inode updates)",
      "info all data is up to date",
      "info dfsm_deliver_sync_queue: queue length 1",
    ]);
  });

  test("without differences has a leader, which has sent nothing", () => {
    const [first, second] = [new LoggingMember(A), new LoggingMember(B)];
    synchronise([first, second], () => {});
    for (const { lines } of [first, second]) {
      expect(lines).toContain("info synced members: 1/100, 2/200");
    }
    expect(first.lines.at(-1)).toBe("info sent all (0) updates");
    expect(second.lines.at(-1)).toBe("info all data is up to date");
  });

  test("is not logged to have sent its updates when the members change before", () => {
    const leader = new LoggingMember(A, ["f"]);
    leader.confchg([A, B], [B]);
    for (const message of leader.sent()) leader.deliver(A, message);
    for (const message of leader.sent()) leader.deliver(A, message);
    leader.deliver(B, leader.control(Type.state, new LoggingMember(B).tree.index.encode()));
    expect(leader.news()).toContain("info start sending inode updates");
    leader.confchg([A]);
    expect(leader.sent()).toEqual([]);
    expect(leader.news()).toEqual(["info members: 1/100"]);
  });

  test("that a joining member interrupts sends the queue again, with C's spelling", () => {
    const member = syncing();
    for (const from of [A, B]) member.deliver(from, normal(7));
    member.confchg([B, A], [B]);
    expect(member.news()).toEqual([
      "info members: 2/200, 1/100",
      "info queue not emtpy - resening 2 messages",
    ]);
  });

  test("of members that are gone drops their messages", () => {
    const member = syncing();
    member.deliver(B, normal(7));
    member.confchg([A]);
    expect(member.news()).toEqual([
      "info members: 1/100",
      "info all data is up to date",
      "info dfsm_deliver_queue: queue length 1",
      "info remove message from non-member 2/200",
    ]);
  });

  test("of the 26th epoch has it in upper case; a wrong requester is followed, as in C", () => {
    const member = syncing();
    const epoch = { counter: 26, time: 1, ...B };
    member.deliver(B, encodeControl(stamp, { type: Type.syncStart, epoch, body: NOTHING }));
    expect(member.news()).toEqual([
      "error ignore sync request from wrong member 2/200",
      "info received sync request (epoch 2/200/0000001A)",
    ]);
  });
});

describe("a member's life", () => {
  test("alone, left out by corosync, and on a new connection", () => {
    const member = new LoggingMember(A);
    member.confchg([B]);
    expect(member.news()).toEqual([]);
    member.confchg([A], [A]);
    member.confchg([A]);
    expect(member.news()).toEqual([
      "info members: 1/100",
      "info all data is up to date",
      "info members: 1/100",
    ]);
    member.confchg([B]);
    expect(member.news()).toEqual([
      "info members: 2/200",
      "error we (1/100) left the process group",
      "error leaving CPG group (protocol)",
    ]);
    for (let times = 0; times < 2; times++) member.take(member.machine.restart(at));
    expect(member.news()).toEqual(["info start cluster connection"]);
  });

  test("ends at a newer protocol, and is not disturbed by an older one", () => {
    const member = alone();
    const empty = { subtype: 1, count: 1n, body: NOTHING };
    for (const protocol of [0, 2]) {
      member.deliver(B, encodeNormal({ protocol, time: 5 }, empty));
    }
    expect(member.news()).toEqual([
      "info ignore message with wrong protocol version 0, sent by 2/200",
      "error received message with protocol version 2, sent by 2/200",
      "error detected newer protocol - please update this node",
    ]);
  });

  test("has lines about messages that corosync does not take", () => {
    const member = new LoggingMember(A);
    member.confchg([A, B], [B]);
    member.news();
    const offer = (): void => void member.machine.next(at);
    for (let tries = 0; tries < 11; tries++) {
      offer();
      member.take(member.machine.sent("again"));
    }
    offer();
    member.take(member.machine.sent("sent"));
    member.deliver(A, member.control(Type.syncStart));
    offer();
    member.take(member.machine.sent("failed", "CS_ERR_LIBRARY"));
    expect(member.news()).toEqual([
      "info cpg_send_message retry 10 (SYNC_START)",
      "info cpg_send_message retried 11 times (SYNC_START)",
      "info received sync request (epoch 1/100/00000001)",
      "error cpg_send_message failed: CS_ERR_LIBRARY (STATE)",
      "error failed to send STATE message",
      "error leaving CPG group (protocol)",
    ]);
  });

  test("has a line about a change that was given up after 100 tries", () => {
    const member = alone();
    member.machine.propose({ subtype: 1, body: NOTHING }, at);
    for (let tries = 0; tries < 100; tries++) {
      member.machine.next(at);
      member.take(member.machine.sent("again"));
    }
    const lines = member.news();
    expect([lines.at(-2), lines.at(-1)]).toEqual([
      "info cpg_send_message retried 100 times (NORMAL 1)",
      "error cpg_send_message failed: CS_ERR_TRY_AGAIN (NORMAL 1)",
    ]);
  });
});

describe("a verification", () => {
  test("that differs has both checksums as numbers, that of the other member first", () => {
    const member = alone();
    const own = member.tree.index.checksum();
    const other = Uint8Array.from({ length: 32 }, (_, index) => index + 1);
    const verify = (checksum: Uint8Array) =>
      member.deliver(B, member.control(Type.verify, encodeVerifyBody(9n, checksum)));
    verify(other);
    member.deliver(B, member.control(Type.verifyRequest, encodeVerifyBody(9n)));
    verify(own);
    verify(other);
    const number = own.readBigUInt64LE(0).toString(16).toUpperCase().padStart(16, "0");
    expect(member.news()).toEqual([
      "info skip verification - no checksum saved",
      "info data verification successful",
      `error wrong checksum 0807060504030201 != ${number} - restarting`,
      "error leaving CPG group (mismatch)",
    ]);
  });
});
