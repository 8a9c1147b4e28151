/**
 * The cluster log: the C layout of its ring, which entries are shown, truncation and escapes of its
 * texts, and that its dump is valid JSON for any entries.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ClusterLog } from "../../src/pmxcfs/state/cluster-log.ts";
import { fnv1a64 } from "../../src/pmxcfs/state/fnv.ts";
import { escapeLogText } from "../../src/pmxcfs/state/log-text.ts";

interface Shown {
  uid: number;
  time: number;
  pri: number;
  tag: string;
  pid: number;
  node: string;
  user: string;
  msg: string;
}

const ALL = 0xffff_ffff;

function setUp(options: { nodeName?: string; sizeBytes?: number } = {}) {
  const clock = { ms: 1_700_000_000_999 };
  const log = new ClusterLog({ nodeName: "pve1", pid: 77, now: () => clock.ms, ...options });
  const add = (message: string, from: Partial<Parameters<ClusterLog["add"]>[0]> = {}) =>
    log.add({ priority: 6, user: "root@pam", tag: "t", message, pid: 5, ...from })
      ? log.newestEntry()
      : undefined;
  const text = (user = "", most = ALL) => log.dump(user, most).toString("utf8");
  const shown = (user = "", most = ALL) => (JSON.parse(text(user, most)) as { data: Shown[] }).data;
  return { log, clock, add, text, shown };
}

describe("dump", () => {
  test("starts with the same entry as the C server's", () => {
    expect(setUp().text()).toBe(
      '{\n"data": [\n{"uid": 1, "time": 1700000000, "pri": 6, "tag": "cluster", "pid": 77, ' +
        '"node": "pve1", "user": "root", "msg": "starting cluster log"}\n]\n}\n',
    );
  });

  test("is newest first, of one user or all, with 50 entries by default", () => {
    const { add, shown, text } = setUp();
    for (let index = 0; index < 60; index++) {
      add(`m${index}`, { user: index % 2 === 0 ? "even" : "odd" });
    }
    expect(shown("", 0)).toHaveLength(50);
    expect(shown("", 2).map((entry) => entry.msg)).toEqual(["m59", "m58"]);
    expect(shown("even", 2).map((entry) => entry.msg)).toEqual(["m58", "m56"]);
    expect(shown("odd")).toHaveLength(30);
    expect(shown("root")).toHaveLength(1);
    expect(shown()).toHaveLength(61);
    for (const user of ["Odd", "od", "odd ", "nobody"]) {
      expect(text(user)).toBe('{\n"data": [\n]\n}\n');
    }
  });

  test("is cached until an entry is added in any way", () => {
    const { log, add, text } = setUp();
    const other = setUp({ nodeName: "pve2" });
    expect(log.dump("", 0)).toBe(log.dump("", 0));
    add("own");
    expect(text("", 1)).toContain('"msg": "own"');
    const wire = other.add("foreign");
    if (wire === undefined) throw new Error("not logged");
    log.insert(wire);
    expect(text("", 1)).toContain('"msg": "foreign"');
    const before = text();
    other.add("merged");
    log.merge([Buffer.from(log.block), Buffer.from(other.log.block)], 0);
    expect(before).not.toContain("merged");
    expect(text()).toContain('"msg": "merged"');
    log.sort();
    expect((JSON.parse(text()) as { data: unknown[] }).data).toHaveLength(5);
    // More users than the cache of names holds, and a name too long for an entry.
    for (let index = 0; index < 200; index++) add("m", { user: `user${index % 70}` });
    expect(text("user69", 1)).toContain('"user": "user69"');
    expect(text("u".repeat(300))).toBe('{\n"data": [\n]\n}\n');
  });

  test("entries with a priority above 7 are dropped and take no uid", () => {
    const { add, shown } = setUp();
    for (const priority of [0, 7, 8, 255]) add(`p${priority}`, { priority });
    expect(shown().map(({ uid, pri, msg }) => [uid, pri, msg])).toEqual([
      [3, 7, "p7"],
      [2, 0, "p0"],
      [1, 6, "starting cluster log"],
    ]);
  });

  test("has the clock's seconds and the caller's pid", () => {
    const { add, clock, shown } = setUp();
    clock.ms += 1001;
    add("x", { pid: 4_194_304 });
    expect(shown()[0]).toMatchObject({ time: 1_700_000_002, pid: 4_194_304 });
  });
});

describe("ring", () => {
  const at72 = "x".repeat(72 - 48 - "pve1\0root@pam\0t\0\0".length);

  test("3501 entries of 72 bytes show 1764, as in C", () => {
    const { add, shown } = setUp();
    for (let index = 0; index < 3500; index++) add(at72);
    const uids = shown().map((entry) => entry.uid);
    expect(uids).toHaveLength(1764);
    expect(uids).toEqual(Array.from({ length: 1764 }, (_, index) => 3501 - index));
  });

  test("100 entries of 3576 bytes show 35, as in C", () => {
    const { add, shown } = setUp();
    const message = "x".repeat(3576 - 48 - "pve1\0root@pam\0t\0\0".length);
    for (let index = 0; index < 100; index++) add(message);
    expect(shown().map((entry) => entry.uid)).toEqual(
      Array.from({ length: 35 }, (_, index) => 101 - index),
    );
  });

  test("an entry that would reach the end of the block goes to its start", () => {
    const { log, add } = setUp({ sizeBytes: 96 + 60 * 72 });
    const newest = () => Buffer.from(log.block).readUInt32LE(4);
    for (let index = 0; index < 59; index++) add(at72);
    expect(newest()).toBe(96 + 58 * 72);
    add(at72);
    expect(newest()).toBe(8);
  });

  test("an entry that begins 4096 bytes after the newest is the last one not shown", () => {
    // Every entry has 128 bytes, the first too, so that their positions meet after the wrap.
    const { add, shown } = setUp({ nodeName: "n".repeat(45) });
    for (let index = 0; index < 1023 - 1 + 10; index++) add("x".repeat(20));
    expect(shown()).toHaveLength(10 + 1023 - (10 + 32));
  });

  test("has the C layout", () => {
    const { log, add } = setUp();
    add("m", { user: "u", tag: "tag", priority: 3, pid: 9 });
    const block = Buffer.from(log.block);
    expect(block).toHaveLength(131_072);
    expect(block.readUInt32LE(0)).toBe(131_072);
    // 48 + "pve1\0root\0cluster\0starting cluster log\0" = 87, rounded up.
    const at = 8 + 88;
    expect(block.readUInt32LE(4)).toBe(at);
    const fields = [0, 4, 8, 12].map((offset) => block.readUInt32LE(at + offset));
    expect(fields).toEqual([8, at + 64, 2, 1_700_000_000]);
    expect(block.readUInt32LE(at + 32)).toBe(9);
    expect([...block.subarray(at + 36, at + 40)]).toEqual([3, 5, 2, 4]);
    expect(block.readUInt32LE(at + 40)).toBe(2);
    expect(block.toString("latin1", at + 44, at + 44 + 13)).toBe("pve1\0u\0tag\0m\0");
    // FNV-1a of "pve1\0" and "u\0".
    expect(block.readBigUInt64LE(at + 16)).toBe(fnvBig(Buffer.from("pve1\0")));
    expect(block.readBigUInt64LE(at + 24)).toBe(fnvBig(Buffer.from("u\0")));
    expect(block.readUInt32LE(8)).toBe(0);
  });

  test("for any entries, the newest ones are shown, without gaps and unchanged", () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 4500 }), { minLength: 1, maxLength: 150 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 4_200, max: 20_000 }), (lengths, sizeBytes) => {
        const { add, shown } = setUp({ sizeBytes });
        for (const [index, length] of lengths.entries()) add(`${index}:`.padEnd(length, "x"));
        const entries = shown();
        for (const [index, { uid, msg }] of entries.entries()) {
          expect(uid).toBe(lengths.length + 1 - index);
          if (uid > 1) expect(msg).toStartWith(`${uid - 2}:`);
        }
        expect(entries.length).toBeGreaterThan(0);
      }),
      { numRuns: 300 },
    );
  });
});

describe("texts", () => {
  test("user and tag are truncated to 254 bytes, the message to the room in the entry", () => {
    const { add, shown } = setUp();
    add("m", { user: "u".repeat(300), tag: "t".repeat(300) });
    expect(shown()[0]).toMatchObject({ user: "u".repeat(254), tag: "t".repeat(254), msg: "m" });
    expect(shown("u".repeat(254))).toEqual([]);
    add("b".repeat(5000));
    expect(shown()[0]?.msg).toBe("b".repeat(4029));
    add('"'.repeat(3000));
    expect(shown()[0]?.msg).toBe('"'.repeat(2015));
    add("\u00e4".repeat(5000));
    add("b".repeat(5000), { user: "u".repeat(254), tag: "t".repeat(254) });
    expect(shown("u".repeat(254))[0]?.msg).toHaveLength(4096 - 44 - 5 - 255 - 255 - 7);
  });

  test("every text ends at its first NUL", () => {
    const { add, shown } = setUp();
    add("m\0sg", { user: "ro\0ot", tag: "\0ag" });
    expect(shown()[0]).toMatchObject({ user: "ro", tag: "", msg: "m" });
  });

  test.each([
    ["plain text", "plain text"],
    ['say "hi"', 'say \\"hi\\"'],
    ["back\\slash", "back\\slash"],
    ["a\tb\nc\rd\x1be\x7ff\x01", "a#009b#010c#013d#027e#127f#001"],
    ["Grüße ☃ 😀 end", "Gr\\u00fc\\u00dfe \\u2603  end"],
    ["\u0080\u009f\u00a0\u07ff\u0800\uffff", "\\u0080\\u009f\\u00a0\\u07ff\\u0800\\uffff"],
    ["\ud7ff\ue000", "\\ud7ff\\ue000"],
  ])("UTF-8: %j is stored as %j", (message, stored) => {
    expect(escapeLogText(Buffer.from(message, "utf8").toString("latin1"), 4096)).toBe(stored);
  });

  test.each([
    ["a lone continuation byte", "a\x80b", "a?b"],
    ["latin1", 'caf\xe9 "q" \t\n\x7f\x1f end', 'caf? \\"q\\" #009#010?#031 end'],
    ["a character cut short", "\xe2\x98", "??"],
    ["an overlong slash", "\xc0\xaf", "??"],
    ["an overlong three-byte form", "\xe0\x80\xaf", "???"],
    ["a surrogate", "\xed\xa0\x80", "???"],
    ["above U+10FFFF", "\xf4\x90\x80\x80", "????"],
    ["0xff", "\xff\xfe", "??"],
    ["good characters beside a bad one", "\xc3\xbc \xff", "?? ?"],
  ])("not UTF-8: %s", (_, message, stored) => {
    expect(escapeLogText(message, 4096)).toBe(stored);
  });

  test("an escape is never split, and no more is truncated than needed", () => {
    const message = Buffer.from('\u00e4\u2603\t"a😀'.repeat(40), "utf8").toString("latin1");
    const whole = escapeLogText(message, 4096);
    for (let room = 8; room < 600; room++) {
      const cut = escapeLogText(message, room);
      expect(cut.length).toBeLessThan(room);
      expect(whole).toStartWith(cut);
      expect(cut).toMatch(/^(?:\\u00e4|\\u2603|#009|\\"|a)*$/);
    }
  });
});

describe("JSON", () => {
  test.each([
    ["quotes", 'ro"ot', 'ro"ot'],
    ["a backslash at the end", "a\\", "a\\"],
    ["a newline", "ta\ng", "ta\ng"],
    ["UTF-8", "j\xc3\xb6rg", "jörg"],
    ["not UTF-8", "j\xf6rg", "j\ufffdrg"],
    ["a control character", "a\x01b", "a\x01b"],
    // Already valid JSON: clients get what C prints.
    ["an escape", "a\\u0041", "aA"],
  ])("%s in user and tag", (_, bytes, text) => {
    const { add, shown } = setUp();
    add("m", { user: bytes, tag: bytes });
    expect(shown()[0]).toMatchObject({ user: text, tag: text });
  });

  test.each([
    ["back\\slash", "back\\slash"],
    ["ends in \\", "ends in \\"],
    ['a\\"b', 'a\\"b'],
    ['"\\', '"\\'],
    ["\\x \u00e9", "\\x é"],
  ])("the message %j is shown as it was", (message, text) => {
    const { add, shown } = setUp();
    add(Buffer.from(message, "utf8").toString("latin1"));
    expect(shown()[0]?.msg).toBe(text);
  });

  test("is valid for any bytes, also in the node's name", () => {
    const bytes = fc
      .string({ unit: "binary", maxLength: 40 })
      .map((text) =>
        Array.from(text, (character) => String.fromCharCode(character.charCodeAt(0) & 0xff)).join(
          "",
        ),
      );
    fc.assert(
      fc.property(bytes, bytes, bytes, bytes, (nodeName, user, tag, message) => {
        const { add, log } = setUp({ nodeName });
        add(message, { user, tag });
        const text = new TextDecoder("utf-8", { fatal: true }).decode(log.dump("", 0));
        expect((JSON.parse(text) as { data: Shown[] }).data).toHaveLength(2);
      }),
      { numRuns: 2000 },
    );
  });
});

function halves(bytes: Uint8Array): bigint {
  const { high, low } = fnv1a64(bytes, 0, bytes.length);
  return (BigInt(high) << 32n) | BigInt(low);
}

/** FNV-1a by its definition, with bigint. */
function fnvBig(bytes: Uint8Array): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash;
}

test("FNV-1a has the known values, and those of plain arithmetic", () => {
  expect(halves(Buffer.from(""))).toBe(0xcbf29ce484222325n);
  expect(halves(Buffer.from("a"))).toBe(0xaf63dc4c8601ec8cn);
  expect(halves(Buffer.from("foobar"))).toBe(0x85944171f73967e8n);
  fc.assert(fc.property(fc.uint8Array(), (bytes) => expect(halves(bytes)).toBe(fnvBig(bytes))));
});
