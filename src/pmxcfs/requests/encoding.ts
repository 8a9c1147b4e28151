/**
 * Converts arguments to and from the bytes of a body. Text is sent as UTF-8; wire structs hold one
 * latin1 character per byte. Arguments that do not fit are a QbFailure; nothing is sent then.
 */
import { Errno } from "../../base/errno.ts";
import { QbFailure } from "../../client/failure.ts";

/** Bytes of a fixed name field; the last one is read as NUL. */
export const NAME_FIELD_BYTES = 256;

/** Most bytes of the text in a name field. */
export const NAME_BYTES = NAME_FIELD_BYTES - 1;

/** An empty body: of requests without arguments, and of answers that are only success. */
export const EMPTY: Buffer = Buffer.alloc(0);

/** The failure for arguments that do not fit; `what` says why. */
export function unfit(what: string, errno: Errno = Errno.EINVAL): QbFailure {
  return new QbFailure("size", errno, what);
}

/** The form for wire structs: one latin1 character per UTF-8 byte. */
export function wireText(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** Wire text decoded for display; bytes that are not UTF-8 become U+FFFD. */
export function shownText(text: string): string {
  return Buffer.from(text, "latin1").toString("utf8");
}

/** The text as UTF-8, with a NUL. */
export function terminated(text: string): Buffer {
  return Buffer.from(`${text}\0`, "utf8");
}

/** The failure of a text: EINVAL: it contains a NUL; ENAMETOOLONG: more than `most` bytes. */
export function badText(label: string, text: string, most = Infinity): QbFailure | undefined {
  if (text.includes("\0")) return unfit(`${label} has a NUL in it`);
  const size = Buffer.byteLength(text, "utf8");
  if (size <= most) return undefined;
  return unfit(`${label} has ${size} bytes, at most ${most} fit`, Errno.ENAMETOOLONG);
}

/** The failure of a number: EINVAL unless it is an integer from 0 to `most`. */
export function badNumber(label: string, value: number, most: number): QbFailure | undefined {
  const good = Number.isInteger(value) && value >= 0 && value <= most;
  return good ? undefined : unfit(`${label} ${value} is not a whole number from 0 to ${most}`);
}

/** The body for arguments that are known to fit; throws if they do not. */
export function bodyOf<A>(request: { encode(given: A): Buffer | QbFailure }, given: A): Buffer {
  const body = request.encode(given);
  if (body instanceof QbFailure) throw new Error(body.message);
  return body;
}
