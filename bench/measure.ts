/** One run of one scenario on one server, and its results. */
import { native } from "../test/support/native.ts";
import { LineProcess } from "../test/support/lines.ts";
import { loadService, type LoadResult } from "../test/support/qb-load.ts";
import { startService, uniqueName, type Service } from "../test/support/service.ts";
import { type Cost, costSince, costsOf, privateBytes } from "./process.ts";
import type { FilesScenario, LoadScenario, Measured } from "./scenario.ts";
import { command, type Task, type TaskSide } from "./target.ts";

/** Durations in ms, and numbers of rounds: the only difference of full, `--quick`, `--smoke`. */
export interface Effort {
  readonly rounds: number;
  readonly loadMs: number;
  readonly idleMs: number;
  /** Fraction of the scenario's fixed number of connects. */
  readonly share: number;
}

/** Round trips and their times; with `alone`, also without the second load. */
export async function measureLoad(
  server: Service,
  scenario: LoadScenario,
  effort: Effort,
): Promise<Measured> {
  const { beside: _beside, alone = false, ...undisturbed } = scenario;
  if (!alone) return await measureOnce(server, scenario, effort);
  const before = await measureOnce(server, undisturbed, effort);
  return compared(before, await measureOnce(server, scenario, effort));
}

/** The results with the effect of the second load, compared with those without it. */
function compared(alone: Measured, measured: Measured): Measured {
  const { perSecond: perSecondAlone = 0, p99: p99Alone = 0 } = alone;
  const { perSecond = 0, p99 = 0 } = measured;
  const slowedBy = (1 - perSecond / perSecondAlone) * 100;
  return { ...measured, perSecondAlone, p99Alone, p99Added: p99 - p99Alone, slowedBy };
}

async function measureOnce(
  server: Service,
  scenario: LoadScenario,
  effort: Effort,
): Promise<Measured> {
  const turns = scenario.requests;
  const amount =
    turns === undefined
      ? ["--ms", String(effort.loadMs)]
      : ["--requests", String(Math.max(2, Math.ceil(turns * effort.share)))];
  const beside = await startBeside(server, scenario.beside);
  try {
    const before = costsOf(`/proc/${server.pid}`);
    const load = await loadService(server.name, ...scenario.flags, ...amount);
    return summarise(scenario, load, costSince(`/proc/${server.pid}`, before));
  } finally {
    await beside?.kill();
  }
}

/** Starts the second load. With idle connections, resolves when all are open. */
async function startBeside(
  server: Service,
  flags: readonly string[] | undefined,
): Promise<LineProcess<unknown> | undefined> {
  if (flags === undefined) return undefined;
  const beside = new LineProcess([native("qb-load"), server.name, ...flags]);
  if (flags.includes("--idle")) await beside.next();
  return beside;
}

/** The round trips of a load and their times. Throws if one was not answered; `what`: the load. */
export function roundTripsOf(what: string, load: LoadResult): Measured {
  if (load.errors + load.mismatches > 0 || load.requests === 0) {
    throw new Error(`${what}: ${JSON.stringify(load)}`);
  }
  return {
    perSecond: load.per_second,
    p50: load.p50_ns,
    p99: load.p99_ns,
    p999: load.p999_ns,
    max: load.max_ns,
  };
}

function summarise(scenario: LoadScenario, load: LoadResult, { cpuNs }: Cost): Measured {
  const measured = roundTripsOf(scenario.name, load);
  if (scenario.flags.includes("--connects")) measured.cpuUsPerConnect = cpuNs / load.requests / 1e3;
  // A second load that floods uses the CPU of the server as well.
  else if (scenario.beside?.includes("--idle") ?? true)
    measured.cpuMsPer100k = cpuNs / load.requests / 10;
  return measured;
}

/** Runs `body` while `connections` are open. */
async function withIdle<T>(
  server: Service,
  connections: number,
  body: () => Promise<T>,
): Promise<T> {
  const flags = ["--idle", "--clients", String(connections), "--max-msg-size", "16384"];
  const holder = await startBeside(server, flags);
  try {
    return await body();
  } finally {
    await holder?.kill();
  }
}

/** Longest wait until an idle server sleeps. */
const SETTLING_MS = 60_000;

/**
 * Waits until the process has slept for `ms`: after a start and connects, threads of Bun's compiler
 * and memory allocator work on for up to half a minute.
 */
async function sleepsFor(pid: number, ms: number): Promise<void> {
  const process = `/proc/${pid}`;
  const deadline = performance.now() + SETTLING_MS;
  while (performance.now() < deadline) {
    const before = costsOf(process);
    await Bun.sleep(ms);
    if (costSince(process, before).wakeups === 0) return;
  }
}

/** CPU and wake-ups per second of an idle server. */
export async function measureIdle(
  server: Service,
  connections: number,
  effort: Effort,
): Promise<Measured> {
  return await withIdle(server, connections, async () => {
    await sleepsFor(server.pid, effort.idleMs);
    const before = costsOf(`/proc/${server.pid}`);
    await Bun.sleep(effort.idleMs);
    const { cpuNs, wakeups } = costSince(`/proc/${server.pid}`, before);
    const seconds = effort.idleMs / 1000;
    return { idleCpuMs: cpuNs / 1e6 / seconds, wakeups: wakeups / seconds };
  });
}

/** Private memory of a new server, and of each connection. */
export async function measureMemory(server: Service, connections: number): Promise<Measured> {
  const atRest = privateBytes(server.pid);
  const full = await withIdle(server, connections, async () => privateBytes(server.pid));
  return { restKiB: atRest / 1024, connectionKiB: (full - atRest) / connections / 1024 };
}

/** Private memory of a new server that holds some files, some time after its first answer. */
async function memoryWith(side: TaskSide, dir: string, effort: Effort): Promise<number> {
  await using server = await startService((name) => command(side, name, { dir }));
  await loadService(server.name, "--id", "1", "--requests", "1");
  // Garbage from reading the files is collected within a second.
  await Bun.sleep(Math.min(2000, effort.idleMs));
  return privateBytes(server.pid);
}

/** Private memory that files take, from two new servers with two trees. */
export async function measureFiles(
  side: TaskSide,
  scenario: FilesScenario,
  [treeOfFew = "", treeOfMany = ""]: readonly string[],
  effort: Effort,
): Promise<Measured> {
  const few = await memoryWith(side, treeOfFew, effort);
  const many = await memoryWith(side, treeOfMany, effort);
  const thousands = (scenario.many - scenario.few) / 1000;
  return { restKiB: few / 1024, filesKiB: (many - few) / thousands / 1024 };
}

/** Time from exec to the first answer of one side's server. */
export async function measureStart(side: TaskSide, task: Task): Promise<Measured> {
  const name = uniqueName("start");
  const tool = [native("qb-first-answer"), name, "1", ...command(side, name, task)];
  const child = Bun.spawn(tool, { stdout: "pipe", stderr: "pipe" });
  const [text, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(errors);
  const { answer_ns: answerNs } = JSON.parse(text) as { answer_ns: number };
  return { startMs: answerNs / 1e6 };
}
