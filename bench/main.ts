/**
 * `bun run bench`: compares our server with C servers on libqb, in one run with the same C clients.
 *
 *   --only TEXT   scenarios whose group or name contains TEXT (may be given again)
 *   --all         the full matrix; without it, and without --only, the core rows
 *   --quick       shorter runs       --rounds N   alternated runs per scenario
 *   --out FILE    JSON (default dist/bench.json)     --results NAME  rewrite bench/NAME
 *   --add         keep FILE's results of scenarios that are not measured now
 *   --smoke       short, for CI: fails if a ratio is far from baseline.json, or misses its bound
 *   --baseline    store this run's ratios in baseline.json
 *   --list        list the scenarios
 *   --c-server PATH  a pmxcfs to compare the rows of the mount with; without it they have no C side
 *   --html        also write dist/bench.html: the report with plots, as one self-contained file
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { arch, cpus, release, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { native, REPOSITORY } from "../test/support/native.ts";
import { regressions, storeBaseline } from "./baseline.ts";
import type { Effort } from "./measure.ts";
import { html } from "./html.ts";
import { markdown, meets, plot, type Report, textTable } from "./report.ts";
import { type Outcome, runScenario } from "./run.ts";
import type { Scenario } from "./scenario.ts";
import { SCENARIOS } from "./scenarios.ts";

const FULL: Effort = { rounds: 5, loadMs: 1000, idleMs: 3000, share: 1 };
const QUICK: Effort = { rounds: 3, loadMs: 500, idleMs: 3000, share: 0.5 };
const SMOKE: Effort = { rounds: 2, loadMs: 250, idleMs: 500, share: 0.1 };

const { values: options } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    all: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    smoke: { type: "boolean", default: false },
    baseline: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
    add: { type: "boolean", default: false },
    html: { type: "boolean", default: false },
    results: { type: "string" },
    rounds: { type: "string" },
    "c-server": { type: "string" },
    out: { type: "string", default: join(REPOSITORY, "dist", "bench.json") },
  },
});

function chosen(): readonly Scenario[] {
  if (options.smoke) return SCENARIOS.filter((each) => each.smoke !== undefined);
  const { only } = options;
  if (only !== undefined) {
    const named = (each: Scenario) =>
      only.some((text) => each.group.includes(text) || each.name.includes(text));
    return SCENARIOS.filter(named);
  }
  return options.all ? SCENARIOS : SCENARIOS.filter((each) => each.group === "core");
}

function effort(): Effort {
  const base = options.smoke ? SMOKE : options.quick ? QUICK : FULL;
  const rounds = options.rounds === undefined ? base.rounds : Number(options.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds: a whole number from 1");
  return { ...base, rounds };
}

function machine(): Record<string, string> {
  const libqb = Bun.spawnSync(["pkg-config", "--modversion", "libqb"]).stdout.toString().trim();
  const distribution = /^PRETTY_NAME="(.*)"$/mu.exec(readFileSync("/etc/os-release", "utf8"));
  return {
    cpu: `${cpus().length} x ${cpus()[0]?.model ?? arch()}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    system: `${distribution?.[1] ?? "Linux"}, kernel ${release()}`,
    libqb,
    bun: Bun.version,
    ...costs(),
  };
}

/** The three costs of the host that all results depend on. */
function costs(): Record<string, string> {
  const text = Bun.spawnSync([native("machine-costs")]).stdout.toString();
  const inNs = JSON.parse(text) as Record<string, number>;
  const ns = (key: string): string => `${inNs[key] ?? "?"} ns`;
  return {
    "system call": ns("system_call_ns"),
    "send of one byte": ns("send_ns"),
    "cache line, there and back": ns("cache_line_ns"),
  };
}

/** The newest outcome of each scenario, in the order of the scenarios. */
function merged(outcomes: readonly Outcome[]): Outcome[] {
  const older =
    options.add && existsSync(options.out)
      ? (JSON.parse(readFileSync(options.out, "utf8")) as Report).outcomes
      : [];
  const byName = new Map([...older, ...outcomes].map((outcome) => [outcome.name, outcome]));
  return SCENARIOS.flatMap(({ name }) => byName.get(name) ?? []);
}

/** Attempts per smoke bound: other load on the host can only make our server look slower. */
const SMOKE_ATTEMPTS = 6;

/** If other work takes more than this part of the host, a result is not judged. */
const TOO_DISTURBED = 0.3;

async function measured(scenario: Scenario): Promise<Outcome> {
  let outcome = await runScenario(scenario, effort(), options["c-server"]);
  if (!options.smoke) return outcome;
  for (let attempt = 1; attempt < SMOKE_ATTEMPTS && broken([outcome]).length > 0; attempt++) {
    console.log(`${scenario.name}: below its bound, measured again`);
    outcome = await runScenario(scenario, effort());
  }
  return outcome;
}

function isJudged({ foreignLoad }: Outcome): boolean {
  return foreignLoad < TOO_DISTURBED;
}

/** The line about an outcome that is not judged because of other load. */
function unjudged({ name, foreignLoad }: Outcome): string {
  const busy = Math.round(foreignLoad * 100);
  return `${name}: not judged, other processes kept ${busy} % of the machine busy`;
}

/** Lines about smoke bounds and baseline ratios that were not met. */
function broken(outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap((outcome) => {
    const goal = SCENARIOS.find((each) => each.name === outcome.name)?.smoke;
    const isMet = goal === undefined || meets(outcome, goal);
    const bound = isMet ? [] : [`${outcome.name}: ${JSON.stringify(goal)} is not met`];
    return [...bound, ...regressions(outcome)];
  });
}

async function main(): Promise<number> {
  const scenarios = chosen();
  if (options.list || scenarios.length === 0) {
    for (const { group, name } of SCENARIOS) console.log(`${group}: ${name}`);
    return options.list ? 0 : 2;
  }
  const outcomes: Outcome[] = [];
  for (const scenario of scenarios) {
    const outcome = await measured(scenario);
    outcomes.push(outcome);
    console.log(`${textTable(outcome, scenario.goals ?? [])}\n`);
  }
  console.log(`round trips per second, ours to C's\n${plot(outcomes)}`);
  const taken = new Date().toISOString().slice(0, 10);
  const report: Report = { machine: machine(), taken, outcomes: merged(outcomes) };
  mkdirSync(dirname(options.out), { recursive: true });
  writeFileSync(options.out, `${JSON.stringify(report, undefined, 1)}\n`);
  if (options.results !== undefined) {
    writeFileSync(join(import.meta.dir, options.results), markdown(report, SCENARIOS));
  }
  if (options.html) {
    const page = options.out.replace(/\.json$/, "") + ".html";
    writeFileSync(page, html(report, SCENARIOS));
    console.log(`report: ${page}`);
  }
  if (options.baseline) storeBaseline(outcomes);
  if (options.smoke) {
    for (const outcome of outcomes) if (!isJudged(outcome)) console.log(unjudged(outcome));
  }
  const failures = options.smoke ? broken(outcomes.filter(isJudged)) : [];
  for (const failure of failures) console.error(failure);
  return failures.length === 0 ? 0 : 1;
}

process.exitCode = await main();
