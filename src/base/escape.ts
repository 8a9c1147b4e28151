/**
 * Makes text of peers safe for its destination. A terminal executes C0 and C1 controls and DEL,
 * bidirectional controls reorder the text in a viewer, and a line break forges a line of a log.
 * Every text that contains bytes of a client, a server or a file passes one of these functions
 * before it is written: `escapeText` (one line: log, journal, trace, tables), `escapeLines` (files
 * shown on a terminal), `jsonText` (JSON).
 */

/** Controls, lone surrogates, line and paragraph separators, bidirectional controls. */
const UNSAFE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** The same without newline and tab. */
const UNSAFE_IN_LINES = /(?![\n\t])[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** What JSON.stringify leaves as it is; C0 and lone surrogates it escapes itself. */
const UNSAFE_IN_JSON = /[\u007F-\u009F\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

function hex(character: string, digits: number): string {
  return character.charCodeAt(0).toString(16).padStart(digits, "0");
}

/** A control character as people write it: `\n`, `\x1b`, `\u202e`. */
function escaped(character: string): string {
  if (character === "\n") return String.raw`\n`;
  return character.charCodeAt(0) < 0x100 ? `\\x${hex(character, 2)}` : `\\u${hex(character, 4)}`;
}

/** `text` on one line, with every control character escaped. */
export function escapeText(text: string): string {
  return text.replaceAll(UNSAFE, escaped);
}

/** As `escapeText`, for texts of several lines: newlines and tabs stay. */
export function escapeLines(text: string): string {
  return text.replaceAll(UNSAFE_IN_LINES, escaped);
}

/** `value` as JSON that parses to the same and is safe to look at; `indent` as JSON.stringify. */
export function jsonText(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replaceAll(
    UNSAFE_IN_JSON,
    (character) => `\\u${hex(character, 4)}`,
  );
}
