/**
 * The output of `explain`: an error text with its causes, or a code, as text and as JSON; and all
 * of them as docs/diagnosis.md and docs/symptoms.md, so that documents and program cannot differ.
 */

import { PVE_SERVICE } from "../../base/paths.ts";
import { labelled, markdownTable, type Paint } from "../../base/table.ts";
import { CHECKS, type CheckName, numbered } from "./code.ts";
import { CODES, type CodeName, rowOf } from "./codes.ts";
import type { Cause } from "./error-text.ts";
import { type Explanation, TEXT_GROUPS, TEXTS, textsOf } from "./explain.ts";

const INDENT = "   ";

/** A template of `code` as text: with its usual path, and with `PID` for `{pid}`. */
function readable(code: CodeName, template: string): string {
  return numbered(template)
    .replaceAll("{path}", rowOf(code).usualPath ?? "PATH")
    .replaceAll("{service}", PVE_SERVICE)
    .replaceAll(/\{(\w+)\}/g, (_, name: string) => name.toUpperCase());
}

/** The remedies of a code, without values of a host. */
export interface Remedy {
  readonly fix?: string;
  readonly advice?: string;
}

/**
 * The fix itself if its usual path and the service are its only values; otherwise the command that
 * prints it with the values of the host, because a command with a placeholder cannot be run.
 */
export function remedyOf(code: CodeName): Remedy {
  const { fix, advice, check, usualPath } = rowOf(code);
  const known = usualPath ?? "{path}";
  const directory = known.slice(0, known.lastIndexOf("/"));
  const filled = fix
    ?.replaceAll("{path}", known)
    .replaceAll("{directory}", directory)
    .replaceAll("{service}", PVE_SERVICE);
  const whole = filled === undefined || !/\{\w+\}/.test(filled);
  return {
    ...(filled === undefined ? {} : { fix: whole ? filled : `pmxcfs-ipc --check --only ${check}` }),
    ...(advice === undefined ? {} : { advice: readable(code, advice) }),
  };
}

/** Lines with fix and advice, each with its label. */
function remedyLines({ fix, advice }: Remedy, paint: Paint, indent: string): string[] {
  return [
    ...(fix === undefined ? [] : [`${indent}fix:  ${paint.bold(fix)}`]),
    ...(advice === undefined ? [] : [labelled(`${indent}next: `, advice)]),
  ];
}

/** The cause in words. */
function causeText({ text, code }: Cause): string {
  if (text !== undefined) return text;
  return code === undefined ? "" : readable(code, CODES[code].cause);
}

function causeLines(cause: Cause, index: number, paint: Paint): string[] {
  const { code, check } = cause;
  const heading = code === undefined ? "" : `${CODES[code].title} [${code}]: `;
  const lines = [labelled(`${index + 1}. `, `${heading}${causeText(cause)}`)];
  lines.push(labelled(`${INDENT}check: `, check));
  if (code !== undefined) lines.push(...remedyLines(remedyOf(code), paint, INDENT));
  return lines;
}

/** An error text and its causes for a terminal. */
export function renderExplanation({ text, causes, request }: Explanation, paint: Paint): string {
  const about = request === undefined ? [] : [`The line is about request ${request}.`, ""];
  const several = causes.length > 1 ? "Likely causes, the most frequent first:" : "Cause:";
  const lines = causes.flatMap((cause, index) => [...causeLines(cause, index, paint), ""]);
  return [
    paint.bold(text.title),
    "",
    labelled("", text.meaning),
    "",
    ...about,
    several,
    "",
    ...lines,
  ].join("\n");
}

