/**
 * The message of a cluster log entry as the C server stores it: printable ASCII, escaped for use in
 * JSON. C counterpart: cfs-utils.c, utf8_to_ascii.
 */
import { isUtf8 } from "node:buffer";

/** Bytes that must be free before each character: the longest escape, `\uXXXX`, and the NUL. */
const ROOM_BYTES = 7;

/** Needs no escape: printable ASCII without quotes. */
const PLAIN = /^[ !#-~]*$/;

/**
 * Escapes `message` (latin1, up to its first NUL): `"` gets a backslash; control characters and
 * 0x7f become `#` and three digits; other characters of the BMP become \uXXXX; characters beyond
 * the BMP are dropped. If the message is not UTF-8, bytes from 0x7f on become `?`. The result is
 * truncated, between escapes, so that with its NUL it fits in `maxBytes`.
 */
export function escapeLogText(message: string, maxBytes: number): string {
  if (message.length < maxBytes - ROOM_BYTES && PLAIN.test(message)) return message;
  const nul = message.indexOf("\0");
  const bytes = Buffer.from(nul === -1 ? message : message.slice(0, nul), "latin1");
  const stop = maxBytes - ROOM_BYTES;
  return isUtf8(bytes) ? escapeUtf8(bytes.toString("utf8"), stop) : escapeBytes(bytes, stop);
}

function escapeUtf8(text: string, stop: number): string {
  let escaped = "";
  for (const character of text) {
    if (escaped.length >= stop) break;
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x80) escaped += escapeAscii(code);
    else if (code <= 0xffff) escaped += `\\u${code.toString(16).padStart(4, "0")}`;
  }
  return escaped;
}

function escapeBytes(bytes: Uint8Array, stop: number): string {
  let escaped = "";
  for (const byte of bytes) {
    if (escaped.length >= stop) break;
    escaped += byte >= 0x7f ? "?" : escapeAscii(byte);
  }
  return escaped;
}

function escapeAscii(code: number): string {
  if (code < 0x20 || code === 0x7f) return `#${String(code).padStart(3, "0")}`;
  return code === 0x22 ? '\\"' : String.fromCharCode(code);
}
