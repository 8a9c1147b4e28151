/**
 * Wire structs declared as data: a record of fields gives the offsets, and a reader and a writer
 * per field. `struct` pads its end as C does; `prefix` does not, for structs that end in a flexible
 * array. All hosts that Bun runs on are little-endian. Layouts are checked against a C program that
 * prints offsetof (test/wire/layout.test.ts).
 */

/** A message in memory: `size` bytes of `bytes` from `at`. Its owner defines its lifetime. */
export interface Span {
  bytes: Buffer;
  view: DataView;
  at: number;
  size: number;
}

/** One field: its C size and alignment, and how it is read from and written to memory. */
export interface Field<T> {
  readonly size: number;
  readonly align: number;
  get(span: Span, offset: number): T;
  set(span: Span, offset: number, value: T): void;
}

type Fields = Record<string, Field<unknown>>;
type Value<F> = F extends Field<infer T> ? T : never;

/** A declared layout. Readers and writers take the span of the whole struct. */
export interface Struct<F extends Fields> {
  readonly size: number;
  readonly offset: { readonly [K in keyof F]: number };
  readonly read: { readonly [K in keyof F]: (span: Span) => Value<F[K]> };
  readonly write: { readonly [K in keyof F]: (span: Span, value: Value<F[K]>) => void };
}

export const u8: Field<number> = {
  size: 1,
  align: 1,
  get: (span, offset) => span.view.getUint8(span.at + offset),
  set: (span, offset, value) => span.view.setUint8(span.at + offset, value),
};

export const u16: Field<number> = {
  size: 2,
  align: 2,
  get: (span, offset) => span.view.getUint16(span.at + offset, true),
  set: (span, offset, value) => span.view.setUint16(span.at + offset, value, true),
};

export const u32: Field<number> = {
  size: 4,
  align: 4,
  get: (span, offset) => span.view.getUint32(span.at + offset, true),
  set: (span, offset, value) => span.view.setUint32(span.at + offset, value, true),
};

export const i32: Field<number> = {
  size: 4,
  align: 4,
  get: (span, offset) => span.view.getInt32(span.at + offset, true),
  set: (span, offset, value) => span.view.setInt32(span.at + offset, value, true),
};

/** int32_t with `aligned(8)`, as libqb's headers are declared (qbipc_common.h). */
export const i32Aligned8: Field<number> = { ...i32, align: 8 };

/** uint32_t with `aligned(8)`. */
export const u32Aligned8: Field<number> = { ...u32, align: 8 };

export const u64: Field<bigint> = {
  size: 8,
  align: 8,
  get: (span, offset) => span.view.getBigUint64(span.at + offset, true),
  set: (span, offset, value) => span.view.setBigUint64(span.at + offset, value, true),
};

const TWO_TO_32 = 2 ** 32;

/** uint64_t with values below 2^53 only (ids, sizes, offsets), which are exact as numbers. */
export const u53: Field<number> = {
  size: 8,
  align: 8,
  get(span, offset) {
    const low = span.view.getUint32(span.at + offset, true);
    return low + span.view.getUint32(span.at + offset + 4, true) * TWO_TO_32;
  },
  set(span, offset, value) {
    span.view.setUint32(span.at + offset, value >>> 0, true);
    span.view.setUint32(span.at + offset + 4, Math.floor(value / TWO_TO_32), true);
  },
};

/**
 * char[length]: a latin1 string (one character per byte, so that equality is strcmp) that ends at
 * the first NUL; the last byte counts as NUL. Longer values are truncated when written, and the
 * rest of the array is zeroed.
 */
export function char(length: number): Field<string> {
  return {
    size: length,
    align: 1,
    get(span, offset) {
      const from = span.at + offset;
      const last = from + length - 1;
      let end = from;
      // Not indexOf: without a NUL in the field it would search the rest of the message.
      while (end < last && span.bytes[end] !== 0) end++;
      return span.bytes.toString("latin1", from, end);
    },
    set(span, offset, value) {
      const from = span.at + offset;
      const written = span.bytes.write(value, from, length - 1, "latin1");
      span.bytes.fill(0, from + written, from + length);
    },
  };
}

/**
 * An array of bytes. Read as a view, which is valid as long as the span. When written, a shorter
 * value is padded with zeros and a longer one is truncated.
 */
export function bytes(length: number): Field<Uint8Array> {
  return {
    size: length,
    align: 1,
    get: (span, offset) => span.bytes.subarray(span.at + offset, span.at + offset + length),
    set(span, offset, value) {
      const from = span.at + offset;
      const written = Math.min(length, value.byteLength);
      span.bytes.set(value.subarray(0, written), from);
      span.bytes.fill(0, from + written, from + length);
    },
  };
}

/** The same field with `aligned(8)`. */
export function aligned8<T>(field: Field<T>): Field<T> {
  return { ...field, align: 8 };
}

function layout<F extends Fields>(fields: F, padded: boolean): Struct<F> {
  const offset: Record<string, number> = {};
  const read: Record<string, (span: Span) => unknown> = {};
  const write: Record<string, (span: Span, value: unknown) => void> = {};
  let end = 0;
  let widest = 1;
  for (const [name, field] of Object.entries(fields)) {
    const at = Math.ceil(end / field.align) * field.align;
    offset[name] = at;
    read[name] = (span) => field.get(span, at);
    write[name] = (span, value) => field.set(span, at, value);
    end = at + field.size;
    widest = Math.max(widest, field.align);
  }
  const size = padded ? Math.ceil(end / widest) * widest : end;
  return { size, offset, read, write } as unknown as Struct<F>;
}

/** A C struct: fields at their natural alignment, the end padded to the largest alignment. */
export function struct<F extends Fields>(fields: F): Struct<F> {
  return layout(fields, true);
}

/** A C struct that ends in a flexible array: as `struct`, but the end is not padded. */
export function prefix<F extends Fields>(fields: F): Struct<F> {
  return layout(fields, false);
}

/** A span over all of `buffer`. */
export function spanOf(buffer: Buffer): Span {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  return { bytes: buffer, view, at: 0, size: buffer.byteLength };
}

/** A span over `size` new zero bytes. */
export function newSpan(size: number): Span {
  return spanOf(Buffer.alloc(size));
}

/** A message of one struct, with a value for each field, followed by `tail`. */
export function encode<F extends Fields>(
  { size, write }: Struct<F>,
  values: { readonly [K in keyof F]: Value<F[K]> },
  tail: Uint8Array = new Uint8Array(0),
): Buffer {
  const span = newSpan(size + tail.byteLength);
  for (const field in values) write[field](span, values[field]);
  span.bytes.set(tail, size);
  return span.bytes;
}
