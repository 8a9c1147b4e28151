/**
 * Compares the layouts of the twelve requests with the offsets of the C structs; and tests the
 * strings in their tails: names without a NUL, with an early one, or beyond the message.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CfsIpc, REQUESTS } from "../../src/pmxcfs/requests/table.ts";
import { char, prefix, spanOf, type Span } from "../../src/wire/struct.ts";
import { rest, tail, textAt, textList } from "../../src/wire/text.ts";
import { loadVectors } from "../support/vectors.ts";

const HEADER = 16;

/** A span over latin1 text, with other bytes around it. */
function within(text: string, around = "!!"): Span {
  const bytes = Buffer.from(around + text + around, "latin1");
  return { ...spanOf(bytes), at: around.length, size: text.length };
}

describe("layouts", () => {
  test("offsets from the message's start are those of server.c, and no tail is padded", () => {
    const layouts = REQUESTS.flatMap(({ name, layout }) =>
      layout === undefined ? [] : [[name, { ...layout.offset, end: layout.size }]],
    );
    expect(Object.fromEntries(layouts)).toEqual({
      SET_STATUS: { name: 0, end: 272 - HEADER },
      GET_STATUS: { name: 0, nodeName: 272 - HEADER, end: 528 - HEADER },
      LOG_CLUSTER_MSG: { priority: 0, identBytes: 1, tagBytes: 2, end: 19 - HEADER },
      GET_CLUSTER_LOG: {
        maxEntries: 0,
        reserved1: 4,
        reserved2: 8,
        reserved3: 12,
        end: 32 - HEADER,
      },
      GET_GUEST_CONFIG_PROPERTY: { vmid: 0, end: 20 - HEADER },
      GET_GUEST_CONFIG_PROPERTIES: { vmid: 0, count: 4, end: 21 - HEADER },
    });
  });

  test("ids and names are those of the recordings", () => {
    for (const { id, op } of loadVectors()) {
      if (op !== "?") expect(CfsIpc[op as keyof typeof CfsIpc]).toBe(id as CfsIpc);
    }
  });

  test("a fixed name has at most 255 bytes, up to its first NUL", () => {
    const { name } = prefix({ name: char(256) }).read;
    expect(name(within("k".repeat(256) + "v\0"))).toBe("k".repeat(255));
    expect(name(within("k".repeat(255) + "\0v"))).toBe("k".repeat(255));
    expect(name(within("a\0b".padEnd(256, "\0")))).toBe("a");
    expect(name(within("\0".repeat(256)))).toBe("");
    expect(name(within("\xe4\xff\x01".padEnd(256, "\0")))).toBe("\xe4\xff\x01");
  });
});

describe("tails", () => {
  test("textAt ends at the first NUL or with the message", () => {
    expect(textAt(within("abc"), 0)).toBe("abc");
    expect(textAt(within("abc\0d"), 0)).toBe("abc");
    expect(textAt(within("abc"), 1)).toBe("bc");
    expect(textAt(within("abc"), 3)).toBe("");
    expect(textAt(within("abc"), 9)).toBe("");
    expect(textAt(within(""), 0)).toBe("");
  });

  test("tail reads the last byte as NUL", () => {
    expect(tail(within("abc"), 0)).toBe("ab");
    expect(tail(within("abc\0"), 0)).toBe("abc");
    expect(tail(within("a\0bc"), 0)).toBe("a");
    expect(tail(within("a"), 0)).toBe("");
    expect(tail(within(""), 0)).toBe("");
  });

  test("rest is the bytes to the end of the message, and no further", () => {
    expect(rest(within("abc"), 1).toString()).toBe("bc");
    expect(rest(within("abc"), 3)).toHaveLength(0);
  });

  test("textList requires a NUL for each text, and no bytes left over", () => {
    expect(textList(within("a\0bc\0"), 0, 2)).toEqual(["a", "bc"]);
    expect(textList(within("a\0\0"), 0, 2)).toEqual(["a", ""]);
    expect(textList(within("a\0b"), 0, 2)).toBeUndefined();
    expect(textList(within("a\0b\0"), 0, 1)).toBeUndefined();
    expect(textList(within("a\0"), 0, 2)).toBeUndefined();
    // The NUL that would end it is beyond the message.
    expect(textList(within("ab", "\0\0"), 0, 1)).toBeUndefined();
    expect(textList(within(""), 0, 0)).toEqual([]);
  });

  test("any list of texts is decoded to the same list", () => {
    const bytes = fc.array(fc.integer({ min: 1, max: 255 }), { maxLength: 20 });
    const texts = fc.array(
      bytes.map((codes) => String.fromCharCode(...codes)),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(texts, (list) => {
        const body = list.map((text) => `${text}\0`).join("");
        expect(textList(within(body), 0, list.length)).toEqual(list);
      }),
    );
  });
});
