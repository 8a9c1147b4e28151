/**
 * Runs probes: each with a deadline, those of one lane side by side, the lanes one after the other,
 * all within one time limit. A probe that hangs or throws is a finding; the others are unaffected.
 */
import { errorText } from "../../base/error-text.ts";
import { CHECKS, type CheckName } from "../diagnosis/code.ts";
import type { Facts } from "./context.ts";
import { type Finding, found } from "./finding.ts";
import type { Machine } from "./host.ts";
import type { Session } from "./session.ts";

export interface CheckOptions {
  readonly service: string;
  /** Time for one probe. */
  readonly deadlineMs: number;
  /** Time for all of them. */
  readonly totalMs: number;
  /** Round trips of the latency probe. */
  readonly rounds: number;
}

/** The arguments of a probe. */
export interface Context {
  readonly machine: Machine;
  readonly facts: Facts;
  readonly session: Session;
  readonly options: CheckOptions;
  /**
   * Milliseconds that an operation may still take, so that the probe itself can report what hung.
   */
  left(): number;
}

export interface Probe {
  readonly check: CheckName;
  /** Number of operations, each with the deadline of a probe; default: 1. */
  readonly operations?: number;
  run(context: Context): Promise<readonly Finding[]>;
}

/** Time of an operation that is left for the probe's report: this, or a part of its own time. */
const REPORT_MS = 100;
const REPORT_PART = 1 / 8;

function now(): number {
  return performance.now();
}

async function runOne(
  probe: Probe,
  base: Omit<Context, "left">,
  endMs: number,
): Promise<readonly Finding[]> {
  const started = now();
  const wanted = base.options.deadlineMs * (probe.operations ?? 1);
  const deadlineMs = Math.max(0, Math.min(wanted, endMs - started));
  const reportMs = Math.max(REPORT_MS, base.options.deadlineMs * REPORT_PART);
  const left = () => Math.max(1, started + deadlineMs - reportMs - now());
  const name = CHECKS[probe.check];
  const late = Promise.withResolvers<readonly Finding[]>();
  const timer = setTimeout(() => {
    const values = { name, check: probe.check, deadline: Math.round(deadlineMs) };
    late.resolve([found("PROBE_TIMEOUT", values)]);
  }, deadlineMs);
  try {
    return await Promise.race([probe.run({ ...base, left }), late.promise]);
  } catch (error) {
    const message = errorText(error);
    return [found("PROBE_FAILED", { name, check: probe.check, message })];
  } finally {
    clearTimeout(timer);
  }
}

/** Runs all probes; the findings for which `keep` is true, in the order of CHECKS. */
export async function runProbes(
  lanes: readonly (readonly Probe[])[],
  base: Omit<Context, "left">,
  keep: (check: CheckName, finding: Finding) => boolean,
  onLane?: (checks: readonly CheckName[]) => void,
): Promise<Finding[]> {
  const endMs = now() + base.options.totalMs;
  const findings: Finding[] = [];
  for (const lane of lanes) {
    if (lane.length > 0) onLane?.(lane.map(({ check }) => check));
    const done = lane.map(async (probe) => {
      const findingsOfProbe = await runOne(probe, base, endMs);
      return findingsOfProbe.filter((finding) => keep(probe.check, finding));
    });
    findings.push(...(await Promise.all(done)).flat());
  }
  const order = Object.keys(CHECKS);
  return findings.toSorted((a, b) => order.indexOf(a.check) - order.indexOf(b.check));
}
