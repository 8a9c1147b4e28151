/** What `explain` prints: an error text with its causes, or a code; for people and as JSON. */
import { CHECKS, type Code } from "./code.ts";
import { type CodeName, CODES } from "./codes.ts";
import { type Explanation, textsOf } from "./explain.ts";
import { type Paint, wrap } from "./report-text.ts";
import type { Cause } from "./text.ts";

const INDENT = "   ";

/** A template of `code` for reading: its usual path, and `{pid}` as `PID`. */
export function readable(code: CodeName, template: string): string {
  const row: Code = CODES[code];
  return template
    .replaceAll("{path}", row.usualPath ?? "PATH")
    .replaceAll(/\{(\w+)\}/g, (_, name: string) => name.toUpperCase());
}

/** What went wrong, in a sentence or two. */
export function causeText({ text, code }: Cause): string {
  if (text !== undefined) return text;
  return code === undefined ? "" : readable(code, CODES[code].cause);
}

function causeLines(cause: Cause, index: number, paint: Paint): string[] {
  const { code, tell } = cause;
  const heading = code === undefined ? "" : `${CODES[code].title} [${code}]: `;
  const lines = [wrap(`${heading}${causeText(cause)}`, `${index + 1}. `, INDENT)];
  lines.push(wrap(tell, `${INDENT}tell: `, `${INDENT}      `));
  if (code !== undefined) {
    lines.push(`${INDENT}fix:  ${paint.bold(readable(code, CODES[code].fix))}`);
  }
  return lines;
}

/** The text of `explain` for a terminal. */
export function renderExplanation({ text, causes, request }: Explanation, paint: Paint): string {
  const about = request === undefined ? [] : [`The line is about request ${request}.`, ""];
  const several = causes.length > 1 ? "Likely causes, the likeliest first:" : "Cause:";
  const lines = causes.flatMap((cause, index) => [...causeLines(cause, index, paint), ""]);
  return [
    paint.bold(text.title),
    "",
    wrap(text.meaning, "", ""),
    "",
    ...about,
    several,
    "",
    ...lines,
  ].join("\n");
}

/** One row of the table of codes. */
export function renderCode(code: CodeName, paint: Paint): string {
  const { title, check, severity, line, cause, fix } = CODES[code];
  const seen = textsOf(code).map((text) => text.title);
  const lines = [
    `${paint.bold(code)}: ${title} (${severity}; check "${check}": ${CHECKS[check]})`,
    "",
    wrap(readable(code, line), "line:  ", "       "),
    wrap(readable(code, cause), "cause: ", "       "),
    `fix:   ${paint.bold(readable(code, fix))}`,
  ];
  if (seen.length > 0) lines.push(wrap(seen.join("; "), "seen:  ", "       "));
  return [...lines, ""].join("\n");
}

/** One line per code: code, severity, title. */
export function renderCodeList(paint: Paint): string {
  const rows = Object.entries(CODES).map(
    ([code, { title, severity }]) =>
      `${paint.bold(code.padEnd(27))} ${severity.padEnd(7)} ${title}\n`,
  );
  return rows.join("");
}

/** What `explain --json` prints. */
export function explanationJson({ text, causes, request }: Explanation) {
  return {
    id: text.id,
    title: text.title,
    meaning: text.meaning,
    request: request ?? null,
    causes: causes.map((cause) => ({
      code: cause.code ?? null,
      cause: causeText(cause),
      tell: cause.tell,
      fix: cause.code === undefined ? null : readable(cause.code, CODES[cause.code].fix),
    })),
  };
}
