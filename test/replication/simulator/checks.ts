// Invariants of every schedule, whatever corosync, the clients and the faults did.
import type { MemoryRows } from "../../../src/pmxcfs/store/memory-rows.ts";
import type { Simulation, SimNode } from "./simulation.ts";
import type { SimProcess } from "./sim-process.ts";
import { chain, Field } from "../../../src/pmxcfs/state/log-block.ts";

function has({ process, rows }: SimNode, path: string): boolean {
  if (process !== undefined) return process.tree.memdb.find(path) !== undefined;
  return [...rows.rows.values()].some(({ name }) => name === path);
}

/**
 * Marks acknowledged creations as stable, which must never be lost: every server of a majority has
 * them, and no server outside is ahead or can get ahead. Removes the mark where the protocol does
 * lose them: quorum counts nodes, so the running servers of a quorate ring may all lack a change.
 */
export function noteStable(simulation: Simulation): void {
  const { nodes, acknowledged } = simulation;
  if (acknowledged.length === 0) return;
  for (const ring of new Set(nodes.flatMap(({ station }) => station.ring ?? []))) {
    if (ring.nodes.size * 2 <= nodes.length) continue;
    const inside = nodes.filter(({ nodeid }) => ring.nodes.has(nodeid));
    const working = inside.filter(({ process }) => process?.groups.dcdb.machine.mode === "synced");
    for (const write of acknowledged) {
      if (!write.stable) continue;
      const lacking = working.some((node) => !has(node, write.path));
      const idle = inside.some((node) => !working.includes(node) && has(node, write.path));
      if (lacking && idle) write.stable = false;
    }
    const least = Math.min(...inside.map(({ rows }) => rows.root.version));
    const ahead = nodes.some((node) => {
      if (ring.nodes.has(node.nodeid)) return false;
      return (node.process?.database.quorate ?? false) || node.rows.root.version >= least;
    });
    if (ahead) continue;
    for (const write of acknowledged) {
      write.stable ||= inside.every((node) => has(node, write.path));
    }
  }
}

/** Synced members of one ring must have the same tree; one line for each that differs. */
export function unequalTrees(nodes: readonly SimNode[]): string[] {
  const found: string[] = [];
  const byRing = new Map<unknown, [SimNode, string][]>();
  for (const node of nodes) {
    const { process, station } = node;
    if (process === undefined || station.ring === undefined) continue;
    if (process.groups.dcdb.machine.mode !== "synced") continue;
    const checksum = process.tree.index.checksum().toString("hex", 0, 8);
    const others = byRing.get(station.ring) ?? [];
    byRing.set(station.ring, [...others, [node, checksum]]);
  }
  for (const others of byRing.values()) {
    const [first] = others;
    for (const [node, checksum] of others) {
      if (checksum === first?.[1]) continue;
      found.push(`trees of nodes ${first?.[0].nodeid} and ${node.nodeid} differ`);
    }
  }
  return found;
}

/** After healing, trees, rows, keys and logs must be the same on all nodes. */
export function unequalEnd(simulation: Simulation): string[] {
  const found: string[] = [];
  const running = simulation.nodes.flatMap(({ process, rows, nodeid }) =>
    process === undefined ? [] : [{ process, rows, nodeid }],
  );
  if (running.length !== simulation.nodes.length) found.push("not all servers run");
  for (const { process, nodeid } of running) {
    if (!process.synced) found.push(`node ${nodeid} is not synced`);
  }
  found.push(...unequalTrees(simulation.nodes));
  const [first] = running;
  if (first === undefined) return found;
  for (const { process, rows, nodeid } of running) {
    if (rows.root.version !== process.tree.version) found.push(`database of ${nodeid} is behind`);
    const wrong = unloadable(process, rows);
    if (wrong !== undefined) found.push(`database of ${nodeid}: ${wrong}`);
    if (logOf(process) !== logOf(first.process)) found.push(`logs of 1 and ${nodeid} differ`);
    found.push(...unequalKeys(process, running));
  }
  for (const { path, node, stable } of simulation.acknowledged) {
    const there = first.process.tree.memdb.find(path) !== undefined;
    if (stable && !there) found.push(`${path}, acknowledged on node ${node} and stable, is lost`);
  }
  if (simulation.waiting > 0) found.push(`${simulation.waiting} callers still wait`);
  return found;
}

/**
 * Why a node's rows are not its tree: an entry without a row, two rows with one name, a row without
 * its directory. Rows without an entry are allowed (store/orphan-rows.ts).
 */
function unloadable({ tree }: SimProcess, { rows }: MemoryRows): string | undefined {
  const places = new Set<string>();
  for (const { parent, name } of rows.values()) {
    if (parent !== 0 && !rows.has(parent)) return `"${name}" has no directory`;
    places.add(`${parent}/${name}`);
  }
  if (places.size !== rows.size) return "two rows have one name";
  for (const { inode, name, version } of tree.entries()) {
    if (rows.get(inode)?.version !== version) return `"${name}" is not as in memory`;
  }
  return undefined;
}

/** The number of acknowledged creations that are missing at the end, as the protocol allows. */
export function lost(simulation: Simulation): number {
  const tree = simulation.nodes[0]?.process?.tree;
  return simulation.acknowledged.filter(({ path }) => tree?.memdb.find(path) === undefined).length;
}

/** Keys of `owner` that other nodes have with another value; one line for each. */
export function unequalKeys(
  owner: SimProcess,
  running: readonly { process: SimProcess; nodeid: number }[],
): string[] {
  const found: string[] = [];
  const name = `n${owner.self.nodeid}`;
  for (const [key, value] of owner.status.ownKeys()) {
    for (const { process, nodeid } of running) {
      const there = process.status.get(name, key);
      const same = there !== undefined && Buffer.from(there).equals(value);
      if (!same) found.push(`node ${nodeid} has another ${key} of node ${owner.self.nodeid}`);
    }
  }
  return found;
}

/** The entries of a log, in order, as text. */
export function logOf({ log }: SimProcess): string {
  log.sort();
  const block = Buffer.from(log.block);
  const entries = [...chain(block)].map((at) =>
    block.toString("hex", at + Field.uid, at + Field.userDigest),
  );
  return entries.join(" ");
}
