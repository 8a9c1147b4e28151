/**
 * The test run of `npm test`: every test file in a process of its own, two at a time. Prints one
 * line per file, and for a file that failed its output and what it left behind. Writes the JUnit
 * reports to dist/junit.xml; the last line is `tests   P passed, F failed, S skipped (N s)`.
 * SIGINT and SIGTERM end the files that run, remove what they left, and end the run.
 *
 *   bun test/run.ts [--quick] [--jobs N] [--beside-load] [--rounds N] [--record-times] [PATH...]
 *
 * --quick        only the files that take under 2 s (test/times.json), and new files
 * --jobs N       files at a time (2)
 * --beside-load  two busy loops run beside the tests
 * --rounds N     the whole run N times; at the end, in how many rounds each file failed
 * --record-times stores the seconds of these files in test/times.json
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { join } from "node:path";
import { busyLoops } from "./support/busy-loops.ts";
import { type FileResult, runFile } from "./support/file-run.ts";

const ROOT = join(import.meta.dir, "..");
const TIMES = join(ROOT, "test/times.json");
const REPORT = join(ROOT, "dist/junit.xml");
/** `--quick` leaves out files that take longer than this, seconds. */
const QUICK_SECONDS = 2;

/** Aborted when the run is to end now. */
const interrupt = new AbortController();

/** Seconds each file took in the run that was recorded, by path. */
function recordedTimes(): Record<string, number> {
  try {
    return JSON.parse(readFileSync(TIMES, "utf8")) as Record<string, number>;
  } catch {
    return {};
  }
}

/** The test files, the slowest first, so that the two lanes end together. */
function testFiles(wanted: readonly string[], quick: boolean): string[] {
  const files = [...new Bun.Glob("test/**/*.test.ts").scanSync({ cwd: ROOT })];
  const times = recordedTimes();
  const chosen = files
    .filter((path) => wanted.length === 0 || wanted.some((word) => path.includes(word)))
    .filter((path) => !quick || (times[path] ?? 0) < QUICK_SECONDS);
  return chosen.toSorted((a, b) => (times[b] ?? 60) - (times[a] ?? 60) || (a < b ? -1 : 1));
}

/** True for a file whose first comment has `runs alone:` and a reason: no other runs beside it. */
function runsAlone(path: string): boolean {
  return /^(?:\/\*\*| \*|\/\/).*\bruns alone:/m.test(
    readFileSync(join(ROOT, path), "utf8").slice(0, 2_000),
  );
}

function show(result: FileResult): void {
  const { path, passed, failed, skipped, seconds, output } = result;
  const counts = `${passed} passed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
  if (failed === 0) {
    console.log(`ok      ${path}: ${counts} (${seconds.toFixed(1)} s)`);
    for (const line of output.split("\n")) {
      if (line.startsWith("(skip)")) console.log(`skipped ${line.slice(7)}`);
    }
    return;
  }
  console.log(output.trimEnd());
  for (const complaint of result.complaints) console.log(`FAILED  ${path}: ${complaint}`);
  console.log(`FAILED  ${path}: ${counts}, ${failed} failed (${seconds.toFixed(1)} s)`);
}

async function runAll(files: readonly string[], jobs: number): Promise<FileResult[]> {
  const results: FileResult[] = [];
  const run = async (path: string): Promise<void> => {
    if (interrupt.signal.aborted) return;
    const result = await runFile(ROOT, path, interrupt.signal);
    results.push(result);
    show(result);
  };
  const shared = files.filter((path) => !runsAlone(path));
  const lane = async (): Promise<void> => {
    for (let path = shared.shift(); path !== undefined; path = shared.shift()) await run(path);
  };
  await Promise.all(Array.from({ length: jobs }, lane));
  for (const path of files.filter(runsAlone)) await run(path);
  return results;
}

function writeReports(results: readonly FileResult[], recordTimes: boolean): void {
  mkdirSync(join(ROOT, "dist"), { recursive: true });
  const suites = results.map(({ junit }) => junit).join("\n");
  const head = '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>';
  writeFileSync(
    REPORT,
    `${head}
${suites}</testsuites>
`,
  );
  if (!recordTimes) return;
  const known = Object.entries(recordedTimes()).filter(([path]) => existsSync(join(ROOT, path)));
  const taken = results.map(({ path, seconds }) => [path, Number(seconds.toFixed(1))] as const);
  const times = [...new Map([...known, ...taken])].toSorted(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(TIMES, `${JSON.stringify(Object.fromEntries(times), undefined, 2)}\n`);
}

function total(results: readonly FileResult[], outcome: "passed" | "failed" | "skipped"): number {
  return results.reduce((sum, result) => sum + result[outcome], 0);
}

/** The value of an option that is a number from 1: with none of it nothing would run, and pass. */
function countOf(option: string, word: string): number {
  const count = Number(word);
  if (Number.isInteger(count) && count >= 1) return count;
  throw new Error(`--${option}: "${word}" is not a whole number from 1`);
}

/** One line for each file that failed in at least one round. */
function summary(failures: ReadonlyMap<string, number>, rounds: number): string {
  if (failures.size === 0) return `all files passed in ${rounds} of ${rounds} rounds`;
  const lines = [...failures].map(([path, count]) => `${path} failed in ${count} of ${rounds}`);
  return ["rounds in which files failed; the others passed in all:", ...lines].join("\n");
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      jobs: { type: "string", default: "2" },
      "beside-load": { type: "boolean", default: false },
      rounds: { type: "string", default: "1" },
      "record-times": { type: "boolean", default: false },
    },
  });
  const [jobs, rounds] = [countOf("jobs", values.jobs), countOf("rounds", values.rounds)];
  const files = testFiles(positionals, values.quick);
  if (files.length === 0) {
    console.log("no test file has such a path");
    return 2;
  }
  const loops = values["beside-load"] ? busyLoops() : [];
  const failures = new Map<string, number>();
  try {
    for (let round = 1; round <= rounds; round++) {
      const started = performance.now();
      const results = await runAll(files, jobs);
      writeReports(results, values["record-times"]);
      const [passed, failed, skipped] = (["passed", "failed", "skipped"] as const).map((outcome) =>
        total(results, outcome),
      );
      const seconds = Math.round((performance.now() - started) / 1000);
      const bad = results.filter((result) => result.failed > 0).map(({ path }) => path);
      if (bad.length > 0) console.log(`files that failed: ${bad.join(" ")}`);
      const label = rounds > 1 ? `round ${round} ` : "";
      const counts = `${passed} passed, ${failed} failed, ${skipped} skipped`;
      console.log(`${label}tests   ${counts} (${seconds} s)`);
      for (const path of bad) failures.set(path, (failures.get(path) ?? 0) + 1);
      if (interrupt.signal.aborted) return 1;
    }
    if (rounds > 1) console.log(summary(failures, rounds));
    return failures.size === 0 ? 0 : 1;
  } finally {
    for (const loop of loops) loop.kill("SIGKILL");
  }
}

for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => interrupt.abort());
}
process.exitCode = await main();
