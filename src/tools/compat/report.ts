/** A run's results as TAP 14, JUnit XML and JSON: texts, written by whoever asked for them. */
import type { Result } from "./run.ts";

/** `handshake.connect (libqb)`. */
function titleOf({ which, flavor }: Result): string {
  return `${which.name} (${flavor})`;
}

/** The first lines of a TAP 14 stream of `count` tests. */
export function tapStart(count: number): string {
  return `TAP version 14\n1..${count}\n`;
}

function yaml(fields: Readonly<Record<string, string | number | readonly string[]>>): string {
  const lines = Object.entries(fields).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`);
  return ["  ---", ...lines, "  ...", ""].join("\n");
}

/** One test point; `#` in text would start a directive. */
export function tapLine(number: number, result: Result): string {
  const title = titleOf(result).replaceAll("#", "\\#");
  const { outcome, reason = "", which, service, ms, deviations } = result;
  if (outcome === "skipped") return `ok ${number} - ${title} # SKIP ${reason}\n`;
  const word = outcome === "held" ? "ok" : "not ok";
  const fields = {
    shows: which.shows,
    service,
    duration_ms: Math.round(ms * 10) / 10,
    ...(reason === "" ? {} : { message: reason }),
    ...(deviations.length === 0 ? {} : { as_the_c_server: deviations }),
  };
  return `${word} ${number} - ${title}\n${yaml(fields)}`;
}

/** The line that ends a TAP stream early. */
export function tapBailOut(reason: string): string {
  return `Bail out! ${reason}\n`;
}

function xml(text: string): string {
  // Control characters are not allowed in XML 1.0 at all.
  // oxlint-disable-next-line no-control-regex -- exactly those are meant
  const clean = text.replaceAll(/[\u0000-\u0008\u000B\u000C\u000E-\u001F]/g, "?");
  return clean
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

function junitCase(result: Result): string {
  const { which, flavor, outcome, reason = "", ms } = result;
  const seconds = (ms / 1000).toFixed(3);
  const group = which.name.split(".")[0] ?? "";
  const names = `classname="${flavor}.${group}" name="${xml(which.name)}"`;
  const head = `    <testcase ${names} time="${seconds}"`;
  if (outcome === "held") return `${head}/>\n`;
  const tag = outcome === "failed" ? "failure" : "skipped";
  const text = outcome === "failed" ? xml(`${which.shows}\n${reason}`) : "";
  return `${head}><${tag} message="${xml(reason)}">${text}</${tag}></testcase>\n`;
}

/** A JUnit file: a suite for each kind of client. */
export function junit(results: readonly Result[]): string {
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
  const first = '<?xml version="1.0" encoding="UTF-8"?>';
  return `${first}\n<testsuites name="pmxcfs-ipc compat">\n${suites.join("")}</testsuites>\n`;
}

/** What `--json` prints. */
export function json(results: readonly Result[], seed: number): string {
  const count = (outcome: Result["outcome"]) =>
    results.filter((result) => result.outcome === outcome).length;
  const report = {
    schema_version: 1,
    seed,
    held: count("held"),
    failed: count("failed"),
    skipped: count("skipped"),
    cases: results.map(({ which, flavor, service, outcome, reason, deviations, ms }) => ({
      name: which.name,
      shows: which.shows,
      client: flavor,
      service,
      outcome,
      ...(reason === undefined ? {} : { reason }),
      ...(deviations.length === 0 ? {} : { as_the_c_server: deviations }),
      ms: Math.round(ms * 10) / 10,
    })),
  };
  return `${JSON.stringify(report, undefined, 2)}\n`;
}

/** Two services compared: the results of the same cases on each. */
export function difference(first: Result, second: Result): string | undefined {
  const steps = Math.max(first.seen.length, second.seen.length);
  for (let step = 0; step < steps; step++) {
    const [one = "nothing", other = "nothing"] = [first.seen[step], second.seen[step]];
    if (one !== other)
      return `answer ${step + 1}: ${first.service} ${one}; ${second.service} ${other}`;
  }
  if (first.outcome === second.outcome && first.reason === second.reason) return undefined;
  return `${inShort(first)}; ${inShort(second)}`;
}

function inShort({ service, outcome, reason }: Result): string {
  return `${service} ${outcome}${reason === undefined ? "" : ` (${reason})`}`;
}
