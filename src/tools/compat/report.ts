/** A run's results as TAP 14, JUnit XML and JSON. */
import { escapeLines, escapeMarkup, escapeText, jsonText } from "../../base/escape.ts";
import { type Result, totals } from "./run.ts";

/** `handshake.connect (libqb)`. */
function titleOf({ testCase, flavor }: Result): string {
  return `${testCase.name} (${flavor})`;
}

/** The first lines of a TAP 14 stream of `count` tests. */
export function tapStart(count: number): string {
  return `TAP version 14\n1..${count}\n`;
}

function yaml(fields: Readonly<Record<string, string | number | readonly string[]>>): string {
  const lines = Object.entries(fields).map(([key, value]) => `  ${key}: ${jsonText(value)}`);
  return ["  ---", ...lines, "  ...", ""].join("\n");
}

/** One test point; a `#` in the text would start a directive, and is escaped. */
export function tapLine(number: number, result: Result): string {
  const title = titleOf(result).replaceAll("#", "\\#");
  const { outcome, reason = "", testCase, service, ms, deviations } = result;
  if (outcome === "skipped") return `ok ${number} - ${title} # SKIP ${escapeText(reason)}\n`;
  const word = outcome === "passed" ? "ok" : "not ok";
  const fields = {
    shows: testCase.shows,
    service,
    duration_ms: Math.round(ms * 10) / 10,
    ...(reason === "" ? {} : { message: reason }),
    ...(deviations.length === 0 ? {} : { as_the_c_server: deviations }),
  };
  return `${word} ${number} - ${title}\n${yaml(fields)}`;
}

/** The line that ends a TAP stream early. */
export function tapBailOut(reason: string): string {
  return `Bail out! ${escapeText(reason)}\n`;
}

/** `# 12 passed, 1 failed, 3 skipped, 4 not run`: the last line of every run, aborted or not. */
export function tapTotals(results: readonly Result[], planned: number): string {
  const { passed, failed, skipped } = totals(results);
  const left = planned - results.length;
  const unrun = left === 0 ? "" : `, ${left} not run`;
  return `# ${passed} passed, ${failed} failed, ${skipped} skipped${unrun}\n`;
}

/** Escapes text for XML 1.0, in which control characters other than line ends are invalid. */
function xml(text: string): string {
  return escapeMarkup(escapeLines(text).replaceAll(/[\uFFFE\uFFFF]/g, "?"));
}

function junitCase(result: Result): string {
  const { testCase, flavor, outcome, reason = "", ms } = result;
  const seconds = (ms / 1000).toFixed(3);
  const group = testCase.name.split(".")[0] ?? "";
  const names = `classname="${flavor}.${group}" name="${xml(testCase.name)}"`;
  const head = `    <testcase ${names} time="${seconds}"`;
  if (outcome === "passed") return `${head}/>\n`;
  const tag = outcome === "failed" ? "failure" : "skipped";
  const text = outcome === "failed" ? xml(`${testCase.shows}\n${reason}`) : "";
  return `${head}><${tag} message="${xml(reason)}">${text}</${tag}></testcase>\n`;
}

/** The suite for a service that could not be tested, or for a run that was stopped. */
function junitError(reason: string): string {
  const counts = 'tests="1" failures="0" errors="1" skipped="0"';
  const head = `  <testsuite name="compat" ${counts} time="0">`;
  const text = xml(reason);
  const names = 'classname="compat" name="service"';
  const test = `<testcase ${names}><error message="${text}"/></testcase>`;
  return `${head}\n    ${test}\n  </testsuite>\n`;
}

/**
 * A JUnit file: a suite for each kind of client, and one with an error when the run ended early,
 * because of `aborted`.
 */
export function junit(results: readonly Result[], aborted?: string): string {
  const flavors = [...new Set(results.map(({ flavor }) => flavor))];
  const suites = flavors.map((flavor) => {
    const own = results.filter((result) => result.flavor === flavor);
    const count = (outcome: Result["outcome"]) =>
      own.filter((result) => result.outcome === outcome).length;
    const seconds = (own.reduce((sum, { ms }) => sum + ms, 0) / 1000).toFixed(3);
    const counts = `tests="${own.length}" failures="${count("failed")}" errors="0"`;
    const head = `  <testsuite name="compat.${flavor}" ${counts} skipped="${count("skipped")}"`;
    return `${head} time="${seconds}">\n${own.map(junitCase).join("")}  </testsuite>\n`;
  });
  const error = aborted === undefined ? "" : junitError(aborted);
  const first = '<?xml version="1.0" encoding="UTF-8"?>';
  const all = `${suites.join("")}${error}`;
  return `${first}\n<testsuites name="pmxcfs-ipc compat">\n${all}</testsuites>\n`;
}

/** The document of `--json`; `aborted` is the reason if the run ended early. */
export function json(results: readonly Result[], seed: number, aborted?: string): string {
  const report = {
    schema_version: 1,
    seed,
    ...totals(results),
    ...(aborted === undefined ? {} : { aborted }),
    cases: results.map(({ testCase, flavor, service, outcome, reason, deviations, ms }) => ({
      name: testCase.name,
      shows: testCase.shows,
      client: flavor,
      service,
      outcome,
      ...(reason === undefined ? {} : { reason }),
      ...(deviations.length === 0 ? {} : { as_the_c_server: deviations }),
      ms: Math.round(ms * 10) / 10,
    })),
  };
  return `${jsonText(report, 2)}\n`;
}

/** The difference between two services in the same case; undefined if there is none. */
export function difference(first: Result, second: Result): string | undefined {
  const steps = Math.max(first.seen.length, second.seen.length);
  for (let step = 0; step < steps; step++) {
    const [one = "nothing", other = "nothing"] = [first.seen[step], second.seen[step]];
    if (one === other) continue;
    let at = 0;
    while (one[at] === other[at]) at++;
    const from = Math.max(0, at - CONTEXT_CHARS);
    const part = (text: string) => escapeText(text.slice(from, at + CONTEXT_CHARS));
    const where = from === 0 ? "" : ` from character ${from}`;
    const both = `${first.service} ${part(one)}; ${second.service} ${part(other)}`;
    return `answer ${step + 1}${where}: ${both}`;
  }
  if (first.outcome === second.outcome && first.reason === second.reason) return undefined;
  return escapeText(`${summary(first)}; ${summary(second)}`);
}

/** Characters shown on both sides of the first difference of two texts. */
const CONTEXT_CHARS = 40;

function summary({ service, outcome, reason }: Result): string {
  return `${service} ${outcome}${reason === undefined ? "" : ` (${reason})`}`;
}
