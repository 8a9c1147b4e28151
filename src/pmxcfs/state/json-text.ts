/**
 * Byte strings as JSON strings. The C server prints the bytes between quotes unchanged. Where that
 * is valid JSON, so does this; where it is not (quotes, stray backslashes, control characters,
 * invalid UTF-8), the string is escaped. Texts are latin1, one character per byte; encode the
 * result as "latin1".
 */
import { isUtf8 } from "node:buffer";

/** The common case: printable ASCII without quote and backslash. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** The bytes that JSON allows between quotes: complete escapes, no raw control characters. */
// oxlint-disable-next-line no-control-regex
const JSON_CONTENT = /^(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*$/;

/** True when `text` between quotes is a JSON string without further escapes. */
function isJsonContent(text: string): boolean {
  if (PLAIN.test(text)) return true;
  return JSON_CONTENT.test(text) && isUtf8(Buffer.from(text, "latin1"));
}

/** `text` in quotes: unchanged if that is valid JSON, else escaped, invalid UTF-8 as U+FFFD. */
export function quoteJson(text: string): string {
  if (isJsonContent(text)) return `"${text}"`;
  const decoded = Buffer.from(text, "latin1").toString("utf8");
  return Buffer.from(JSON.stringify(decoded), "utf8").toString("latin1");
}

/**
 * As `quoteJson`, for a message of the cluster log, in which quotes are already escaped and
 * non-ASCII characters are \uXXXX: only the other backslashes are escaped.
 */
export function quoteEscapedJson(text: string): string {
  if (isJsonContent(text)) return `"${text}"`;
  const repaired = text.replaceAll(/\\u[0-9a-fA-F]{4}|\\"|\\/g, (escape) =>
    escape === "\\" ? "\\\\" : escape,
  );
  return isJsonContent(repaired) ? `"${repaired}"` : quoteJson(text);
}
