/**
 * Arguments to and from the bytes of a body. Text goes out as UTF-8; wire structs hold one latin1
 * character per byte. What the protocol cannot carry is a QbFailure before anything is sent.
 */
import { Errno } from "../../base/errno.ts";
import { QbFailure } from "../../client/failure.ts";

/** Bytes of a fixed name field; 255 count, the last is taken as NUL. */
export const NAME_FIELD_BYTES = 256;

/** The longest text of a name field. */
export const NAME_BYTES = NAME_FIELD_BYTES - 1;

/** No body, and the answer that says no more than "done". */
export const EMPTY: Buffer = Buffer.alloc(0);

/** The failure of arguments that do not fit. */
export function unfit(what: string, errno: Errno = Errno.EINVAL): QbFailure {
  return new QbFailure("size", errno, what);
}

/** One latin1 character per UTF-8 byte: what wire structs take. */
export function wireText(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** Wire text as people read it; bytes that are not UTF-8 become U+FFFD. */
export function shownText(text: string): string {
  return Buffer.from(text, "latin1").toString("utf8");
}

/** UTF-8 with its NUL. */
export function terminated(text: string): Buffer {
  return Buffer.from(`${text}\0`, "utf8");
}

/** EINVAL: a NUL in it; ENAMETOOLONG: more than `most` bytes. */
export function badText(label: string, text: string, most = Infinity): QbFailure | undefined {
  if (text.includes("\0")) return unfit(`${label} has a NUL in it`);
  const size = Buffer.byteLength(text, "utf8");
  if (size <= most) return undefined;
  return unfit(`${label} has ${size} bytes, at most ${most} fit`, Errno.ENAMETOOLONG);
}

/** EINVAL unless it is a whole number from 0 to `most`. */
export function badNumber(label: string, value: number, most: number): QbFailure | undefined {
  const good = Number.isInteger(value) && value >= 0 && value <= most;
  return good ? undefined : unfit(`${label} ${value} is not a whole number from 0 to ${most}`);
}

/** The body of arguments that are known to fit; throws for others. */
export function bodyOf<A>(request: { encode(given: A): Buffer | QbFailure }, given: A): Buffer {
  const body = request.encode(given);
  if (body instanceof QbFailure) throw new Error(body.message);
  return body;
}
