// `bun run traces DIR`: replays every recording of a folder against the state machine, node by node
// and group by group, and prints `N passed, N failed`.
import { existsSync } from "node:fs";
import { NodeReplay } from "./node-replay.ts";
import { readTraces, type Trace } from "./trace.ts";

const MOST_LINES = 5;

export interface Verdict {
  readonly name: string;
  readonly problems: readonly string[];
}

/** Differences by subject. A recording that cannot be read counts as a difference. */
function problemsOf(trace: Trace, id: number): Record<string, readonly string[]> {
  try {
    return new NodeReplay(trace, id).run();
  } catch (error) {
    return {
      end: [`cannot be replayed: ${error instanceof Error ? error.message : String(error)}`],
    };
  }
}

/** The verdicts of all recordings in `directory`: three for each node of each. */
export function* replay(directory: string): Generator<Verdict> {
  for (const [name, trace] of readTraces(directory)) {
    for (const { id } of trace.nodes) {
      const found = problemsOf(trace, id);
      for (const [part, problems] of Object.entries(found)) {
        const what = part === "end" ? "the database at the end" : `group ${part}`;
        yield { name: `${name}: node ${id}, ${what}`, problems };
      }
    }
  }
}

if (import.meta.main) {
  const [directory] = process.argv.slice(2);
  if (directory === undefined || !existsSync(directory)) {
    const missing = directory === undefined ? "" : `: ${directory} is not there`;
    process.stderr.write(`bun run traces DIR (a folder of *.json, *.json.gz)${missing}\n`);
    process.exit(2);
  }
  let passed = 0;
  let failed = 0;
  for (const { name, problems } of replay(directory)) {
    if (problems.length === 0) passed++;
    else failed++;
    if (problems.length === 0) continue;
    process.stdout.write(`FAILED ${name}\n`);
    for (const problem of problems.slice(0, MOST_LINES)) process.stdout.write(`  ${problem}\n`);
    const more = problems.length - MOST_LINES;
    if (more > 0) process.stdout.write(`  and ${more} more\n`);
  }
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}