/** A code with its texts for a terminal. */
export function renderCode(code: CodeName, paint: Paint): string {
  const { title, check, severity, line, cause } = CODES[code];
  const seen = textsOf(code).map((text) => text.title);
  const lines = [
    `${paint.bold(code)}: ${title} (${severity}; check "${check}": ${CHECKS[check]})`,
    "",
    labelled("line:  ", readable(code, line)),
    labelled("cause: ", readable(code, cause)),
    ...remedyLines(remedyOf(code), paint, "").map((text) => text.replace(/^(fix|next):/, "$1: ")),
  ];
  if (seen.length > 0) lines.push(labelled("seen:  ", seen.join("; ")));
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

/** One element of the output of `explain --json`. */
export function explanationJson({ text, causes, request }: Explanation) {
  return {
    id: text.id,
    title: text.title,
    meaning: text.meaning,
    request: request ?? null,
    causes: causes.map((cause) => ({
      code: cause.code ?? null,
      cause: causeText(cause),
      check: cause.check,
      fix: cause.code === undefined ? null : (remedyOf(cause.code).fix ?? null),
      advice: cause.code === undefined ? null : (remedyOf(cause.code).advice ?? null),
    })),
  };
}

/** One row of the table of codes for `explain --json CODE`. */
export function codeJson(code: CodeName) {
  const { title, check, severity, line, cause } = CODES[code];
  const { fix = null, advice = null } = remedyOf(code);
  return {
    code,
    title,
    severity,
    check,
    line: readable(code, line),
    cause: readable(code, cause),
    fix,
    advice,
    seen: textsOf(code).map((text) => text.title),
  };
}

/** All rows for `explain --list --json`. */
export function codeListJson() {
  return (Object.keys(CODES) as CodeName[]).map(codeJson);
}

const LABELS = markdownTable([
  ["label", "means", "exit code"],
  ["PASS", "checked, no fault", "0"],
  ["SKIP", "not checked; the line has the reason", "0 (3 if all checks were skipped)"],
  ["NOTICE", "not a fault, but can matter", "0"],
  ["WARN", "will fail, or fails for some callers", "1"],
  ["FAIL", "fails", "2"],
]);

const FIELDS = markdownTable([
  ["field", "value"],
  ["schema_version", "1"],
  ["version", "version of pmxcfs-ipc"],
  ["time", "end of the run, ISO 8601, UTC"],
  ["duration_ms", "whole milliseconds"],
  ["host, service", "the node's short name; the service's name"],
  ["exit_code", "0 to 3"],
  ["verdict", "severity, text; code, fix and advice, each or null"],
  ["counts", "number of findings by severity: pass, skip, notice, warn, fail"],
  [
    "findings[]",
    "check, severity, text, details[], seen[]; code, cause, fix, advice, follows_from, docs, each or null",
  ],
  ["fix", "a shell command that is safe to paste as root"],
  ["advice", "steps to do by hand or to check; commands are in backticks"],
  ["follows_from", "the code of the finding that causes this one and has the fix"],
  ["findings[].measures[]", "name, value, unit, limit_is_lower; request and limit, each or null"],
  ["unit of a measure", "`s`, `bytes`, `percent`, or empty for a count"],
]);

const INTRODUCTION = `# Diagnosis

The faults that \`pmxcfs-ipc --check\` finds, and the error texts of \`pmxcfs-ipc explain\`.
Generated by \`pmxcfs-ipc explain --markdown > docs/diagnosis.md\`: change the tables in
src/tools/diagnosis, not this file.

## Reading a report

The first and the last lines are the verdict: the worst finding, or its cause if that was found too.
Between them are the findings that are not PASS, and one line of totals; \`--verbose\` prints all
findings. Each finding has a stable code; \`--only\` and \`--skip\` take codes and checks.

A \`fix\` is a command that is safe to paste as root: it keeps a copy of what it deletes,
overwrites no backup, has no placeholder, and ends only a process that it has identified. A test
executes each fix on its fault and compares all files before and after. If the command depends on
the node, this page has the \`--check\` that prints it. Where no command is safe, \`next\` has the
steps to do by hand. A finding that \`follows from\` another has no fix: it disappears with its
cause.

${LABELS}
The exit code is the same in every output mode (\`--json\`, \`--quiet\`, \`--nagios\`,
\`--checkmk\`, \`--openmetrics\`). Each check has a time limit (\`--deadline\`, 2 s), and so has the
whole run (\`--total-deadline\`, 10 s).

## JSON

\`--json\` prints one object. \`schema_version\` is raised when a field changes its meaning or is
removed; new fields may be added without that.

${FIELDS}
`;

function anchor(code: CodeName): string {
  return `[${code}](#${code.toLowerCase()})`;
}

function codeEntry(code: CodeName): string {
  const { title, severity, line, cause } = CODES[code];
  const remedies = remedyOf(code);
  const titles = textsOf(code).map((text) => text.title);
  const lines = [
    `#### ${code}`,
    "",
    `${title}. ${severity.toUpperCase()}: \`${readable(code, line)}\``,
    "",
    `- cause: ${readable(code, cause)}`,
    ...(remedies.fix === undefined ? [] : [`- fix: \`${remedies.fix}\``]),
    ...(remedies.advice === undefined ? [] : [`- next: ${remedies.advice}`]),
    ...(titles.length === 0 ? [] : [`- seen as: ${titles.join("; ")}`]),
  ];
  return `${lines.join("\n")}\n\n`;
}

function checkSection(check: CheckName): string {
  const codes = (Object.keys(CODES) as CodeName[]).filter((code) => CODES[code].check === check);
  const entries = codes.map(codeEntry).join("");
  return `### ${check}: ${CHECKS[check]}\n\n${entries}`;
}

function causeEntry(cause: Cause): string {
  const { code, check } = cause;
  const heading = code === undefined ? "" : `${CODES[code].title} (${anchor(code)}): `;
  return `1. ${heading}${causeText(cause)} Check: ${check}.\n`;
}

function textSection({ title, meaning, causes }: (typeof TEXTS)[number]): string {
  return `### ${title}\n\n${meaning}\n\n${causes.map(causeEntry).join("")}\n`;
}

/** The whole file. */
export function renderDiagnosis(): string {
  const checks = (Object.keys(CHECKS) as CheckName[]).map(checkSection).join("");
  const texts = TEXTS.map(textSection).join("");
  return `${INTRODUCTION}## Codes\n\n${checks}## Error texts\n\n${texts}`.trimEnd() + "\n";
}

const SYMPTOMS = `# Symptoms

Error lines, their meaning, and the first check. Paste a line or a whole log into
\`pmxcfs-ipc explain\` for all causes and their fixes; \`pmxcfs-ipc --check\` examines the node
itself. Generated by \`pmxcfs-ipc explain --list --markdown > docs/symptoms.md\`.
`;

/** The first sentence of a meaning, up to a full stop or colon. */
function firstSentence(text: string): string {
  return /^.*?[.:](?= |$)/.exec(text)?.[0].replace(/:$/, ".") ?? text;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

function symptomRow({ title, meaning, causes }: (typeof TEXTS)[number]): string[] {
  const codes = [...new Set(causes.flatMap(({ code }) => code ?? []))];
  const links = codes.map((code) => `[${code}](diagnosis.md#${code.toLowerCase()})`);
  return [title, firstSentence(meaning), causes[0]?.check ?? "", links.join(", ")].map(cell);
}

/** docs/symptoms.md: one row for each error text. */
export function renderSymptoms(): string {
  const heading = ["line", "meaning", "check first", "codes"];
  const sections = TEXT_GROUPS.map(([title, texts]) => {
    return `\n## ${title}\n\n${markdownTable([heading, ...texts.map(symptomRow)])}`;
  });
  return `${SYMPTOMS}${sections.join("")}`;
}
