/**
 * The cost of a tracer for a libqb client, as a ratio: the median round trip through it to the
 * median without it, measured in turns within one run. `bun test/trace/latency.ts` prints the table
 * of docs/tracing.md, with a minimal proxy for comparison; latency.test.ts tests the ratios.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CfsIpc } from "../../src/pmxcfs/requests/table.ts";
import { native } from "../support/native.ts";
import { loadService } from "../support/qb-load.ts";
import { program, type Service, serveCommand, startService } from "../support/service.ts";
import { makeTree, removeTree, startC } from "./support.ts";

/** Round trips of one turn, and their pace. */
const LOADS = {
  /** The next request as soon as the last is answered. */
  busy: ["--ms", "250"],
  /** A millisecond asleep between two requests. */
  paced: ["--requests", "200", "--sleep-us", "1000"],
} as const;

export type Pace = keyof typeof LOADS;

/** The body of GET_CONFIG: the requested file. */
const PATH = Buffer.from("storage.cfg\0").toString("hex");
const ASKED = ["--id", String(CfsIpc.GET_CONFIG), "--body-hex", PATH];

/** One way to a server: the median of its turns' medians, and of their ratios to the first's. */
export interface Cost {
  readonly us: number;
  readonly ratio: number;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

async function medianUs(service: Service, pace: Pace): Promise<number> {
  const { errors, p50_ns } = await loadService(service.name, ...ASKED, ...LOADS[pace]);
  if (errors > 0) throw new Error(`${service.name} failed its clients:\n${service.output}`);
  return p50_ns / 1000;
}

/** Measures each of `ways` in `turns` turns. */
export async function costsOf(
  ways: readonly Service[],
  pace: Pace,
  turns: number,
): Promise<Cost[]> {
  const rounds: number[][] = [];
  for (let turn = 0; turn < turns; turn++) {
    const round: number[] = [];
    for (const way of ways) round.push(await medianUs(way, pace));
    rounds.push(round);
  }
  return ways.map((_, way) => ({
    us: median(rounds.map((round) => round[way] ?? Number.NaN)),
    ratio: median(rounds.map((round) => (round[way] ?? Number.NaN) / (round[0] ?? Number.NaN))),
  }));
}

/** Starts a tracer before `server` that writes its trace to `file`, and warms it up. */
export async function startWarm(server: Service, file: string): Promise<Service> {
  const traced = [...program(), "trace", "--upstream", server.name, "--socket"];
  const tracer = await startService((name) => {
    return ["sh", "-c", 'exec "$@" > "$0"', file, ...traced, name];
  });
  await medianUs(tracer, "busy");
  return tracer;
}

const TURNS = 15;

async function table(): Promise<void> {
  const tree = makeTree();
  const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
  const servers = {
    "C server": await startC("qb-answer-server", tree, "pve1"),
    "our server": await startService(serveCommand("--dir", tree, "--no-rrd")),
  };
  for (const [name, server] of Object.entries(servers)) {
    const relay = await startService((own) => [native("qb-relay"), own, server.name]);
    const tracer = await startWarm(server, join(directory, "trace.txt"));
    for (const pace of ["busy", "paced"] as const) {
      const costs = await costsOf([server, relay, tracer], pace, TURNS);
      const figures = costs.map(({ us, ratio }) => `${us.toFixed(1)} (${ratio.toFixed(1)})`);
      const [direct, relayed, traced] = figures;
      const line = `${name}, ${pace}: direct ${direct}, relay ${relayed}, tracer ${traced}`;
      process.stdout.write(`${line}\n`);
    }
    for (const service of [tracer, relay, server]) await service.stop();
  }
  rmSync(directory, { recursive: true });
  removeTree(tree);
}

if (import.meta.main) await table();
