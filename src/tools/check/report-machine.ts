/** The report for programs: JSON, and the formats of Nagios, Checkmk and Prometheus. */
import { jsonText } from "../../base/escape.ts";
import { CHECKS, type Severity } from "../diagnosis/code.ts";
import { textsOf } from "../diagnosis/explain.ts";
import type { Finding, Measure } from "./finding.ts";
import type { Report } from "./report.ts";

/** Incremented when a field changes its meaning or is removed; new fields do not count. */
const SCHEMA_VERSION = 1;

function jsonFinding(finding: Finding) {
  const { check, severity, code, text, cause, fix, advice, followsFrom, measures, details } =
    finding;
  return {
    check,
    severity,
    code: code ?? null,
    text,
    cause: cause ?? null,
    fix: fix ?? null,
    advice: advice ?? null,
    follows_from: followsFrom ?? null,
    docs: code === undefined ? null : `docs/diagnosis.md#${code.toLowerCase()}`,
    seen: code === undefined ? [] : textsOf(code).map(({ title }) => title),
    measures: measures.map(({ name, request, value, unit, limit, low }) => ({
      name,
      request: request ?? null,
      value,
      unit,
      limit: limit ?? null,
      limit_is_lower: low ?? false,
    })),
    details,
  };
}

/** docs/diagnosis.md lists the fields. */
export function renderJson(report: Report, version: string): string {
  const { verdict } = report;
  const whole = {
    schema_version: SCHEMA_VERSION,
    version,
    time: new Date(report.at).toISOString(),
    duration_ms: Math.round(report.durationMs),
    host: report.host,
    service: report.service,
    exit_code: report.exitCode,
    verdict: {
      severity: verdict.severity,
      code: verdict.code ?? null,
      text: verdict.text,
      fix: verdict.fix ?? null,
      advice: verdict.advice ?? null,
    },
    counts: report.counts,
    findings: report.findings.map(jsonFinding),
  };
  return `${jsonText(whole, 2)}\n`;
}

const STATES = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];

/** Severity as a plugin's state; a skipped check is no fault. */
const STATE_OF: Readonly<Record<Severity, number>> = {
  pass: 0,
  skip: 0,
  notice: 0,
  warn: 1,
  fail: 2,
};

const NAGIOS_UNITS = { s: "s", bytes: "B", percent: "%", "": "" } as const;

function allMeasures(report: Report): Measure[] {
  return report.findings.flatMap((finding) => finding.measures);
}

function label({ name, request }: Measure): string {
  return request === undefined ? name : `${request.toLowerCase()}_${name}`;
}

function threshold({ limit, low }: Measure): string {
  if (limit === undefined) return "";
  return low === true ? `${limit}:` : `${limit}`;
}

function decimal(value: number): string {
  return String(Math.round(value * 1e9) / 1e9);
}

/** One line of text for a plugin, without `|` and newlines, which its syntax uses. */
function plain(text: string): string {
  return text.replaceAll(/[|\r\n]/g, " ");
}

function headline({ verdict, counts }: Report): string {
  const code = verdict.code === undefined ? "" : ` [${verdict.code}]`;
  const others = counts.fail + counts.warn - 1;
  return plain(`${verdict.text}${code}${others > 0 ? ` (and ${others} more)` : ""}`);
}

/** Monitoring plugin: one line, performance data after `|`. */
export function renderNagios(report: Report): string {
  const data = allMeasures(report).map((measure) => {
    const { value, unit } = measure;
    return `${label(measure)}=${decimal(value)}${NAGIOS_UNITS[unit]};${threshold(measure)};;0`;
  });
  const state = STATES[report.exitCode] ?? "UNKNOWN";
  const performance = data.length === 0 ? "" : ` | ${data.join(" ")}`;
  return `PMXCFS-IPC ${state} - ${headline(report)}${performance}\n`;
}

function checkmkLine(state: number, name: string, list: readonly Measure[], text: string): string {
  const data = list.map((measure) => {
    const limit = threshold(measure);
    return `${label(measure)}=${decimal(measure.value)}${limit === "" ? "" : `;${limit}`}`;
  });
  return `${state} "${name}" ${data.length === 0 ? "-" : data.join("|")} ${plain(text)}\n`;
}

/** Checkmk local check: the verdict as one service, and one for each check. */
export function renderCheckmk(report: Report): string {
  const byCheck = Map.groupBy(report.findings, ({ check }) => check);
  const lines = [...byCheck].map(([check, list]) => {
    const state = Math.max(...list.map(({ severity }) => STATE_OF[severity]));
    const worst = list.find(({ severity }) => STATE_OF[severity] === state);
    const code = worst?.code === undefined ? "" : ` [${worst.code}]`;
    const all = list.flatMap((finding) => finding.measures);
    return checkmkLine(state, `PMXCFS IPC ${CHECKS[check]}`, all, `${worst?.text ?? ""}${code}`);
  });
  return checkmkLine(report.exitCode, "PMXCFS IPC", [], headline(report)) + lines.join("");
}

const PREFIX = "pmxcfs_ipc_check_";

/** As an OpenMetrics label value. */
function quoted(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}

function family(name: string, help: string, samples: readonly string[]): string {
  if (samples.length === 0) return "";
  const whole = `${PREFIX}${name}`;
  const lines = samples.map((one) => `${whole}${one}\n`);
  return `# TYPE ${whole} gauge\n# HELP ${whole} ${help}\n${lines.join("")}`;
}

function measureFamily(name: string, list: readonly Measure[]): string {
  const percent = list[0]?.unit === "percent";
  const samples = list.map(({ request, value }) => {
    const labels = request === undefined ? "" : `{request=${quoted(request)}}`;
    return `${labels} ${decimal(percent ? value / 100 : value)}`;
  });
  const help = `Measured by pmxcfs-ipc --check: ${name.replaceAll("_", " ")}.`;
  return family(percent ? `${name}_ratio` : name, help, samples);
}

/** OpenMetrics text, for node_exporter's textfile directory. */
export function renderOpenMetrics(report: Report): string {
  const states = Map.groupBy(report.findings, ({ check }) => check);
  const checks = [...states].map(([check, list]) => {
    const state = Math.max(...list.map(({ severity }) => STATE_OF[severity]));
    return `{check=${quoted(check)}} ${state}`;
  });
  const bad = report.findings.filter(({ code }) => code !== undefined);
  const codes = new Map(bad.map(({ check, code, severity }) => [code, { check, severity }]));
  const found = [...codes].map(([code, { check, severity }]) => {
    const labels = `check=${quoted(check)},code=${quoted(code ?? "")},severity=${quoted(severity)}`;
    return `{${labels}} 1`;
  });
  const counts = Object.entries(report.counts).map(
    ([severity, count]) => `{severity=${quoted(severity)}} ${count}`,
  );
  const byName = Map.groupBy(allMeasures(report), ({ name }) => name);
  return [
    family("state", "Verdict: 0 OK, 1 warning, 2 critical, 3 unknown.", [` ${report.exitCode}`]),
    family("check_state", "State of each check: 0 OK, 1 warning, 2 critical.", checks),
    family("finding", "A finding by its code.", found),
    family("findings", "Findings by severity.", counts),
    family("duration_seconds", "How long the run took.", [` ${decimal(report.durationMs / 1000)}`]),
    family("run_timestamp_seconds", "When the run ended.", [` ${Math.round(report.at / 1000)}`]),
    ...[...byName].map(([name, list]) => measureFamily(name, list)),
    "# EOF\n",
  ].join("");
}
