/** Bytes that corosync never sends: decoders refuse them, connections end, nothing throws. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Errno } from "../../src/base/errno.ts";
import { decodeChange } from "../../src/corosync/cmap.ts";
import { decodeValue } from "../../src/corosync/cmap-value.ts";
import { decodeConfchg, decodeDeliver, decodeFragment } from "../../src/corosync/cpg-events.ts";
import { CsError, csErrorOf, csErrorOfErrno, CsFailure } from "../../src/corosync/cs-error.ts";
import { FragmentAssembler } from "../../src/corosync/fragments.ts";
import * as layouts from "../../src/corosync/layouts.ts";
import { decodeNotification } from "../../src/corosync/quorum.ts";
import { ServiceConnection } from "../../src/corosync/service.ts";
import { encode, spanOf } from "../../src/wire/struct.ts";
import { ResponseHeader } from "../../src/wire/qb.ts";
import { FakeServer, type FakeConnection } from "../client/fake-server.ts";
import { eventually } from "../support/eventually.ts";
import { native } from "../support/native.ts";
import { startService, uniqueName } from "../support/service.ts";
import { testUnless } from "../support/unless.ts";

const GROUP = "group\0";
const name = { groupLength: 6, groupName: Buffer.from(GROUP) };

function address(nodeid: number, pid: number, reason: number): Buffer {
  return encode(layouts.CpgAddress, { nodeid, pid, reason });
}

const CONFCHG = encode(
  layouts.CpgConfchgEvent,
  { ...name, memberCount: 2, joinedCount: 1, leftCount: 1 },
  Buffer.concat([address(1, 10, 0), address(2, 20, 0), address(3, 30, 2), address(2, 20, 1)]),
);
const DELIVER = encode(
  layouts.CpgDeliverEvent,
  { ...name, messageBytes: 5, nodeid: 0xffff_ffff, pid: 7 },
  Buffer.from("hello+padding"),
);
const FRAGMENT = encode(
  layouts.CpgPartialDeliverEvent,
  { ...name, messageBytes: 100, fragmentBytes: 3, nodeid: 1, pid: 2, type: 1 },
  Buffer.from("abc"),
);
const QUORUM = encode(
  layouts.QuorumNotification,
  { quorate: 1, ringSeq: 12n, count: 2 },
  Buffer.from(new Uint32Array([1, 0xffff_ffff]).buffer),
);
const CHANGE = encode(
  layouts.CmapChangeEvent,
  {
    number: 1n,
    keyLength: 6,
    keyName: "test.a",
    what: 2,
    newType: 6,
    oldType: 6,
    newBytes: 4n,
    oldBytes: 4n,
  },
  Buffer.from([5, 0, 0, 0, 4, 0, 0, 0]),
);

describe("valid events", () => {
  test("a confchg has its lists in another order than their counts", () => {
    expect(decodeConfchg(CONFCHG, GROUP)).toEqual({
      members: [
        { nodeid: 1, pid: 10 },
        { nodeid: 2, pid: 20 },
      ],
      left: [{ nodeid: 3, pid: 30, reason: 2 }],
      joined: [{ nodeid: 2, pid: 20, reason: 1 }],
    });
    expect(decodeConfchg(CONFCHG, "group")).toBeUndefined();
  });

  test("a message ends at its length, and node ids are unsigned", () => {
    expect(decodeDeliver(DELIVER, GROUP)).toEqual({
      from: { nodeid: 0xffff_ffff, pid: 7 },
      message: Buffer.from("hello"),
    });
    expect(decodeDeliver(DELIVER, "other\0")).toBeUndefined();
  });

  test("the node ids of a quorum notification start directly after their count", () => {
    const nodes = [1, 0xffff_ffff];
    expect(decodeNotification(QUORUM)).toEqual({ quorate: true, ringSeq: 12n, nodes });
  });

  test("a change of a key has its new value", () => {
    const value = { kind: "integer", value: 5n } as const;
    expect(decodeChange(CHANGE)).toEqual({ key: "test.a", what: 2, value });
  });
});

const DECODERS: readonly (readonly [string, Buffer, (body: Buffer) => unknown])[] = [
  ["confchg", CONFCHG, (body) => decodeConfchg(body, GROUP)],
  ["deliver", DELIVER, (body) => decodeDeliver(body, GROUP)],
  ["fragment", FRAGMENT, (body) => decodeFragment(body, GROUP)],
  ["quorum notification", QUORUM, decodeNotification],
  ["cmap change", CHANGE, decodeChange],
];

describe("malformed events", () => {
  for (const [kind, good, decode] of DECODERS) {
    test(`a ${kind} with changed words or truncated at any point is refused or decoded`, () => {
      const word = fc.tuple(
        fc.nat(Math.floor(good.byteLength / 4) - 1),
        fc.oneof(fc.constantFrom(0, 1, 384, 0x7fff_ffff, 0xffff_ffff), fc.nat()),
      );
      fc.assert(
        fc.property(fc.array(word, { maxLength: 4 }), fc.nat(good.byteLength), (words, cut) => {
          const bytes = Buffer.from(good);
          for (const [at, value] of words) bytes.writeUInt32LE(value, at * 4);
          expect(() => decode(bytes)).not.toThrow();
          expect(() => decode(bytes.subarray(0, cut))).not.toThrow();
        }),
        { numRuns: 2000 },
      );
    });
  }

  test("counts above the number of elements are refused", () => {
    const many = Buffer.from(CONFCHG);
    layouts.CpgConfchgEvent.write.memberCount(spanOf(many), 300);
    expect(decodeConfchg(many, GROUP)).toContain("302 addresses");
    layouts.CpgConfchgEvent.write.memberCount(spanOf(many), 0xffff_ffff);
    expect(decodeConfchg(many, GROUP)).toBeString();
    const long = Buffer.from(DELIVER);
    layouts.CpgDeliverEvent.write.messageBytes(spanOf(long), 0xffff_fff0);
    expect(decodeDeliver(long, GROUP)).toBeString();
  });

  test("any type and bytes of a cmap value are decoded or refused", () => {
    fc.assert(
      fc.property(fc.nat(20), fc.uint8Array({ maxLength: 40 }), (type, bytes) => {
        expect(() => decodeValue(type, Buffer.from(bytes))).not.toThrow();
      }),
    );
  });
});

describe("fragments", () => {
  const from = { nodeid: 1, pid: 2 };
  const { FIRST, CONTINUED, LAST } = layouts.FragmentType;

  test("a message is reassembled from any division into fragments", () => {
    const whole = Buffer.from("the quick brown fox jumps over the lazy dog");
    fc.assert(
      fc.property(fc.array(fc.nat(whole.byteLength), { maxLength: 6 }), (points) => {
        const cuts = [0, ...points.toSorted((a, b) => a - b), whole.byteLength];
        const assembler = new FragmentAssembler();
        let message: unknown;
        for (let at = 0; at + 1 < cuts.length; at++) {
          const isLast = at + 2 === cuts.length;
          const type = at === 0 ? FIRST : isLast ? LAST : CONTINUED;
          const bytes = whole.subarray(cuts[at], cuts[at + 1]);
          message = assembler.add(from, { messageBytes: whole.byteLength, type, bytes });
        }
        // A single fragment would be a FIRST without a LAST, which corosync never sends.
        if (cuts.length > 2) expect(message).toEqual(whole);
      }),
    );
  });

  test("when a sender starts another message or leaves, the unfinished one is dropped", () => {
    const assembler = new FragmentAssembler();
    const bytes = Buffer.alloc(10, 1);
    assembler.add(from, { messageBytes: 20, type: FIRST, bytes });
    assembler.add({ nodeid: 2, pid: 2 }, { messageBytes: 20, type: FIRST, bytes });
    assembler.add(from, { messageBytes: 4, type: FIRST, bytes: Buffer.from("ab") });
    expect(assembler.pendingBytes).toBe(12);
    const last = { messageBytes: 4, type: LAST, bytes: Buffer.from("cd") };
    expect(assembler.add(from, last)).toEqual(Buffer.from("abcd"));
    assembler.drop({ nodeid: 2, pid: 2 });
    expect(assembler.pendingBytes).toBe(0);
    expect(assembler.add({ nodeid: 2, pid: 2 }, last)).toBeUndefined();
  });

  test("an endless series of fragments without bytes ends with the message dropped", () => {
    const limits = { messageBytes: 100, totalBytes: 150, totalFragments: 1_000 };
    const assembler = new FragmentAssembler(limits);
    const empty = { messageBytes: 100, bytes: Buffer.alloc(0) };
    expect(assembler.add(from, { ...empty, type: FIRST })).toBeUndefined();
    for (let sent = 1; sent < limits.totalFragments; sent++) {
      expect(assembler.add(from, { ...empty, type: CONTINUED })).toBeUndefined();
    }
    expect(assembler.add(from, { ...empty, type: CONTINUED })).toContain("too many fragments");
    expect(assembler.add(from, { ...empty, type: CONTINUED })).toBeUndefined();
    expect(assembler.add(from, { messageBytes: 1, type: FIRST, bytes: Buffer.alloc(1) })).toBe(
      undefined,
    );
  });

  test("wrong lengths, and sizes above the limits, are dropped with a reason", () => {
    const assembler = new FragmentAssembler({ messageBytes: 100, totalBytes: 150 });
    const bytes = Buffer.alloc(80);
    expect(assembler.add(from, { messageBytes: 101, type: FIRST, bytes })).toContain("101");
    expect(assembler.add(from, { messageBytes: 50, type: FIRST, bytes })).toContain("80 bytes");
    expect(assembler.add(from, { messageBytes: 100, type: FIRST, bytes })).toBeUndefined();
    expect(assembler.add(from, { messageBytes: 99, type: LAST, bytes })).toContain("99");
    assembler.add(from, { messageBytes: 100, type: FIRST, bytes });
    const other = { nodeid: 3, pid: 3 };
    expect(assembler.add(other, { messageBytes: 100, type: FIRST, bytes })).toContain("too many");
    expect(assembler.pendingBytes).toBe(80);
  });

  test("arbitrary fragments from any senders stay within the limits", () => {
    const fragment = fc.record({
      messageBytes: fc.nat(300),
      type: fc.nat(4),
      bytes: fc.uint8Array({ maxLength: 100 }),
    });
    const sender = fc.record({ nodeid: fc.nat(3), pid: fc.nat(1) });
    fc.assert(
      fc.property(fc.array(fc.tuple(sender, fragment)), (sent) => {
        const assembler = new FragmentAssembler({ messageBytes: 200, totalBytes: 400 });
        for (const [one, part] of sent) {
          const found = assembler.add(one, part);
          if (found instanceof Buffer) expect(found.byteLength).toBe(part.messageBytes);
          expect(assembler.pendingBytes).toBeLessThanOrEqual(400);
        }
      }),
    );
  });
});

async function connected(server: FakeServer): Promise<[ServiceConnection, CsFailure[]]> {
  const service = await ServiceConnection.connect(server.name, { callMs: 200 });
  if (service instanceof CsFailure) throw new Error(service.toString());
  const ends: CsFailure[] = [];
  service.watch({ event: () => {}, ended: (failure) => ends.push(failure) });
  return [service, ends];
}

/** A listener that answers with this id, cs_error_t and body. */
function answering(id: number, error: number, body: Uint8Array) {
  return {
    instead: (connection: FakeConnection) => {
      const size = ResponseHeader.size + body.byteLength;
      connection.write(encode(ResponseHeader, { id, size, error }, body));
    },
  };
}

