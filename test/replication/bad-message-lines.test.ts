// Log lines about messages that no member in step sends, as C writes them, with their senders.
import { describe, expect, test } from "bun:test";
import type { Member } from "../../src/pmxcfs/replication/events.ts";
import { Type } from "../../src/pmxcfs/replication/message.ts";
import { StatusGroup } from "../../src/pmxcfs/replication/status-group.ts";
import { ClusterLog } from "../../src/pmxcfs/state/cluster-log.ts";
import { A, alone, B, type LoggingMember, normal, NOTHING, syncing } from "./logging-member.ts";

/** The first line of a member that waits for states, after `deliver`. */
function firstLine(deliver: (member: LoggingMember) => void): string | undefined {
  const member = syncing();
  deliver(member);
  return member.news()[0];
}

const stateFor = (member: LoggingMember) => member.control(Type.state, new Uint8Array(1));

describe("a bad message is logged as by C, with its sender", () => {
  const short = "received short";
  const cases: [string, (member: LoggingMember) => Buffer][] = [
    [`${short} message (15 bytes)`, () => Buffer.alloc(15)],
    [`${short} message (type = 0, subtype = 1, 23 bytes)`, () => normal(1).subarray(0, 23)],
    [
      `${short} state message (type = 2, subtype = 0, 31 bytes)`,
      (member) => member.control(Type.state).subarray(0, 31),
    ],
    ["received unknown message type (msg_type == 9)", () => normal(1, NOTHING, 9)],
    [`${short} fuse message (19 < 20)`, () => normal(1, new Uint8Array(19))],
    ["received mailformed fuse message", () => normal(1, new Uint8Array(21))],
    [`${short} unlock message (32 < 33)`, () => normal(1, new Uint8Array(32), 7)],
    [
      "received mailformed unlock message - 'path' not terminated",
      () => normal(1, new Uint8Array(33).fill(1), 8),
    ],
  ];
  for (const [line, messageFor] of cases) {
    test(line, () => {
      const member = alone();
      member.deliver(B, messageFor(member));
      expect(member.news()).toEqual([
        `error ${line}, sent by 2/200`,
        "error leaving CPG group (protocol)",
      ]);
    });
  }

  test("while states are exchanged", () => {
    const index = "memdb index (len";
    for (const [line, body] of [
      [`${short} ${index} < sizeof(memdb_index_t))`, new Uint8Array(31).fill(1)],
      [`received mailformed ${index} != idx->bytes)`, new Uint8Array(40).fill(1)],
    ] as const) {
      const member = syncing();
      member.deliver(A, member.control(Type.state, member.tree.index.encode()));
      member.deliver(B, member.control(Type.state, body));
      expect(member.news()).toContain(`error ${line}, sent by 2/200`);
    }
    const member = syncing();
    member.deliver(B, member.control(Type.update, NOTHING));
    const line = "received unknown state message type (type = 3, 0 bytes)";
    expect(member.news()).toEqual([
      `error ${line} in mode start-sync, sent by 2/200`,
      "error leaving CPG group (protocol)",
    ]);
  });

  test("from a process that is no member, or that sends its state twice", () => {
    const stranger: Member = { nodeid: 3, pid: 300 };
    expect([
      firstLine((member) => member.deliver(stranger, normal(1))),
      firstLine((member) => member.deliver(stranger, stateFor(member))),
      firstLine((member) => {
        for (let times = 0; times < 2; times++) member.deliver(B, stateFor(member));
      }),
    ]).toEqual([
      "error dfsm_node_info_lookup failed: message from non-member 3/300",
      "error received state for non-member 3/300",
      "error received duplicate state for member 2/200",
    ]);
  });
});

const normalMessage = (subtype: number, body: Buffer) => ({ subtype, time: 0, count: 1n, body });

test("log entries and bad messages of other members are reported as by C", () => {
  const [log, other] = ["n1", "n2"].map((nodeName) => new ClusterLog({ nodeName, pid: 1 }));
  if (log === undefined || other === undefined) throw new Error("no log");
  const reported: string[] = [];
  const group = new StatusGroup({
    self: A,
    status: { setOf: () => 0, ownKeys: () => [], set: () => 0 },
    log,
    onMembers() {},
    address: () => undefined,
    onLog: (outcome) => reported.push(outcome),
    onDropped: (text) => reported.push(text),
  });
  other.add({ priority: 6, user: "u", tag: "t", message: "m", pid: 1 });
  const entry = normalMessage(3, other.newestEntry());
  for (const from of [A, B, B]) group.apply(entry, from);
  group.apply(normalMessage(3, Buffer.alloc(9)), B);
  group.apply(normalMessage(1, Buffer.alloc(9)), B);
  group.apply(normalMessage(2, Buffer.alloc(9)), B);
  expect(reported).toEqual([
    "inserted",
    "duplicate",
    "malformed",
    "cant parse log message (9 bytes), sent by 2/200",
    "cant parse update message (9 bytes), sent by 2/200",
    "received unknown message type 2, sent by 2/200",
  ]);
});
