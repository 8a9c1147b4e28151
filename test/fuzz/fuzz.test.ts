/** A short run of every fuzzer with its kept seeds, and of the canary, which must fail. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { ringDirectories } from "../support/shm.ts";
import { FUZZERS } from "./fuzzers.ts";
import { fuzz } from "./run.ts";
import { SEEDS } from "./seeds.ts";

/** A number of runs, not a time, so that a busy machine tests the same inputs, only slower. */
const RUNS = 1_000;
const TIME_LIMIT_MS = 60_000;

setDefaultTimeout(TIME_LIMIT_MS);

const MAIN = join(import.meta.dir, "main.ts");

for (const [name, seed] of SEEDS) {
  test(`the fuzzer ${name} finds no failure with seed ${seed}`, () => {
    const { failure, runs } = fuzz(name, seed, TIME_LIMIT_MS, RUNS);
    expect(failure).toBeUndefined();
    expect(ringDirectories(process.pid)).toEqual([]);
    expect(runs).toBe(RUNS);
  });
}

test("every fuzzer except the canary has a kept seed", () => {
  const kept = new Set(SEEDS.map(([name]) => name));
  expect(Object.keys(FUZZERS).filter((name) => !kept.has(name))).toEqual(["canary"]);
});

test("the canary's failure is found, and its seed repeats it", () => {
  const first = fuzz("canary", 7, TIME_LIMIT_MS);
  expect(first.failure).toContain("the canary failed");
  expect(fuzz("canary", 7, TIME_LIMIT_MS)).toEqual(first);
});

test("the program exits with 1 after a failure, and leaves no ring directories", async () => {
  const child = Bun.spawn([process.execPath, MAIN, "canary", "7"], { stdout: "pipe" });
  expect(await child.stdout.text()).toContain("again: bun run fuzz canary 7");
  expect(await child.exited).toBe(1);
  expect(ringDirectories(child.pid)).toEqual([]);
});
