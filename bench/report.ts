/** The report of the benchmark: tables with ratios and goals, a text plot, RESULTS.md. */
import type { Outcome } from "./run.ts";
import type { Goal, Metric, Scenario } from "./scenario.ts";

/** The content of `--out`, from which RESULTS.md is made. */
export interface Report {
  readonly machine: Readonly<Record<string, string>>;
  readonly taken: string;
  readonly outcomes: readonly Outcome[];
}

interface Column {
  readonly title: string;
  readonly show: (value: number) => string;
  /** The difference of two values, which may be near 0: it has no meaningful ratio. */
  readonly isDifference?: true;
}

const us = (ns: number): string => `${trim(ns / 1000)} us`;
const whole = (value: number): string => Math.round(value).toLocaleString("en");
const plain = (value: number): string => trim(value);

const COLUMNS: Readonly<Record<Metric, Column>> = {
  perSecond: { title: "per second", show: whole },
  p50: { title: "p50", show: us },
  p99: { title: "p99", show: us },
  p999: { title: "p99.9", show: us },
  max: { title: "max", show: us },
  perSecondAlone: { title: "alone: per second", show: whole },
  p99Alone: { title: "alone: p99", show: us },
  p99Added: { title: "p99 above alone", show: us, isDifference: true },
  slowedBy: { title: "slower than alone, %", show: plain, isDifference: true },
  cpuMsPer100k: { title: "server CPU per 100k, ms", show: plain },
  cpuUsPerConnect: { title: "server CPU per connect, us", show: plain },
  idleCpuMs: { title: "idle CPU, ms/s", show: plain },
  wakeups: { title: "wake-ups/s", show: plain },
  startMs: { title: "exec to first answer, ms", show: plain },
  restKiB: { title: "private memory at rest, KiB", show: plain },
  connectionKiB: { title: "private memory per connection, KiB", show: plain },
  filesKiB: { title: "private memory per 1,000 files, KiB", show: plain },
};

function trim(value: number): string {
  return Number.parseFloat(value.toPrecision(3)).toLocaleString("en", {
    maximumFractionDigits: 3,
  });
}

/**
 * Ours divided by C's, or by the floor's; undefined if the ratio is meaningless or a value is
 * missing.
 */
export function ratio(
  outcome: Outcome,
  metric: Metric,
  divisor: "c" | "floor" = "c",
): number | undefined {
  if (COLUMNS[metric].isDifference === true) return undefined;
  const other = outcome.median[divisor]?.[metric];
  const ours = outcome.median.ours[metric];
  return other === undefined || ours === undefined || other === 0 ? undefined : ours / other;
}

function timesText(value: number | undefined): string {
  return value === undefined ? "" : `${trim(value)}x`;
}

/** One line per metric of an outcome: C, ours, floor, both ratios, and its goals. */
export function rows(outcome: Outcome, goals: readonly Goal[]): string[][] {
  return (Object.keys(COLUMNS) as Metric[]).flatMap((metric) => {
    const ours = outcome.median.ours[metric];
    const c = outcome.median.c?.[metric];
    if (ours === undefined) return [];
    const floor = outcome.median.floor?.[metric];
    const { title, show } = COLUMNS[metric];
    const verdicts = goals
      .filter((each) => each.metric === metric)
      .map((goal) => `${goalText(goal)}: ${met(outcome, goal)}`);
    const ratios = (["c", "floor"] as const).map((divisor) =>
      timesText(ratio(outcome, metric, divisor)),
    );
    const floorText = floor === undefined ? "" : show(floor);
    const cText = c === undefined ? "" : show(c);
    return [[title, cText, show(ours), floorText, ...ratios, verdicts.join("; ")]];
  });
}

function goalText({ metric, divisor, atLeast, atMost, below }: Goal): string {
  if (below !== undefined) return `< ${COLUMNS[metric].show(below)}`;
  const bound = atLeast === undefined ? `<= ${atMost}x` : `>= ${atLeast}x`;
  return divisor === "floor" ? `${bound} of the floor` : bound;
}