describe("a listener that is not corosync", () => {
  const call = { id: 4, responseId: 7, leastBytes: 8 };

  test("a refusal with id 0 is returned as its error, and the connection stays open", async () => {
    using server = new FakeServer(uniqueName(), answering(0, CsError.TRY_AGAIN, new Uint8Array()));
    const [service, ends] = await connected(server);
    expect(await service.call(call)).toBe(CsError.TRY_AGAIN);
    expect(service.closed).toBe(false);
    expect(ends).toEqual([]);
    service.close();
  });

  for (const [what, id, body] of [
    ["another id", 9, new Uint8Array(8)],
    ["too few bytes", 7, new Uint8Array(4)],
  ] as const) {
    test(`a response with ${what} ends the connection, once`, async () => {
      using server = new FakeServer(uniqueName(), answering(id, CsError.OK, body));
      const [service, ends] = await connected(server);
      expect(await service.call(call)).toBe(CsError.LIBRARY);
      expect(ends.map(({ error }) => error)).toEqual([CsError.MESSAGE_ERROR]);
      expect(await service.call(call)).toBe(CsError.LIBRARY);
      expect(ends).toHaveLength(1);
    });
  }

  test("no answer is TIMEOUT, a hang-up is LIBRARY", async () => {
    using server = new FakeServer(uniqueName(), { instead: () => {} });
    const [service, ends] = await connected(server);
    expect(await service.call(call)).toBe(CsError.TIMEOUT);
    for (const connection of server.connections) connection.hangUp();
    await eventually("its end", () => ends[0]);
    expect(ends[0]?.error).toBe(CsError.LIBRARY);
    expect(service.sendMcast(2, new Uint8Array(24))).toBe(CsError.LIBRARY);
  });

  testUnless(process.getuid?.() === 0 ? undefined : "needs root")(
    "another user's listener is refused before a request is sent",
    async () => {
      await using service = await startService((socket) => [
        ..."setpriv --reuid 65534 --regid 65534 --clear-groups".split(" "),
        native("qb-echo-server"),
        socket,
        "--accept-any",
      ]);
      const failure = await ServiceConnection.connect(service.name);
      expect(failure).toMatchObject({
        error: CsError.ACCESS,
        message: expect.stringContaining("uid 65534, which is not corosync"),
      });
    },
  );
});

test("errnos and unknown codes map as in corosync's libraries", () => {
  expect(csErrorOfErrno(Errno.EAGAIN)).toBe(CsError.TRY_AGAIN);
  expect(csErrorOfErrno(Errno.ECONNREFUSED)).toBe(CsError.LIBRARY);
  expect(csErrorOfErrno(Errno.EMSGSIZE)).toBe(CsError.TOO_BIG);
  expect(csErrorOf(27)).toBe(CsError.NO_SECTIONS);
  expect(csErrorOf(-5)).toBe(CsError.MESSAGE_ERROR);
});
