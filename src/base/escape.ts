/**
 * Makes text from peers safe for its destination. A terminal executes C0 and C1 controls and DEL,
 * bidirectional controls reorder the displayed text, and a line break forges a log line. Every text
 * that contains bytes from a client, a server or a file passes one of these functions before it is
 * written: `escapeText` (one line: log, journal, trace, tables), `escapeLines` (files shown on a
 * terminal), `jsonText` (JSON), `escapeMarkup` (pages, JUnit).
 */

/** Controls, lone surrogates, line and paragraph separators, bidirectional controls. */
const UNSAFE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** The same without newline and tab. */
const UNSAFE_IN_LINES = /(?![\n\t])[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** Unsafe characters that JSON.stringify keeps: it escapes only C0 and lone surrogates. */
const UNSAFE_IN_JSON = /[\u007F-\u009F\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

function hex(character: string, digits: number): string {
  return character.charCodeAt(0).toString(16).padStart(digits, "0");
}

/** The usual escape of a control character: `\n`, `\x1b`, `\u202e`. */
function escaped(character: string): string {
  if (character === "\n") return String.raw`\n`;
  return character.charCodeAt(0) < 0x100 ? `\\x${hex(character, 2)}` : `\\u${hex(character, 4)}`;
}

/** `text` on one line, with every control character escaped. */
export function escapeText(text: string): string {
  return text.replaceAll(UNSAFE, escaped);
}

/** As `escapeText`, for texts of several lines: newlines and tabs are kept. */
export function escapeLines(text: string): string {
  return text.replaceAll(UNSAFE_IN_LINES, escaped);
}

/** JSON that parses to `value` and is safe to display; `indent` as of JSON.stringify. */
export function jsonText(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replaceAll(
    UNSAFE_IN_JSON,
    (character) => `\\u${hex(character, 4)}`,
  );
}

/** The text for HTML and XML, between tags and in a quoted attribute; controls are kept. */
export function escapeMarkup(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
