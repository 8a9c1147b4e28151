/** The result of a soak of nodes: totals, and the observations that are faults. */
import { plot } from "../plot.ts";
import type { Holding, SoakedNode } from "./soaked-node.ts";

/**
 * A change that was acknowledged at most this long before a disturbance may be lost
 * (docs/internals/replication.md, "What can be lost"): corosync declares the token lost after 1 s,
 * and forms a new membership 1.2 s later.
 */
const BEFORE_CUT_MS = 1_000;
/** A failed call may be recorded at most this long after the end of its cause. */
const AFTERMATH_MS = 3_000;
/** Private memory may grow by this much after the warm-up. */
const GROWTH_KIB = 48 * 1024;
/** Rounds in which resources grow that are made at the first use. */
const WARM_UP = 2;
const SLACK = 6;
/** In fewer rounds, growth is less than the garbage that is not collected yet. */
const ROUNDS_FOR_MEMORY = 12;

function isWithin(at: number, { disturbances }: SoakedNode): boolean {
  return disturbances.some(({ from, to }) => at >= from - BEFORE_CUT_MS && at <= to + AFTERMATH_MS);
}

/** Acknowledged changes that were lost without a disturbance. */
function lost(node: SoakedNode): string[] {
  return node.losses
    .filter(({ at }) => !isWithin(at, node))
    .map(({ what }) => `${node.name}: acknowledged and lost: ${what}`);
}

function undisturbed(node: SoakedNode): string[] {
  return node.incidents
    .filter(({ at }) => !isWithin(at, node))
    .map(({ at, what }) => `${node.name}, undisturbed at ${new Date(at).toISOString()}: ${what}`);
}

/** Locks held by two nodes at once, neither of which was disturbed. */
function heldTwice(nodes: readonly SoakedNode[]): string[] {
  const all = nodes
    .flatMap((node) => node.held.map((held) => ({ node, ...held })))
    .filter(({ node, from }) => !isWithin(from, node))
    .toSorted((first, second) => first.from - second.from);
  return all.flatMap((held, index) => {
    const next = all.slice(index + 1).find(({ lock }) => lock === held.lock);
    if (next === undefined || next.from >= held.to) return [];
    return [`${held.lock}: held by ${held.node.name} and ${next.node.name} at once`];
  });
}

const KINDS = ["descriptors", "shm", "files"] as const;

function leastMemory(holdings: readonly Holding[]): number {
  return Math.min(...holdings.map(({ residentKib }) => residentKib));
}

function grown({ name, holdings }: SoakedNode): string[] {
  const rest = holdings.slice(WARM_UP);
  const last = rest.at(-1);
  if (last === undefined || rest.length < 3) return [];
  const part = Math.ceil(rest.length / 3);
  const memory = leastMemory(rest.slice(-part)) - leastMemory(rest.slice(0, part));
  const warm = rest.slice(0, part);
  const most = (kind: (typeof KINDS)[number]) => Math.max(...warm.map((each) => each[kind]));
  return [
    ...(rest.length >= ROUNDS_FOR_MEMORY && memory > GROWTH_KIB
      ? [`${name}: memory has grown by ${memory} KiB`]
      : []),
    ...KINDS.filter((kind) => last[kind] > most(kind) + SLACK).map(
      (kind) => `${name}: ${kind} have grown from ${most(kind)} to ${last[kind]}`,
    ),
  ];
}

function print(nodes: readonly SoakedNode[]): void {
  for (const { name, counts, holdings, losses, incidents } of nodes) {
    const sums = Object.entries(counts).map(([what, count]) => `${count} ${what}`);
    console.log(`${name}: ${sums.join(", ")}`);
    console.log(
      `${name}: ${incidents.length} calls failed and ${losses.length} acknowledged changes were ` +
        "lost while it was disturbed",
    );
    const memory = holdings.map(({ residentKib }) => Math.round(residentKib / 1024));
    if (holdings.length > 0) console.log(plot(`${name} own memory`, memory, " MiB"));
    for (const kind of KINDS) {
      const values = holdings.map((each) => each[kind]);
      if (values.length > 0) console.log(plot(`${name} ${kind}`, values));
    }
  }
}

/** Prints the totals; returns the faults. */
export function judge(nodes: readonly SoakedNode[]): string[] {
  print(nodes);
  return [
    ...nodes.flatMap((node) => [...lost(node), ...undisturbed(node), ...grown(node)]),
    ...heldTwice(nodes),
  ];
}
