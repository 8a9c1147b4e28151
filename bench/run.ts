/** Runs scenarios, alternating between the servers, so that other load on the host affects both. */
import { rmSync } from "node:fs";
import { loadService } from "../test/support/qb-load.ts";
import { startService, type Service } from "../test/support/service.ts";
import { removeRings } from "../test/support/shm.ts";
import {
  type Effort,
  measureFiles,
  measureIdle,
  measureLoad,
  measureMemory,
  measureStart,
} from "./measure.ts";
import { foreignLoad } from "./process.ts";
import { ServedNode } from "./on-mount.ts";
import type { LoadScenario, Measured, Metric, MountScenario, Scenario } from "./scenario.ts";
import {
  command,
  SIDES,
  sidesOf,
  startBoth,
  startFloor,
  type Side,
  type Task,
  type TaskSide,
} from "./target.ts";
import { makeFiles, makeTree } from "./tree.ts";

/** The runs of a scenario, and the median of each value per side. */
export interface Outcome {
  readonly name: string;
  readonly group: string;
  /** Part of the host that other processes kept busy at the start: above 0.1 it is not reliable. */
  readonly foreignLoad: number;
  readonly runs: BySide<readonly Measured[]>;
  readonly median: BySide<Measured>;
}

/** A value per side; not every row has the floor and the C server. */
type BySide<T> = { readonly c?: T; readonly ours: T; readonly floor?: T };

/** Runs a scenario. Rows of the mount have a C side only with `cServer`, a C server's file. */
export async function runScenario(
  scenario: Scenario,
  effort: Effort,
  cServer?: string,
): Promise<Outcome> {
  const trees = treesOf(scenario);
  const foreign = await foreignLoad();
  try {
    const runs = await runsOf(scenario, trees, effort, cServer);
    const { name, group } = scenario;
    const { c, ours, floor } = runs;
    const median = {
      ours: medians(ours),
      ...(c.length === 0 ? {} : { c: medians(c) }),
      ...(floor.length === 0 ? {} : { floor: medians(floor) }),
    };
    return { name, group, foreignLoad: foreign, runs, median };
  } finally {
    for (const tree of trees) rmSync(tree, { recursive: true });
  }
}

/** The trees that a scenario serves; none for echo servers. */
function treesOf(scenario: Scenario): string[] {
  if (scenario.kind === "files") return [makeFiles(scenario.few), makeFiles(scenario.many)];
  if (scenario.kind === "start" && scenario.files !== undefined) return [makeFiles(scenario.files)];
  const { guests } = scenario.kind === "load" ? scenario : {};
  return guests === undefined ? [] : [makeTree(guests)];
}

function taskOf(scenario: Scenario, [dir]: readonly string[]): Task {
  if (dir !== undefined) return { dir };
  return scenario.kind === "load" ? { echo: scenario.echo ?? [] } : { echo: [] };
}

type Runs = Record<Side, Measured[]>;

async function runsOf(
  scenario: Scenario,
  trees: readonly string[],
  effort: Effort,
  cServer: string | undefined,
): Promise<Runs> {
  if (scenario.kind === "mount") return await onMounts(scenario, effort, cServer);
  return scenario.kind === "load" || scenario.kind === "idle"
    ? await onRunningServers(scenario, trees, effort)
    : await onFreshServers(scenario, trees, effort);
}

/** C first in even rounds, last in odd ones. */
function order<S extends Side>(sides: readonly S[], round: number): readonly S[] {
  return round % 2 === 0 ? sides : sides.toReversed();
}

async function onRunningServers(
  scenario: Extract<Scenario, { kind: "load" | "idle" }>,
  trees: readonly string[],
  effort: Effort,
): Promise<Runs> {
  const runs: Runs = { c: [], ours: [], floor: [] };
  const sides = sidesOf(scenario);
  const servers = await startBoth(taskOf(scenario, trees));
  const measure = (server: Service) =>
    scenario.kind === "load"
      ? measureLoad(server, scenario, effort)
      : measureIdle(server, scenario.connections, effort);
  try {
    if (scenario.kind === "load") {
      for (const server of servers.values()) await prepare(server, scenario.prepare);
      if (sides.includes("floor")) {
        servers.set("floor", await startFloor(await answerBytes(servers.get("ours"), scenario)));
      }
      // Once without measuring: compiling and mapping at the first use must not count.
      for (const server of servers.values()) await measureLoad(server, scenario, warmUp(effort));
    }
    for (let round = 0; round < effort.rounds; round++) {
      for (const side of order(sides, round)) {
        const server = servers.get(side);
        if (server !== undefined) runs[side].push(await measure(server));
      }
    }
  } finally {
    await stopAll([...servers.values()]);
  }
  return runs;
}

