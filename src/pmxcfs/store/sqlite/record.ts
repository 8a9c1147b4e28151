/**
 * Records and numbers as SQLite stores them (sqlite.org/fileformat2.html 2.1), and the conversions
 * of sqlite3_column_int64 and sqlite3_column_text, which is how the C server reads its columns.
 */
import { Malformed } from "./malformed.ts";
import type { TextEncoding } from "./page-source.ts";

/** A text has the bytes that are stored. */
export type StoredValue =
  | null
  | number
  | bigint
  | { readonly text: Buffer }
  | { readonly blob: Buffer }
  | { readonly real: number };

export interface Varint {
  readonly value: bigint | number;
  readonly next: number;
}

/** 1 to 9 bytes, most significant first; a bigint beyond 2^53. Missing bytes count as zeros. */
export function varint(bytes: Buffer, at: number): Varint {
  let value = 0;
  for (let index = 0; index < 7; index++) {
    const byte = bytes[at + index] ?? 0;
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) return { value, next: at + index + 1 };
  }
  const eighth = bytes[at + 7] ?? 0;
  const wide = BigInt(value) * 128n + BigInt(eighth & 0x7f);
  if (eighth < 0x80) return { value: narrow(BigInt.asIntN(64, wide)), next: at + 8 };
  const all = wide * 256n + BigInt(bytes[at + 8] ?? 0);
  return { value: narrow(BigInt.asIntN(64, all)), next: at + 9 };
}

/** A varint that is a number of bytes; throws Malformed when it cannot be one. */
export function size(bytes: Buffer, at: number): { readonly value: number; readonly next: number } {
  const { value, next } = varint(bytes, at);
  if (typeof value === "bigint" || value < 0) throw new Malformed();
  return { value, next };
}

function narrow(value: bigint): bigint | number {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

const INTEGER_BYTES = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0];

/** Bytes of a column by its serial type. */
export function serialBytes(type: number): number {
  return type >= 12 ? (type - (12 + (type & 1))) / 2 : (INTEGER_BYTES[type] ?? 0);
}

/** One column. `bytes` may end after it, but not within it. */
export function storedValue(bytes: Buffer, type: number, at: number): StoredValue {
  const next = at + serialBytes(type);
  if (next > bytes.length) throw new Malformed();
  if (type === 0 || type === 10 || type === 11) return null;
  if (type === 8 || type === 9) return type - 8;
  if (type >= 12) {
    const content = bytes.subarray(at, next);
    return type % 2 === 0 ? { blob: content } : { text: content };
  }
  if (type === 7) return { real: bytes.readDoubleBE(at) };
  return type === 6 ? narrow(bytes.readBigInt64BE(at)) : bytes.readIntBE(at, next - at);
}

const MAX_INT64 = 2n ** 63n - 1n;
const MIN_INT64 = -(2n ** 63n);

/** sqlite3_column_int64: NULL is 0, a real is truncated, a text counts as its leading digits. */
export function toInt64(value: StoredValue | undefined, encoding: TextEncoding): number | bigint {
  if (value === null || value === undefined) return 0;
  if (typeof value === "number" || typeof value === "bigint") return value;
  if ("real" in value) return realToInt64(value.real);
  const text = "text" in value ? decoded(value.text, encoding) : value.blob.toString("latin1");
  const [, sign = "", digits = ""] = /^[ \t\n\v\f\r]*([+-]?)([0-9]+)/.exec(text) ?? [];
  if (digits === "") return 0;
  const magnitude = BigInt(digits.slice(0, 400));
  const number = sign === "-" ? -magnitude : magnitude;
  return narrow(number > MAX_INT64 ? MAX_INT64 : number < MIN_INT64 ? MIN_INT64 : number);
}

function realToInt64(real: number): number | bigint {
  if (Number.isNaN(real)) return 0;
  const whole = Math.trunc(real);
  if (Number.isSafeInteger(whole)) return whole + 0;
  if (whole >= 2 ** 63) return MAX_INT64;
  return whole <= -(2 ** 63) ? MIN_INT64 : BigInt(whole);
}

function decoded(text: Buffer, encoding: TextEncoding): string {
  if (encoding === "utf8") return text.toString("latin1");
  const even = text.subarray(0, text.length & ~1);
  const little = encoding === "utf16le" ? even : Buffer.from(even).swap16();
  return Buffer.from(little.toString("utf16le"), "utf8").toString("latin1");
}

/** sqlite3_column_text: UTF-8 as latin1, numbers in decimal; "" for NULL. */
export function toText(value: StoredValue | undefined, encoding: TextEncoding): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if ("real" in value) return realText(value.real);
  return "text" in value ? decoded(value.text, encoding) : value.blob.toString("latin1");
}

/** A real as SQLite prints it: 15 digits, always with a decimal point. */
function realText(real: number): string {
  const text = String(Number(real.toPrecision(15)));
  return /^-?[0-9]+$/.test(text) ? `${text}.0` : text;
}

const NO_BYTES = new Uint8Array(0);

/** sqlite3_column_blob: the stored bytes, also of a UTF-16 text; numbers in decimal. */
export function toBytes(value: StoredValue | undefined): Uint8Array {
  if (value === null || value === undefined) return NO_BYTES;
  if (typeof value === "object" && "blob" in value) return value.blob;
  if (typeof value === "object" && "text" in value) return value.text;
  return Buffer.from(toText(value, "utf8"), "latin1");
}
