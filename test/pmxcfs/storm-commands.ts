/** The commands of a storm: the same for the same seed, in the process that is killed and here. */
import fc from "fast-check";
import type { JournalRecord } from "../../src/pmxcfs/store/journal-format.ts";
import { anyCommand } from "./tree-model.ts";

/** `count` commands with their origins. */
export function stormCommands(seed: number, count: number): JournalRecord[] {
  const origin = fc.record({ writer: fc.nat(2), time: fc.integer({ min: 1000, max: 1010 }) });
  return fc.sample(fc.record({ command: anyCommand, origin }), { seed, numRuns: count });
}
