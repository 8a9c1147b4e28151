// The simulator by hand: `bun test/replication/simulate.ts --schedules N --seed S [--verbose]`.
// Prints each seed that fails, with the problems found, then totals of all schedules.
import { parseArgs } from "node:util";
import { runSchedule } from "./simulator/schedule.ts";

const { values } = parseArgs({
  options: {
    schedules: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
    verbose: { type: "boolean", default: false },
  },
});
const first = Number(values.seed);
const count = Number(values.schedules);
const started = performance.now();
const totals = { passed: 0, failed: 0, events: 0, acknowledged: 0, stable: 0, lost: 0 };
for (let seed = first; seed < first + count; seed++) {
  const outcome = runSchedule(seed);
  if (outcome.problems.length === 0) totals.passed++;
  else {
    totals.failed++;
    console.log(`seed ${seed} (${outcome.nodes} nodes): ${outcome.problems.join("; ")}`);
    if (values.verbose) for (const line of outcome.lines) console.log(`  ${line}`);
  }
  if (outcome.lost > 0 && values.verbose) console.log(`seed ${seed}: ${outcome.lost} lost`);
  totals.events += outcome.events;
  totals.acknowledged += outcome.acknowledged;
  totals.stable += outcome.stable;
  totals.lost += outcome.lost;
}
const seconds = (performance.now() - started) / 1000;
console.log(
  `${totals.events} events, ${totals.acknowledged} creations acknowledged, ${totals.stable} of ` +
    `them stable, ${totals.lost} lost by the protocol; ${seconds.toFixed(1)} s`,
);
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exit(totals.failed === 0 ? 0 : 1);
