/**
 * NUL-terminated strings at the end of a request, after a fixed prefix. All are latin1, one
 * character per byte, so that equality is strcmp; UTF-8 is decoded only where JSON is built
 * (src/pmxcfs/state/json-text.ts).
 */
import type { Span } from "./struct.ts";

/**
 * The string that begins `from` bytes into the span: up to its first NUL, or to the span's end
 * when there is none. Empty when `from` lies at or beyond the end.
 */
export function textAt(span: Span, from: number): string {
  return slice(span, from, span.size);
}

/** The whole span, for `untilNul`: to decode it once is faster than `textAt` for each string. */
export function decoded(span: Span): string {
  return span.bytes.toString("latin1", span.at, span.at + span.size);
}

/** The string that begins at `from` in a decoded span: as `textAt`. */
export function untilNul(text: string, from: number): string {
  const nul = text.indexOf("\0", from);
  return nul === -1 ? text.slice(from) : text.slice(from, nul);
}

/**
 * As `textAt`, but the span's last byte counts as NUL: the C server overwrites it in paths, users
 * and property names before it reads them.
 */
export function tail(span: Span, from: number): string {
  return slice(span, from, span.size - 1);
}

/** The bytes from `from` to the span's end, as a view, which is valid as long as the span. */
export function rest(span: Span, from: number): Buffer {
  return span.bytes.subarray(span.at + from, span.at + span.size);
}

/**
 * Exactly `count` NUL-terminated strings that fill the span from `from` to its end; undefined
 * when one lacks its NUL or bytes are left over.
 */
export function textList(span: Span, from: number, count: number): string[] | undefined {
  const end = span.at + span.size;
  const texts: string[] = [];
  let at = span.at + from;
  for (let index = 0; index < count; index++) {
    const nul = span.bytes.indexOf(0, at);
    if (at >= end || nul === -1 || nul >= end) return undefined;
    texts.push(span.bytes.toString("latin1", at, nul));
    at = nul + 1;
  }
  return at === end ? texts : undefined;
}

/** The search for a NUL ends with the message: zeros follow it in its buffer (shm/ring.ts). */
function slice(span: Span, from: number, to: number): string {
  if (from >= to) return "";
  const start = span.at + from;
  const end = span.at + to;
  const nul = span.bytes.indexOf(0, start);
  return span.bytes.toString("latin1", start, nul === -1 || nul > end ? end : nul);
}
