// The simulator in CI: 10,000 schedules in two processes, and seeds that have found bugs.
// By hand, for more: `bun test/replication/simulate.ts --schedules N --seed S --verbose`.
import { expect, test } from "bun:test";
import { join } from "node:path";
import { runSchedule } from "./simulator/schedule.ts";

const PROGRAM = join(import.meta.dir, "simulate.ts");
const SCHEDULES = 10_000;
const PROCESSES = 2;

/** Seeds that fail without the rule. */
const KEPT: readonly [seed: number, rule: string][] = [
  [206, "a member holds its own changes until it is synced"],
  [24, "when a member joins, all empty their queues and resend their own messages"],
  [533, "messages of lagging members are applied when their update is complete"],
];

async function simulate(seed: number, schedules: number): Promise<string> {
  const argv = ["--schedules", String(schedules), "--seed", String(seed)];
  const child = Bun.spawn([process.execPath, PROGRAM, ...argv], { stdout: "pipe", stderr: "pipe" });
  const [out, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  return out + errors;
}

test("10,000 schedules of faults end in equal trees, keys and logs", async () => {
  const each = SCHEDULES / PROCESSES;
  const outputs = await Promise.all(
    Array.from({ length: PROCESSES }, (_, index) => simulate(1 + index * each, each)),
  );
  for (const output of outputs) {
    expect(output).toContain(`${each} passed, 0 failed`);
    expect(output).not.toContain("seed ");
  }
}, 900_000);

for (const [seed, rule] of KEPT) {
  test(`seed ${seed} passes: ${rule}`, () => {
    expect(runSchedule(seed).problems).toEqual([]);
  });
}

test("a seed gives the same schedule each time", () => {
  expect(runSchedule(7)).toEqual(runSchedule(7));
});
