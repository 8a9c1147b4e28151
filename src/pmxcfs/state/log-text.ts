/**
 * The message of a cluster log entry as the C server stores it: printable ASCII, escaped so that
 * it can stand in JSON. C counterpart: cfs-utils.c, utf8_to_ascii.
 */
import { isUtf8 } from "node:buffer";

/** The longest escape, `\uXXXX`, and a NUL: what must still fit when a character is begun. */
const ROOM_BYTES = 7;

/** What needs no escape: printable ASCII without quotes. */
const PLAIN = /^[ !#-~]*$/;

/**
 * `message` (latin1, up to its first NUL) escaped: `"` gets a backslash, control characters and
 * 0x7f become `#` and three digits, the rest of the BMP \uXXXX, and what lies beyond is dropped.
 * In a message that is not UTF-8, bytes from 0x7f on become `?`. Cut so that with its NUL it
 * fits into `maxBytes`; an escape is never cut in two.
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