/** True if the medians meet the goal, or have no value for it. */
export function meets(outcome: Outcome, goal: Goal): boolean {
  if (goal.below !== undefined) return (outcome.median.ours[goal.metric] ?? 0) < goal.below;
  const value = ratio(outcome, goal.metric, goal.divisor);
  if (value === undefined) return true;
  return value >= (goal.atLeast ?? 0) && value <= (goal.atMost ?? Number.POSITIVE_INFINITY);
}

function met(outcome: Outcome, goal: Goal): string {
  const isKnown =
    goal.below !== undefined || ratio(outcome, goal.metric, goal.divisor) !== undefined;
  if (!isKnown) return "not measured";
  return meets(outcome, goal) ? "met" : "NOT met";
}

const HEAD = ["", "C", "ours", "floor", "ours/C", "ours/floor", "goal"];

/** Above this part (0 to 1) of other load, the results are not reliable. */
const DISTURBED = 0.1;

function caveat(outcome: Outcome): string {
  if (outcome.foreignLoad < DISTURBED) return "";
  return `disturbed: other processes kept ${trim(outcome.foreignLoad * 100)} % of the machine busy`;
}

/** A table for the terminal. */
export function textTable(outcome: Outcome, goals: readonly Goal[]): string {
  const all = [[outcome.name, ...HEAD.slice(1)], ...rows(outcome, goals)];
  const widths = HEAD.map((_, i) => Math.max(...all.map((row) => (row[i] ?? "").length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join("  ");
  return [...all.map((row) => line(row).trimEnd()), caveat(outcome)].filter(Boolean).join("\n");
}

/** Bars of the ratio of round trips; four characters per doubling. */
export function plot(outcomes: readonly Outcome[]): string {
  const bars = outcomes.flatMap((outcome) => {
    const value = ratio(outcome, "perSecond");
    if (value === undefined) return [];
    const bar = "#".repeat(Math.max(1, Math.round(4 * Math.log2(Math.max(1, value)) + 1)));
    return [[outcome.name, `${bar} ${trim(value)}x`] as const];
  });
  const width = Math.max(0, ...bars.map(([name]) => name.length));
  return bars.map(([name, bar]) => `${name.padEnd(width)} |${bar}`).join("\n");
}

/** How many runs the rows had: `3`, or `3 to 7`. */
export function runsText(outcomes: readonly Outcome[]): string {
  const counts = outcomes.map(({ runs }) => runs.ours.length);
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return least === most ? `${least}` : `${least} to ${most}`;
}

/** The content of bench/RESULTS.md. */
export function markdown(report: Report, scenarios: readonly Scenario[]): string {
  const goalsOf = (name: string) => scenarios.find((each) => each.name === name)?.goals ?? [];
  const machine = Object.entries(report.machine).map(([key, value]) => `- ${key}: ${value}`);
  const tables = report.outcomes.map((outcome) => {
    const body = rows(outcome, goalsOf(outcome.name)).map((row) => `| ${row.join(" | ")} |`);
    const head = [`| ${HEAD.join(" | ")} |`, `| --- ${"| ---: ".repeat(HEAD.length - 1)}|`];
    const table = [...head, ...body].join("\n");
    return `### ${outcome.group}: ${outcome.name}\n\n${table}\n${caveat(outcome)}`;
  });
  return [
    "# Benchmark results\n",
    "Written by `bun run bench`; C is a server of test/native on libqb, in the same run, with the",
    "same C clients; the floor never sleeps, checks nothing and sends answers of the same size:",
    "no server is faster on this machine. In rows of the mount, C is the C server of --c-server.",
    `Medians of ${runsText(report.outcomes)} alternated runs.\n`,
    ...machine,
    `- taken: ${report.taken}\n`,
    `## Round trips per second, ours to C's\n\n\`\`\`\n${plot(report.outcomes)}\n\`\`\`\n`,
    "## Figures\n",
    ...tables,
  ].join("\n");
}
