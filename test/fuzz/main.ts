/**
 * `bun run fuzz smoke | NAME [SEED]`: `smoke` runs the kept seeds and then each fuzzer for two
 * seconds; a name runs that fuzzer for half a minute. A failure prints the seed that repeats it,
 * which is then added to seeds.ts.
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

function main([what = "smoke", given]: readonly string[]): boolean {
  const seed = given === undefined ? Date.now() & 0x7fffffff : Number(given);
  if (!Number.isInteger(seed)) throw new Error(`"${given}" is no seed: an integer`);
  if (what !== "smoke") return runOne(what, seed, LONG_MS);
  let good = true;
  for (const [name, kept] of SEEDS) good = runOne(name, kept, KEPT_MS) && good;
  for (const name of Object.keys(FUZZERS)) {
    if (name !== "canary") good = runOne(name, seed, SMOKE_MS) && good;
  }
  return good;
}

try {
  process.exitCode = main(process.argv.slice(2)) ? 0 : 1;
} catch (error) {
  console.error(`fuzz: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
}
