/**
 * The regression gate: ratios as they were when the baseline was taken, and how far a run may
 * fall short of them. Ratios, never times. Round trips are held against the floor where there is
 * one: C's depend on whether the scheduler puts its client beside it (docs/performance.md).
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ratio } from "./report.ts";
import type { Outcome } from "./run.ts";
import type { Metric } from "./scenario.ts";

const FILE = join(import.meta.dir, "baseline.json");

/** What is held against it: whether more is better, and by what factor it may be worse. */
const GATES: Partial<Record<Metric, { readonly more: boolean; readonly slack: number }>> = {
  perSecond: { more: true, slack: 12 },
  cpuMsPer100k: { more: false, slack: 6 },
  cpuUsPerConnect: { more: false, slack: 3 },
  // No neighbour changes these; what the runtime itself takes may move with its version.
  connectionKiB: { more: false, slack: 2 },
  filesKiB: { more: false, slack: 1.5 },
};

type Baseline = Record<string, Partial<Record<Metric, number>>>;

const metrics = Object.keys(GATES) as Metric[];

/** What a metric of an outcome is held against. */
function referenceOf({ median }: Outcome, metric: Metric): "c" | "floor" {
  return metric === "perSecond" && median.floor !== undefined ? "floor" : "c";
}

function gateRatio(outcome: Outcome, metric: Metric): number | undefined {
  return ratio(outcome, metric, referenceOf(outcome, metric));
}

/** The baseline with the ratios of these outcomes; of others it keeps what it has. */
export function updated(before: Baseline, outcomes: readonly Outcome[]): Baseline {
  const baseline = { ...before };
  for (const outcome of outcomes) {
    const ratios: Partial<Record<Metric, number>> = {};
    for (const metric of metrics) {
      const by = gateRatio(outcome, metric);
      if (by !== undefined && Number.isFinite(by)) ratios[metric] = Number(by.toFixed(3));
    }
    if (Object.keys(ratios).length > 0) baseline[outcome.name] = ratios;
  }
  return baseline;
}

function stored(): Baseline {
  return JSON.parse(readFileSync(FILE, "utf8")) as Baseline;
}

/** Stores the ratios of these outcomes as what later runs are held against. */
export function storeBaseline(outcomes: readonly Outcome[]): void {
  writeFileSync(FILE, `${JSON.stringify(updated(stored(), outcomes), undefined, 2)}\n`);
}

/** What of an outcome is worse than the baseline by more than the slack, in words. */
export function regressions(outcome: Outcome): string[] {
  const ratios = stored()[outcome.name] ?? {};
  return metrics.flatMap((metric) => {
    const gate = GATES[metric];
    const before = ratios[metric];
    const now = gateRatio(outcome, metric);
    if (gate === undefined || before === undefined || now === undefined) return [];
    const bound = gate.more ? before / gate.slack : before * gate.slack;
    if (gate.more ? now >= bound : now <= bound) return [];
    const was = `baseline ${before}, bound ${bound.toFixed(2)}`;
    const of = referenceOf(outcome, metric) === "floor" ? "the floor's" : "C's";
    return [`${outcome.name}: ${metric} is ${now.toFixed(2)} of ${of} (${was})`];
  });
}
