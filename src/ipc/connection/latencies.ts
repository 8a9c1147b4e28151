/**
 * How long the requests of one connection took, counted by slots that grow: four to each power of
 * two, so that a percentile is right to a quarter. Half a KiB, and one addition for a request.
 */

/** The smallest step, in ns. */
const UNIT_NS = 64;

/** Slots of one power of two. */
const STEPS = 4;
const STEPS_LOG2 = 2;

/** The largest number of units that has a slot of its own: two minutes. */
const MOST_UNITS = 0x7fff_ffff;

const SLOTS = (31 - STEPS_LOG2 + 1) * STEPS;

/** `[upper, count]`: so many took at most `upper` ns, and more than the entry before. */
export type LatencyCounts = readonly (readonly [upperNs: number, count: number])[];

function slotOf(units: number): number {
  if (units < STEPS) return units;
  const power = 31 - Math.clz32(units);
  return (power - STEPS_LOG2 + 1) * STEPS + ((units >> (power - STEPS_LOG2)) & (STEPS - 1));
}

/** The first number of units that is above the slot. */
function endOf(slot: number): number {
  if (slot < STEPS) return slot + 1;
  const shift = Math.floor(slot / STEPS) - 1;
  return (STEPS + (slot % STEPS) + 1) * 2 ** shift;
}

export class Latencies {
  readonly #counts = new Uint32Array(SLOTS);

  /** `count` requests took `ns` each. */
  record(ns: number, count: number): void {
    const slot = slotOf(Math.min(ns / UNIT_NS, MOST_UNITS) | 0);
    this.#counts[slot] = (this.#counts[slot] ?? 0) + count;
  }

  /** What was recorded, shortest first; slots without any are left out. */
  counts(): LatencyCounts {
    return [...this.#counts.entries()]
      .filter(([, count]) => count > 0)
      .map(([slot, count]) => [endOf(slot) * UNIT_NS, count] as const);
  }
}
