/**
 * What `explain` prints: an error text with its causes, or a code; for people and as JSON; and all
 * of it as docs/diagnosis.md, so that the document and the program cannot differ.
 */
import { labelled, markdownTable, type Paint } from "../../base/table.ts";
import { CHECKS, type CheckName } from "./code.ts";
import { CODES, type CodeName, rowOf } from "./codes.ts";
import type { Cause } from "./error-text.ts";
import { type Explanation, TEXT_GROUPS, TEXTS, textsOf } from "./explain.ts";

const INDENT = "   ";
/** The service of every PVE node. */
const SERVICE = "pve2";

/** A template of `code` for reading: its usual path, and `{pid}` as `PID`. */
function readable(code: CodeName, template: string): string {
  return template
    .replaceAll("{path}", rowOf(code).usualPath ?? "PATH")
    .replaceAll("{service}", SERVICE)
    .replaceAll(/\{(\w+)\}/g, (_, name: string) => name.toUpperCase());
}

/** The remedies of a code without a measurement. */
export interface Remedy {
  readonly fix?: string;
  readonly advice?: string;
}

/**
 * The fix itself if it needs no value but its usual path; otherwise the command that prints it with
 * the values of the machine, because a command with a placeholder cannot be run.
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
  return [
    ...(fix === undefined ? [] : [`${indent}fix:  ${paint.bold(fix)}`]),
    ...(advice === undefined ? [] : [labelled(`${indent}next: `, advice)]),
  ];
}

/** What went wrong, in a sentence or two. */
function causeText({ text, code }: Cause): string {
  if (text !== undefined) return text;
  return code === undefined ? "" : readable(code, CODES[code].cause);
}

function causeLines(cause: Cause, index: number, paint: Paint): string[] {
  const { code, tell } = cause;
  const heading = code === undefined ? "" : `${CODES[code].title} [${code}]: `;
  const lines = [labelled(`${index + 1}. `, `${heading}${causeText(cause)}`)];
  lines.push(labelled(`${INDENT}tell: `, tell));
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
    labelled("", text.meaning),
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

const LABELS = markdownTable([
  ["label", "means", "exit code"],
  ["PASS", "checked, no fault", "0"],
  ["SKIP", "not checked; the line says why", "0 (3 if all checks were skipped)"],
  ["NOTICE", "worth knowing", "0"],
  ["WARN", "will break, or is broken for some", "1"],
  ["FAIL", "broken", "2"],
]);

const FIELDS = markdownTable([
  ["field", "is"],
  ["schema_version", "1"],
  ["version", "of pmxcfs-ipc"],
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
  ["advice", "what to do by hand or to check; commands are in backticks"],
  ["follows_from", "the code that explains this finding, which has the fix"],
  ["findings[].measures[]", "name, value, unit, limit_is_lower; request and limit, each or null"],
  ["unit of a measure", "`s`, `bytes`, `percent`, or empty for a count"],
]);

const INTRODUCTION = `# Diagnosis

What \`pmxcfs-ipc --check\` can find, and the error texts that \`pmxcfs-ipc explain\` knows.
Made by \`pmxcfs-ipc explain --markdown > docs/diagnosis.md\`: change the tables in
src/tools/diagnosis, not this file.

## Reading a report

The first and the last lines are the verdict: the worst finding, or the cause if findings follow
from each other. Between them are the findings that are not PASS, and one line of totals;
\`--verbose\` prints all. Each finding has a stable code; \`--only\` and \`--skip\` take codes and
checks.

A \`fix\` is a command that is safe to paste as root: it deletes nothing that it does not keep
elsewhere, overwrites no backup, has no placeholder, and ends no process that it does not identify.
A test executes each on the fault that it repairs, and compares all files before and after.
If the command depends on the node, this page has the \`--check\` that prints it.
Where no command is safe, \`next\` says what to do by hand. A finding that \`follows from\` another
has no fix of its own: it disappears with its cause.

${LABELS}
The exit code is the same in every mode (\`--json\`, \`--quiet\`, \`--nagios\`, \`--checkmk\`,
\`--openmetrics\`). Each check has a deadline (\`--deadline\`, 2 s), and so has the whole run
(\`--total-deadline\`, 10 s).

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
  const { code, tell } = cause;
  const heading = code === undefined ? "" : `${CODES[code].title} (${anchor(code)}): `;
  return `1. ${heading}${causeText(cause)} Tell by: ${tell}.\n`;
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

Error lines, what they mean, and what to check first. Paste a whole line, or a log, into
\`pmxcfs-ipc explain\` for all causes and their fixes; \`pmxcfs-ipc --check\` examines the node
itself. Made by \`pmxcfs-ipc explain --list --markdown > docs/symptoms.md\`.
`;

/** The first sentence of a meaning. */
function firstSentence(text: string): string {
  return /^.*?[.:](?= |$)/.exec(text)?.[0].replace(/:$/, ".") ?? text;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

function symptomRow({ title, meaning, causes }: (typeof TEXTS)[number]): string[] {
  const codes = [...new Set(causes.flatMap(({ code }) => code ?? []))];
  const links = codes.map((code) => `[${code}](diagnosis.md#${code.toLowerCase()})`);
  return [title, firstSentence(meaning), causes[0]?.tell ?? "", links.join(", ")].map(cell);
}

/** docs/symptoms.md: one row for each error text. */
export function renderSymptoms(): string {
  const heading = ["you see", "it means", "check first", "codes"];
  const sections = TEXT_GROUPS.map(([title, texts]) => {
    return `\n## ${title}\n\n${markdownTable([heading, ...texts.map(symptomRow)])}`;
  });
  return `${SYMPTOMS}${sections.join("")}`;
}
