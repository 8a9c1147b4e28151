/** Runs one fuzzer for a limited time from a seed, which repeats a failure. */
import fc from "fast-check";
import { FUZZERS } from "./fuzzers.ts";

export interface FuzzResult {
  readonly name: string;
  readonly seed: number;
  readonly runs: number;
  /** The failure, with the smallest input that shows it; undefined if there was none. */
  readonly failure: string | undefined;
}

const RUNS_MAX = 10_000_000;

/** Runs `name` for at most `ms`, and at most `runsMax` times. Throws if there is no such fuzzer. */
export function fuzz(name: string, seed: number, ms: number, runsMax = RUNS_MAX): FuzzResult {
  const fuzzer = FUZZERS[name];
  if (fuzzer === undefined) {
    throw new Error(`no fuzzer "${name}": ${Object.keys(FUZZERS).join(", ")}, or smoke`);
  }
  using kept = new DisposableStack();
  const result = fc.check(fuzzer(kept), {
    seed,
    numRuns: runsMax,
    interruptAfterTimeLimit: ms,
    markInterruptAsFailure: false,
  });
  const { failed, numRuns: runs, errorInstance, counterexample } = result;
  if (!failed) return { name, seed, runs, failure: undefined };
  const why = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
  return { name, seed, runs, failure: `${why}\n  with ${fc.stringify(counterexample)}` };
}
