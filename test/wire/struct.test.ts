/** struct() and prefix(): alignment and padding as in C, and a written value is read back. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  char,
  i32,
  i32Aligned8,
  newSpan,
  prefix,
  struct,
  u32,
  u64,
  u8,
} from "../../src/wire/struct.ts";

const Mixed = struct({ a: u8, b: u32, c: i32Aligned8, d: u8, e: u64, name: char(5) });
const Tail = prefix({ a: u32, b: u8 });

describe("layout", () => {
  test("a field's offset is a multiple of its alignment, the size one of the widest", () => {
    expect(Mixed.offset).toEqual({ a: 0, b: 4, c: 8, d: 12, e: 16, name: 24 });
    expect(Mixed.size).toBe(32);
  });

  test("a struct that ends in a flexible array is not padded", () => {
    expect(Tail.offset).toEqual({ a: 0, b: 4 });
    expect(Tail.size).toBe(5);
  });
});

describe("fields", () => {
  test("a written value is read back, at any offset in a buffer", () => {
    const any = fc.record({
      a: fc.nat(255),
      b: fc.nat(0xffffffff),
      c: fc.integer(),
      d: fc.nat(255),
      e: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      name: fc.string({
        unit: fc.integer({ min: 1, max: 255 }).map((c) => String.fromCharCode(c)),
      }),
      at: fc.nat(64),
    });
    fc.assert(
      fc.property(any, ({ at, ...values }) => {
        const span = newSpan(128);
        span.bytes.fill(0xff);
        span.at = at;
        for (const [key, value] of Object.entries(values)) {
          (Mixed.write as Record<string, (s: typeof span, v: unknown) => void>)[key]?.(span, value);
        }
        const { read } = Mixed;
        expect([read.a(span), read.b(span), read.c(span), read.d(span), read.e(span)]).toEqual([
          values.a,
          values.b,
          values.c,
          values.d,
          values.e,
        ]);
        expect(read.name(span)).toBe(values.name.slice(0, 4));
      }),
    );
  });

  test("the last byte of a char array counts as NUL, and no byte after it is read", () => {
    const Name = struct({ name: char(4), next: i32 });
    const span = newSpan(Name.size);
    span.bytes.fill(0x41);
    expect(Name.read.name(span)).toBe("AAA");
    span.bytes[1] = 0;
    expect(Name.read.name(span)).toBe("A");
  });
});
