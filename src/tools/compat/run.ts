/**
 * The whole run: every case with the first service of a matching kind and with each kind of client,
 * in order, one at a time. A skip has a reason. Each result is reported when its case has ended.
 */
import { compatClient } from "../../platform/compat-client.ts";
import { FLAVORS, type Case, type Flavor, type Need } from "./case.ts";
import { ClientEnded, ClientPool } from "./client-process.ts";
import { runCase } from "./run-case.ts";
import type { Target } from "./target.ts";

/** The result of one case with one kind of client. */
export interface Result {
  readonly testCase: Case;
  readonly flavor: Flavor;
  /** The service it ran against. */
  readonly service: string;
  readonly outcome: "passed" | "failed" | "skipped";
  /** Why it failed or was skipped. */
  readonly reason?: string;
  /** Reasons of the steps in which the service answered as the C server, and ours would not. */
  readonly deviations: readonly string[];
  /** The result of each step, for comparing two services. */
  readonly seen: readonly string[];
  readonly ms: number;
}

export interface RunOptions {
  readonly cases: readonly Case[];
  readonly targets: readonly Target[];
  readonly flavors: readonly Flavor[];
  /** Replaces the deadline of every case. */
  readonly deadlineMs: number | undefined;
  readonly failFast: boolean;
  /** True once no further case may be started. */
  readonly stopped: () => boolean;
  /** Called before each case that is not skipped. */
  readonly starting?: (testCase: Case, flavor: Flavor) => void;
  /** Called after each case, also a skipped one. */
  readonly finished: (result: Result) => void;
}

/** The service for a case: the first of a matching kind. A control service is also an echo. */
function targetOf({ profiles }: Case, targets: readonly Target[]): Target | undefined {
  if (profiles === undefined) return targets[0];
  return targets.find(({ profile }) => {
    return profiles.includes(profile) || (profile === "control" && profiles.includes("echo"));
  });
}

function reasonToSkip(
  testCase: Case,
  flavor: Flavor,
  target: Target | undefined,
): string | undefined {
  if (target === undefined) return `no service here is ${testCase.profiles?.join(" or ")}`;
  if (testCase.clients?.includes(flavor) === false)
    return `only for ${testCase.clients.join(", ")}`;
  const unmet = testCase.needs?.find((need: Need) => target.missing.has(need));
  return unmet === undefined ? undefined : target.missing.get(unmet);
}

/** The kinds of clients that are not available on this machine, with the reasons. */
async function missingFlavors(
  flavors: readonly Flavor[],
  pool: ClientPool,
): Promise<Map<Flavor, string>> {
  const missing = new Map<Flavor, string>();
  for (const flavor of flavors) {
    try {
      await pool.giveBack(flavor, await pool.take(flavor, "self"));
    } catch (error) {
      if (!(error instanceof ClientEnded)) throw error;
      const noLibqb = "no libqb here (apt-get install libqb100)";
      missing.set(flavor, flavor === "own" ? error.message : noLibqb);
    }
  }
  return missing;
}

/** Runs all cases that apply; returns all results in order. */
export async function runAll(options: RunOptions): Promise<Result[]> {
  using cClient = compatClient();
  await using pool = new ClientPool(cClient.path);
  const missing = await missingFlavors(options.flavors, pool);
  const results: Result[] = [];
  for (const testCase of options.cases) {
    for (const flavor of FLAVORS.filter((each) => options.flavors.includes(each))) {
      if (options.stopped()) return results;
      const result = await runOne(testCase, flavor, missing.get(flavor), pool, options);
      results.push(result);
      options.finished(result);
      if (result.outcome === "failed" && options.failFast) return results;
    }
  }
  return results;
}

async function runOne(
  testCase: Case,
  flavor: Flavor,
  noClient: string | undefined,
  pool: ClientPool,
  options: RunOptions,
): Promise<Result> {
  const target = targetOf(testCase, options.targets);
  const skip = noClient ?? reasonToSkip(testCase, flavor, target);
  const base = { testCase, flavor, service: target?.name ?? "", deviations: [], seen: [], ms: 0 };
  if (skip !== undefined || target === undefined) {
    return { ...base, outcome: "skipped", reason: skip ?? "no service" };
  }
  options.starting?.(testCase, flavor);
  try {
    await target.server?.start();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { ...base, outcome: "failed", reason: error.message };
  }
  const { failure, ...ran } = await runCase(testCase, flavor, target, pool, options.deadlineMs);
  const expectedDown = testCase.steps.some((step) => step.do === "server");
  const died = target.server !== undefined && !target.server.running && !expectedDown;
  const reason = died ? `${failure ?? "all steps passed"}; the server died` : failure;
  if (reason === undefined) return { ...base, ...ran, outcome: "passed" };
  return { ...base, ...ran, outcome: "failed", reason };
}

/** Exit codes of a run. */
export const RunExit = { PASSED: 0, FAILED: 1, NOTHING_RAN: 77 } as const;

/** How many results have each outcome. */
export function totals(results: readonly Result[]): Readonly<Record<Result["outcome"], number>> {
  const count = { passed: 0, failed: 0, skipped: 0 };
  for (const { outcome } of results) count[outcome]++;
  return count;
}

/** The exit code of a run: 1 if a case failed, 0 if all that ran passed, 77 if none could run. */
export function exitOf(results: readonly Result[]): number {
  if (results.some(({ outcome }) => outcome === "failed")) return RunExit.FAILED;
  const ran = results.some(({ outcome }) => outcome === "passed");
  return ran ? RunExit.PASSED : RunExit.NOTHING_RAN;
}
