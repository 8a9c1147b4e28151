/** The commands of a storm: the same for a seed in the killed process and in the test. */
import fc from "fast-check";
import type { JournalRecord } from "../../src/pmxcfs/store/journal-format.ts";
import { anyCommand, writerOf } from "./tree-model.ts";

/** `count` commands with their origins. */
export function stormCommands(seed: number, count: number): JournalRecord[] {
  const origin = fc.record({ writer: fc.nat(2), time: fc.integer({ min: 1000, max: 1010 }) });
  const record = fc.record({ command: anyCommand, origin }).map((drawn) => {
    const writer = writerOf(drawn.command, drawn.origin.writer);
    return { command: drawn.command, origin: { writer, time: drawn.origin.time } };
  });
  return fc.sample(record, { seed, numRuns: count });
}
