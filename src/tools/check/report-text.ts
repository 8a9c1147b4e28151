/**
 * The report for people: the verdict, sections in the style of PVE's upgrade checkers, the totals.
 */
import { labelled, type Paint } from "../../base/table.ts";
import { CHECKS, type CheckName, type Severity } from "../diagnosis/code.ts";
import { textsOf } from "../diagnosis/explain.ts";
import type { Finding } from "./finding.ts";
import { type Report, isNotInstalled } from "./report.ts";

const INDENT = " ".repeat(6);

const LABELS: Readonly<Record<Severity, string>> = {
  pass: "PASS",
  skip: "SKIP",
  notice: "NOTICE",
  warn: "WARN",
  fail: "FAIL",
};

function paintLabel(severity: Severity, paint: Paint): (text: string) => string {
  if (severity === "pass") return paint.green;
  if (severity === "warn") return paint.yellow;
  if (severity === "fail") return (text) => paint.bold(paint.red(text));
  return severity === "notice" ? paint.bold : (text) => text;
}

function headline(report: Report, paint: Paint): string {
  const { verdict } = report;
  const code = verdict.code === undefined ? "" : ` [${verdict.code}]`;
  const label = LABELS[verdict.severity];
  const others = isNotInstalled(report) ? 0 : report.counts.fail + report.counts.warn - 1;
  const more = others > 0 ? ` (and ${others} more)` : "";
  return paintLabel(verdict.severity, paint)(`${label}: ${verdict.text}${code}${more}`);
}

/** Fix and advice. A command is not wrapped, so that it can be pasted. */
function remedyLines({ fix, advice }: Pick<Finding, "fix" | "advice">, paint: Paint): string[] {
  return [
    ...(fix === undefined ? [] : [`${INDENT}fix:   ${paint.bold(fix)}`]),
    ...(advice === undefined ? [] : [labelled(`${INDENT}next:  `, advice)]),
  ];
}

function seenLines(finding: Finding): string[] {
  if (finding.code === undefined) return [];
  const titles = textsOf(finding.code).map(({ title }) => title);
  return titles.length === 0 ? [] : [labelled(`${INDENT}seen:  `, titles.join("; "))];
}

function findingLines(finding: Finding, paint: Paint): string[] {
  const { severity, code, text, cause, followsFrom, details } = finding;
  const name = code === undefined ? "" : ` [${code}]`;
  const line = paintLabel(severity, paint)(`${LABELS[severity]}: ${text}${name}`);
  const lines = [severity === "skip" ? `${LABELS.skip}: ${text}` : line];
  if (followsFrom === undefined) {
    if (cause !== undefined) lines.push(labelled(`${INDENT}cause: `, cause));
    lines.push(...remedyLines(finding, paint), ...seenLines(finding));
  } else {
    lines.push(`${INDENT}follows from: ${followsFrom}`);
  }
  lines.push(...details.map((detail) => paint.dim(`${INDENT}| ${detail}`)));
  return lines;
}

function section(check: string, findings: readonly Finding[], paint: Paint): string[] {
  const title = CHECKS[check as CheckName].toUpperCase();
  const lines = findings.flatMap((finding) => findingLines(finding, paint));
  return [paint.bold(`= CHECKING ${title} =`), "", ...lines, ""];
}

function totals({ counts }: Report, paint: Paint): string {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const parts = [
    `TOTAL: ${total}`,
    paint.green(`PASSED: ${counts.pass}`),
    `SKIPPED: ${counts.skip}`,
    `NOTICES: ${counts.notice}`,
    paint.yellow(`WARNINGS: ${counts.warn}`),
    paint.red(`FAILURES: ${counts.fail}`),
  ];
  return parts.join("  ");
}

/** The verdict with its fix; with its advice where there is none. */
function verdictLines(report: Report, paint: Paint): string[] {
  const { fix } = report.verdict;
  const remedy = fix === undefined ? report.verdict : { fix };
  return [headline(report, paint), ...remedyLines(remedy, paint)];
}

function notInstalled(report: Report, paint: Paint): string {
  const lines = report.findings
    .filter(({ code }) => code === "NOT_INSTALLED")
    .flatMap((finding) => findingLines(finding, paint));
  return `${lines.join("\n")}\n`;
}

/**
 * The report: first the verdict, then what did not pass (`verbose`: everything), then one line of
 * totals, and the verdict with its fix again, where it is still on the screen. A machine without
 * pmxcfs gets that one finding.
 */
export function renderText(report: Report, paint: Paint, verbose = false): string {
  if (isNotInstalled(report) && !verbose) return notInstalled(report, paint);
  const shown = report.findings.filter(({ severity }) => {
    return verbose || (severity !== "pass" && severity !== "skip");
  });
  const sections = [...Map.groupBy(shown, ({ check }) => check)].flatMap(([check, list]) =>
    section(check, list, paint),
  );
  if (sections.length === 0) return `${headline(report, paint)}\n${totals(report, paint)}\n`;
  const end = report.exitCode === 0 ? [headline(report, paint)] : verdictLines(report, paint);
  const lines = [
    ...verdictLines(report, paint),
    "",
    ...sections,
    totals(report, paint),
    "",
    ...end,
  ];
  return `${lines.join("\n")}\n`;
}

/** Nothing when all is well; otherwise the verdict with its reasons, and the other findings. */
export function renderQuiet(report: Report, paint: Paint): string {
  if (report.exitCode === 0) return "";
  if (isNotInstalled(report)) return notInstalled(report, paint);
  const bad = report.findings.filter(({ severity }) => severity === "warn" || severity === "fail");
  const { verdict } = report;
  const main = bad.find(({ code, text }) => code === verdict.code && text === verdict.text);
  const [, ...reasons] = main === undefined ? [] : findingLines(main, paint);
  const others = bad.filter((finding) => finding !== main);
  const lines = others.flatMap((finding) => findingLines(finding, paint));
  return [headline(report, paint), ...reasons, ...lines, ""].join("\n");
}
