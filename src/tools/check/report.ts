/**
 * A finished run: its findings, their counts, the verdict (one line), and the exit code. Renderers
 * (report-text.ts, report-machine.ts) make the requested format of it.
 */
import type { CheckName, Severity } from "../diagnosis/code.ts";
import { CODES, type CodeName, EFFECTS, EXPLAINS_AS_FAILURE, isCode } from "../diagnosis/codes.ts";
import type { Finding, Measure } from "./finding.ts";

export type Counts = Readonly<Record<Severity, number>>;

export interface Verdict {
  readonly severity: Severity;
  readonly code?: CodeName;
  readonly text: string;
  readonly fix?: string;
  readonly advice?: string;
}

export interface Report {
  readonly host: string;
  readonly service: string;
  /** Milliseconds since 1970, at the end. */
  readonly at: number;
  readonly durationMs: number;
  readonly findings: readonly Finding[];
  readonly counts: Counts;
  readonly verdict: Verdict;
  readonly exitCode: number;
}

/** The exit codes of monitoring plugins. */
export const CheckExit = { OK: 0, WARNING: 1, CRITICAL: 2, UNKNOWN: 3 } as const;

function count(findings: readonly Finding[]): Counts {
  const counts = { pass: 0, skip: 0, notice: 0, warn: 0, fail: 0 };
  for (const { severity } of findings) counts[severity]++;
  return counts;
}

/** The warning or failure with this code that can explain another finding. */
function seriousFinding(code: CodeName, findings: readonly Finding[]): Finding | undefined {
  const isEnough = EXPLAINS_AS_FAILURE.has(code)
    ? ({ severity }: Finding) => severity === "fail"
    : ({ severity }: Finding) => severity !== "notice";
  return findings.find((one) => one.code === code && isEnough(one));
}

/** The finding that explains `finding`, over several steps; itself if there is none. */
function rootOf(finding: Finding, findings: readonly Finding[]): Finding {
  const seen = new Set<Finding>();
  let root = finding;
  while (!seen.has(root)) {
    seen.add(root);
    const causes = root.causes ?? (root.code && EFFECTS[root.code]) ?? [];
    root = causes.map((code) => seriousFinding(code, findings)).find((one) => one) ?? root;
  }
  return root;
}

/**
 * Marks findings that follow from another one and removes their fix: treating a consequence changes
 * the wrong thing.
 */
function withCauses(findings: readonly Finding[]): Finding[] {
  return findings.map((finding) => {
    const root = rootOf(finding, findings);
    if (root === finding || root.code === undefined) return finding;
    const { fix: _dropped, advice: _noAdvice, ...rest } = finding;
    return { ...rest, followsFrom: root.code };
  });
}

function measured(findings: readonly Finding[], name: string): Measure | undefined {
  return findings.flatMap(({ measures }) => measures).find((measure) => measure.name === name);
}

/** The verdict of a run without warnings. */
function passText(findings: readonly Finding[], counts: Counts): string {
  const p99 = measured(findings, "latency_p99_seconds");
  const latency = p99 === undefined ? "" : `, p99 ${(p99.value * 1000).toFixed(2)} ms`;
  const skipped = counts.skip === 0 ? "" : `, ${counts.skip} skipped`;
  const notices = counts.notice === 0 ? "" : `, ${counts.notice} to note`;
  const subject = p99 === undefined ? "nothing is wrong" : "the IPC of this node works";
  const passed = counts.pass === 1 ? "1 check passed" : `${counts.pass} checks passed`;
  return `${subject}: ${passed}${notices}${skipped}${latency}`;
}

function judge(findings: readonly Finding[], counts: Counts): Verdict {
  const worst = (["fail", "warn"] as const).find((severity) => counts[severity] > 0);
  if (worst === undefined) {
    if (counts.pass > 0 || counts.notice > 0) {
      return { severity: "pass", text: passText(findings, counts) };
    }
    return { severity: "skip", text: "nothing could be checked" };
  }
  const first = findings.find(({ severity }) => severity === worst);
  const root = first === undefined ? undefined : rootOf(first, findings);
  return {
    severity: worst,
    text: root?.text ?? "",
    ...(root?.code === undefined ? {} : { code: root.code }),
    ...(root?.fix === undefined ? {} : { fix: root.fix }),
    ...(root?.advice === undefined ? {} : { advice: root.advice }),
  };
}

const EXITS: Readonly<Record<Severity, number>> = {
  pass: CheckExit.OK,
  notice: CheckExit.OK,
  warn: CheckExit.WARNING,
  fail: CheckExit.CRITICAL,
  skip: CheckExit.UNKNOWN,
};

/** Two probes may report one fault: it is kept once. */
function unique(findings: readonly Finding[]): Finding[] {
  const seen = new Set<string>();
  return findings.filter(({ code, text }) => {
    const key = `${code ?? ""} ${text}`;
    const known = code !== undefined && seen.has(key);
    seen.add(key);
    return !known;
  });
}

/** Summarizes the findings of a run: verdict, totals, exit code. */
export function makeReport(
  run: Pick<Report, "host" | "service" | "at" | "durationMs">,
  all: readonly Finding[],
): Report {
  const findings = withCauses(unique(all));
  const counts = count(findings);
  const verdict = judge(findings, counts);
  return { ...run, findings, counts, verdict, exitCode: EXITS[verdict.severity] };
}

/** True on a machine without pmxcfs: the report is that one finding. */
export function isNotInstalled({ findings }: Report): boolean {
  return findings.some(({ code }) => code === "NOT_INSTALLED");
}

/** What to report: checks and codes by name. */
export interface Selection {
  readonly only: readonly string[];
  readonly skip: readonly string[];
}

/** Checks whose probes find a code of another check. */
const FOUND_BY: Readonly<Partial<Record<CodeName, readonly CheckName[]>>> = {
  ACCESS_REFUSED_GID: ["identity"],
  ACCESS_REFUSED_RULE: ["identity"],
  ACCESS_REFUSED_UID: ["identity"],
  CLOCK_BACKWARDS: ["rrd", "database"],
  CLUSTER_CLOCK_DIFFERS: ["rrd", "database"],
  NODENAME_DIFFERS: ["cluster"],
  NODE_DIRECTORY_MISSING: ["database"],
  REQUEST_HUNG: ["latency", "permissions"],
  ROOT_GID_UNUSUAL: ["handshake"],
  SOCKET_ABSENT: ["handshake"],
  SOCKET_TAKEN: ["handshake", "requests"],
};

/** The checks whose probes find what `name`, a check or a code, is about. */
function checksOf(name: string): readonly string[] {
  if (!isCode(name)) return [name];
  return [CODES[name].check, ...(FOUND_BY[name] ?? [])];
}

/** Whether the probe of `check` has to run. */
export function wanted(check: CheckName, { only, skip }: Selection): boolean {
  if (skip.includes(check)) return false;
  return only.length === 0 || only.some((name) => checksOf(name).includes(check));
}

/** Whether a finding of the probe of `check` is to be reported. */
export function kept(check: CheckName, { code }: Finding, { only, skip }: Selection): boolean {
  if (code !== undefined && skip.includes(code)) return false;
  if (only.length === 0 || code === undefined || only.includes(check)) return true;
  return only.includes(code);
}
