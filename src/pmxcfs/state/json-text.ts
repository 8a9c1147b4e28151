/**
 * Byte strings as JSON strings. The C server prints its bytes between quotes unchanged; where that
 * gives valid JSON so does this, byte for byte, and where it would not (quotes, stray backslashes,
 * control characters, invalid UTF-8) the string is escaped properly instead. Texts are latin1 (one
 * character per byte), in and out: write the result with "latin1".
 */
import { isUtf8 } from "node:buffer";

/** The common case: printable ASCII without quote and backslash. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** What JSON allows between quotes, on bytes: whole escapes, no raw control characters. */
// oxlint-disable-next-line no-control-regex
const JSON_CONTENT = /^(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*$/;

/** True when `text` can stand between quotes in a JSON document as it is. */
function isJsonContent(text: string): boolean {
  if (PLAIN.test(text)) return true;
  return JSON_CONTENT.test(text) && isUtf8(Buffer.from(text, "latin1"));
}

/** `text` in quotes: as it is if that is valid JSON, else escaped; invalid UTF-8 is U+FFFD. */
export function quoteJson(text: string): string {
  if (isJsonContent(text)) return `"${text}"`;
  const decoded = Buffer.from(text, "latin1").toString("utf8");
  return Buffer.from(JSON.stringify(decoded), "utf8").toString("latin1");
}

/**
 * As `quoteJson` for a text in which every quote already has its backslash and non-ASCII stands
 * as \uXXXX (a message as the cluster log stores it): only the other backslashes are escaped.
 */
export function quoteEscapedJson(text: string): string {
  if (isJsonContent(text)) return `"${text}"`;
  const repaired = text.replaceAll(/\\u[0-9a-fA-F]{4}|\\"|\\/g, (escape) =>
    escape === "\\" ? "\\\\" : escape,
  );
  return isJsonContent(repaired) ? `"${repaired}"` : quoteJson(text);
}
