/** Runs one fuzzer for a while, from a seed; a failure comes with what repeats it. */
import fc from "fast-check";
import { FUZZERS } from "./fuzzers.ts";

export interface FuzzResult {
  readonly name: string;
  readonly seed: number;
  readonly runs: number;
  /** What went wrong, with the smallest input that shows it; undefined when nothing did. */
  readonly failure: string | undefined;
}

const RUNS_MAX = 10_000_000;

/** Runs `name` for `ms` at most, or `most` times. Throws when there is no such fuzzer. */
export function fuzz(name: string, seed: number, ms: number, most = RUNS_MAX): FuzzResult {
  const fuzzer = FUZZERS[name];
  if (fuzzer === undefined) {
    throw new Error(`no fuzzer "${name}": ${Object.keys(FUZZERS).join(", ")}, or smoke`);
  }
  using kept = new DisposableStack();
  const result = fc.check(fuzzer(kept), {
    seed,
    numRuns: most,
    interruptAfterTimeLimit: ms,
    markInterruptAsFailure: false,
  });
  const { failed, numRuns: runs, errorInstance, counterexample } = result;
  if (!failed) return { name, seed, runs, failure: undefined };
  const why = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
  return { name, seed, runs, failure: `${why}\n  with ${fc.stringify(counterexample)}` };
}
