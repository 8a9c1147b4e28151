/**
 * The regression gate: the ratios of the baseline, and how much worse a run may be. Times are not
 * compared. Round trips are compared with the floor's if it was measured, because C's depend on
 * whether the scheduler runs its client on the same processor (docs/performance.md).
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ratio } from "./report.ts";
import type { Outcome } from "./run.ts";
import type { Metric } from "./scenario.ts";

const FILE = join(import.meta.dir, "baseline.json");

/** The checked metrics: whether more is better, and by what factor they may be worse. */
const GATES: Partial<Record<Metric, { readonly more: boolean; readonly slack: number }>> = {
  perSecond: { more: true, slack: 12 },
  cpuMsPer100k: { more: false, slack: 6 },
  cpuUsPerConnect: { more: false, slack: 3 },
  // Other load does not change these, but the version of the runtime may.
  connectionKiB: { more: false, slack: 2 },
  filesKiB: { more: false, slack: 1.5 },
};

type Baseline = Record<string, Partial<Record<Metric, number>>>;

const metrics = Object.keys(GATES) as Metric[];

/** The server that a metric of an outcome is compared with. */
function referenceOf({ median }: Outcome, metric: Metric): "c" | "floor" {
  return metric === "perSecond" && median.floor !== undefined ? "floor" : "c";
}

function gateRatio(outcome: Outcome, metric: Metric): number | undefined {
  return ratio(outcome, metric, referenceOf(outcome, metric));
}

/** The baseline with the ratios of these outcomes; those of other scenarios are kept. */
export function updated(before: Baseline, outcomes: readonly Outcome[]): Baseline {
  const baseline = { ...before };
  for (const outcome of outcomes) {
    const ratios: Partial<Record<Metric, number>> = {};
    for (const metric of metrics) {
      const value = gateRatio(outcome, metric);
      if (value !== undefined && Number.isFinite(value)) ratios[metric] = Number(value.toFixed(3));
    }
    if (Object.keys(ratios).length > 0) baseline[outcome.name] = ratios;
  }
  return baseline;
}

function stored(): Baseline {
  return JSON.parse(readFileSync(FILE, "utf8")) as Baseline;
}

/** Stores the ratios of these outcomes in the baseline. */
export function storeBaseline(outcomes: readonly Outcome[]): void {
  writeFileSync(FILE, `${JSON.stringify(updated(stored(), outcomes), undefined, 2)}\n`);
}

/** Lines about metrics of an outcome that are worse than the baseline by more than the slack. */
export function regressions(outcome: Outcome): string[] {
  const ratios = stored()[outcome.name] ?? {};
  return metrics.flatMap((metric) => {
    const gate = GATES[metric];
    const before = ratios[metric];
    const now = gateRatio(outcome, metric);
    if (gate === undefined || before === undefined || now === undefined) return [];
    const bound = gate.more ? before / gate.slack : before * gate.slack;
    if (gate.more ? now >= bound : now <= bound) return [];
    const bounds = `baseline ${before}, bound ${bound.toFixed(2)}`;
    const reference = referenceOf(outcome, metric) === "floor" ? "the floor's" : "C's";
    return [`${outcome.name}: ${metric} is ${now.toFixed(2)} of ${reference} (${bounds})`];
  });
}
