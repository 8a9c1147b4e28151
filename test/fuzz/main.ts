/**
 * `bun run fuzz smoke | NAME [SEED]`: `smoke` runs the kept seeds, then each fuzzer for 2 s; a name
 * runs that fuzzer for 30 s. Prints the seed of a failure: add it to seeds.ts.
 */
import { FUZZERS } from "./fuzzers.ts";
import { fuzz } from "./run.ts";
import { SEEDS } from "./seeds.ts";

const KEPT_MS = 200;
const SMOKE_MS = 2_000;
const LONG_MS = 30_000;

function runOne(name: string, seed: number, ms: number): boolean {
  const { runs, failure } = fuzz(name, seed, ms);
  console.log(`${failure === undefined ? "ok    " : "FAILED"} ${name} seed ${seed}, ${runs} runs`);
  if (failure === undefined) return true;
  console.log(`  ${failure}\n  again: bun run fuzz ${name} ${seed}`);
  return false;
}

function main([name = "smoke", given]: readonly string[]): boolean {
  const seed = given === undefined ? Date.now() & 0x7fffffff : Number(given);
  if (!Number.isInteger(seed)) throw new Error(`the seed "${given}" is not an integer`);
  if (name !== "smoke") return runOne(name, seed, LONG_MS);
  let passed = true;
  for (const [kept, keptSeed] of SEEDS) passed = runOne(kept, keptSeed, KEPT_MS) && passed;
  for (const fuzzer of Object.keys(FUZZERS)) {
    if (fuzzer !== "canary") passed = runOne(fuzzer, seed, SMOKE_MS) && passed;
  }
  return passed;
}

try {
  process.exitCode = main(process.argv.slice(2)) ? 0 : 1;
} catch (error) {
  console.error(`fuzz: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
}
