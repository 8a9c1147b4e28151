/** A short run of every fuzzer from its kept seeds, and the canary, which must be caught. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { ringDirectories } from "../support/shm.ts";
import { FUZZERS } from "./fuzzers.ts";
import { fuzz } from "./run.ts";
import { SEEDS } from "./seeds.ts";

/** By number and not by time, so that a busy machine runs the same inputs, only slower. */
const RUNS = 1_000;
const TIME_LIMIT_MS = 60_000;

setDefaultTimeout(TIME_LIMIT_MS);

const MAIN = join(import.meta.dir, "main.ts");

for (const [name, seed] of SEEDS) {
  test(`${name}, seed ${seed}`, () => {
    const { failure, runs } = fuzz(name, seed, TIME_LIMIT_MS, RUNS);
    expect(failure).toBeUndefined();
    expect(ringDirectories(process.pid)).toEqual([]);
    expect(runs).toBe(RUNS);
  });
}

test("every fuzzer has a kept seed, but the canary", () => {
  const kept = new Set(SEEDS.map(([name]) => name));
  expect(Object.keys(FUZZERS).filter((name) => !kept.has(name))).toEqual(["canary"]);
});

test("the canary is caught, and its seed repeats it", () => {
  const first = fuzz("canary", 7, TIME_LIMIT_MS);
  expect(first.failure).toContain("the canary sings");
  expect(fuzz("canary", 7, TIME_LIMIT_MS)).toEqual(first);
});

test("a fuzzer that fails makes the program end with 1, and leaves nothing behind", async () => {
  const child = Bun.spawn([process.execPath, MAIN, "canary", "7"], { stdout: "pipe" });
  expect(await child.stdout.text()).toContain("again: bun run fuzz canary 7");
  expect(await child.exited).toBe(1);
  expect(ringDirectories(child.pid)).toEqual([]);
});
