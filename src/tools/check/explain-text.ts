/** What `explain` prints: an error text with its causes, or a code; for people and as JSON. */
import { CHECKS } from "./catalog/code.ts";
import { type CodeName, CODES, rowOf } from "./catalog/codes.ts";
import { type Explanation, textsOf } from "./explain.ts";
import { type Paint, wrap } from "./report-text.ts";
import type { Cause } from "./catalog/error-text.ts";

const INDENT = "   ";
/** The service of every PVE node. */
const SERVICE = "pve2";

/** A template of `code` for reading: its usual path, and `{pid}` as `PID`. */
export function readable(code: CodeName, template: string): string {
  return template
    .replaceAll("{path}", rowOf(code).usualPath ?? "PATH")
    .replaceAll("{service}", SERVICE)
    .replaceAll(/\{(\w+)\}/g, (_, name: string) => name.toUpperCase());
}

/** The remedies of a code where nothing was measured. */
export interface Remedy {
  readonly fix?: string;
  readonly advice?: string;
}

/**
 * The fix as it is where it needs no value but its usual path; where it does, how to get it with
 * the values of the machine: a command with a placeholder is none.
 */
export function remedyOf(code: CodeName): Remedy {
  const { fix, advice, check, usualPath } = rowOf(code);
  const known = usualPath ?? "{path}";
  const directory = known.slice(0, known.lastIndexOf("/"));
  const filled = fix
    ?.replaceAll("{path}", known)
    .replaceAll("{directory}", directory)
    .replaceAll("{service}", SERVICE);
  const whole = filled === undefined || !/\{\w+\}/.test(filled);
  return {
    ...(filled === undefined ? {} : { fix: whole ? filled : `pmxcfs-ipc --check --only ${check}` }),
    ...(advice === undefined ? {} : { advice: readable(code, advice) }),
  };
}

/** Fix and advice in lines after a label each. */
function remedyLines({ fix, advice }: Remedy, paint: Paint, indent: string): string[] {
  const under = `${indent}      `;
  return [
    ...(fix === undefined ? [] : [`${indent}fix:  ${paint.bold(fix)}`]),
    ...(advice === undefined ? [] : [wrap(advice, `${indent}next: `, under)]),
  ];
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
  if (code !== undefined) lines.push(...remedyLines(remedyOf(code), paint, INDENT));
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
  const { title, check, severity, line, cause } = CODES[code];
  const seen = textsOf(code).map((text) => text.title);
  const lines = [
    `${paint.bold(code)}: ${title} (${severity}; check "${check}": ${CHECKS[check]})`,
    "",
    wrap(readable(code, line), "line:  ", "       "),
    wrap(readable(code, cause), "cause: ", "       "),
    ...remedyLines(remedyOf(code), paint, "").map((text) => text.replace(/^(fix|next):/, "$1: ")),
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
      fix: cause.code === undefined ? null : (remedyOf(cause.code).fix ?? null),
      advice: cause.code === undefined ? null : (remedyOf(cause.code).advice ?? null),
    })),
  };
}
