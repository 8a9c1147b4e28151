// Runs one schedule: a cluster under faults, then healed, and checked.
import { lost, noteStable, unequalEnd, unequalTrees } from "./checks.ts";
import { Simulation } from "./simulation.ts";

/** Actions before the faults end. */
const STEPS = 350;
/** Actions after which a cluster without faults must have nothing left to do. */
const MOST_STEPS = 60_000;

export interface Outcome {
  readonly seed: number;
  /** Invariants that do not hold; empty when the schedule passes. */
  readonly problems: readonly string[];
  readonly nodes: number;
  readonly events: number;
  readonly acknowledged: number;
  readonly stable: number;
  /** Acknowledged creations that the protocol lost. */
  readonly lost: number;
  /** The machines' last lines, by node. */
  readonly lines: readonly string[];
}

/** Runs the schedule of `seed`. */
export function runSchedule(seed: number): Outcome {
  const simulation = new Simulation({ seed });
  const problems: string[] = [];
  try {
    for (let step = 0; step < STEPS; step++) {
      simulation.step();
      if (step % 5 === 0) noteStable(simulation);
    }
    simulation.calm = true;
    for (const node of simulation.nodes) node.rows.failure = 0;
    if (!settle(simulation)) problems.push("does not come to rest after the faults");
    problems.push(...unequalTrees(simulation.nodes));
    for (const node of simulation.nodes) if (node.process === undefined) simulation.start(node);
    // Two changes of ring, so that every member synchronises after the last loss.
    const all = simulation.nodes.map(({ nodeid }) => nodeid);
    simulation.reform(all.map((nodeid) => [nodeid]));
    if (!settle(simulation)) problems.push("does not come to rest when cut apart");
    simulation.reform([all]);
    if (!settle(simulation)) problems.push("does not come to rest when healed");
    problems.push(...unequalEnd(simulation));
    problems.push(...unverified(simulation));
  } catch (error) {
    problems.push(
      `throws ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
  }
  const { acknowledged, nodes, events } = simulation;
  return {
    seed,
    problems,
    nodes: nodes.length,
    events,
    acknowledged: acknowledged.length,
    stable: acknowledged.filter(({ stable }) => stable).length,
    lost: lost(simulation),
    lines: nodes.flatMap(({ nodeid, process }) =>
      (process?.lines ?? []).map((line) => `node ${nodeid} ${line}`),
    ),
  };
}

/** Runs until no node has anything to do; false when that does not happen. */
function settle(simulation: Simulation): boolean {
  const end = simulation.steps + MOST_STEPS;
  while (simulation.steps < end) {
    for (let step = 0; step < 8; step++) simulation.step();
    if (simulation.quiet && simulation.waiting === 0) return true;
  }
  return false;
}

/** A verification by the lowest member must find nothing. */
function unverified(simulation: Simulation): string[] {
  const [lowest] = simulation.nodes;
  if (lowest?.process?.groups.dcdb.machine.verify() !== true) return ["cannot be verified"];
  settle(simulation);
  const failed = simulation.nodes.filter(({ process }) => process?.synced !== true);
  return failed.map(({ nodeid }) => `node ${nodeid} fails the verification`);
}