async function prepare(server: Service, flags: readonly string[] | undefined): Promise<void> {
  if (flags === undefined) return;
  const { errors } = await loadService(server.name, ...flags, "--requests", "1");
  if (errors > 0) throw new Error(`${server.name}: ${flags.join(" ")} was not answered`);
}

/** Bytes of the answer to a scenario's request; undefined when the servers echo. */
async function answerBytes(
  ours: Service | undefined,
  { guests, flags }: LoadScenario,
): Promise<number | undefined> {
  if (guests === undefined || ours === undefined) return undefined;
  return (await loadService(ours.name, ...flags, "--requests", "1")).answer_bytes;
}

/** Before it is measured, the mount is loaded for this many times the length of a round. */
const MOUNT_WARM_UP = 6;

/**
 * Bun compiles the code of a request in stages, the last after some 100,000 requests; a server of a
 * node runs for months.
 */
function warmUp(effort: Effort): Effort {
  return { ...effort, loadMs: 2 * effort.loadMs, share: effort.share / 5 };
}

async function onFreshServers(
  scenario: Exclude<Scenario, { kind: "load" | "idle" | "mount" }>,
  trees: readonly string[],
  effort: Effort,
): Promise<Runs> {
  const runs: Runs = { c: [], ours: [], floor: [] };
  const task = taskOf(scenario, trees);
  const measure = async (side: TaskSide): Promise<Measured> => {
    if (scenario.kind === "start") return await measureStart(side, task);
    if (scenario.kind === "files") return await measureFiles(side, scenario, trees, effort);
    await using server = await startService((name) => command(side, name, task));
    return await measureMemory(server, scenario.connections);
  };
  for (let round = 0; round < effort.rounds; round++) {
    for (const side of order(SIDES, round)) runs[side].push(await measure(side));
  }
  return runs;
}

/**
 * Runs each server on its own node, alternately. Round trips without a second load also have the
 * floor, which needs no node.
 */
async function onMounts(
  scenario: MountScenario,
  effort: Effort,
  cServer: string | undefined,
): Promise<Runs> {
  const runs: Runs = { c: [], ours: [], floor: [] };
  await using started = new AsyncDisposableStack();
  const sides = new Map<Side, (effort: Effort) => Promise<Measured>>();
  for (const side of cServer === undefined ? (["ours"] as const) : SIDES) {
    const node = started.use(await ServedNode.start(side, scenario, cServer ?? ""));
    sides.set(side, (how) => node.measure(scenario, how));
    if (side !== "ours" || scenario.operation !== "ipc" || scenario.beside !== undefined) continue;
    const floor = await startFloor(await node.answerBytes(scenario));
    started.defer(() => stopAll([floor]));
    const { name, group, flags = [] } = scenario;
    sides.set("floor", (how) => measureLoad(floor, { kind: "load", name, group, flags }, how));
  }
  // Bun's compiler threads are busy for seconds, and take the processors of a small host.
  const warm = { ...effort, loadMs: MOUNT_WARM_UP * effort.loadMs };
  for (const measure of sides.values()) await measure(warm);
  for (let round = 0; round < effort.rounds; round++) {
    for (const side of order([...sides.keys()], round)) {
      const measured = await sides.get(side)?.(effort);
      if (measured !== undefined) runs[side].push(measured);
    }
  }
  return runs;
}

/** Stops the servers; reports one that did not end cleanly, and removes its rings. */
async function stopAll(servers: readonly Service[]): Promise<void> {
  for (const server of servers) {
    const code = await server.stop();
    const left = removeRings(server.pid);
    if (code === 0 && left.length === 0) continue;
    const words = server.output.trim().split("\n").at(-1) ?? "";
    console.error(
      `server ${server.pid} ended with ${code} and left ${left.length} rings: ${words}`,
    );
  }
}

function medians(runs: readonly Measured[]): Measured {
  const metrics = Object.keys(runs[0] ?? {}) as Metric[];
  return Object.fromEntries(
    metrics.map((metric) => [metric, middle(runs.map((run) => run[metric] ?? 0))]),
  );
}

function middle(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  return (upper + lower) / 2;
}
