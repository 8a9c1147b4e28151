/**
 * Log-linear latency histogram, after Gil Tene's HdrHistogram: 128 buckets per power of two, so
 * that the error is at most 1 % at any magnitude, in fixed memory.
 */

/** Buckets per power of two. */
const STEPS = 128;
const STEP_BITS = 7;
/** Values above 2^40 ns (18 minutes) count as the largest value below it. */
const VALUE_BITS = 40;
const SLOTS = (VALUE_BITS - STEP_BITS + 1) * STEPS;
const LARGEST = 2 ** VALUE_BITS - 1;

/** Values below STEPS have a bucket each; above, each power of two has STEPS of them. */
function slotOf(value: number): number {
  if (value < STEPS) return value;
  const bits = 31 - Math.clz32(value > 0xffffffff ? value / 0x100000000 : value);
  const power = value > 0xffffffff ? bits + 32 : bits;
  const shift = power - STEP_BITS;
  return (shift + 1) * STEPS + Math.floor(value / 2 ** shift) - STEPS;
}

/** The largest value of a bucket. */
function valueOf(slot: number): number {
  if (slot < STEPS) return slot;
  const shift = Math.floor(slot / STEPS) - 1;
  return ((slot % STEPS) + STEPS + 1) * 2 ** shift - 1;
}

/** Counts of values in nanoseconds. */
export class Histogram {
  readonly #counts = new Float64Array(SLOTS);
  #total = 0;
  #max = 0;
  #min = Infinity;
  #sum = 0;

  get total(): number {
    return this.#total;
  }

  /** The exact largest value; 0 when there is none. */
  get max(): number {
    return this.#max;
  }

  get min(): number {
    return this.#total === 0 ? 0 : this.#min;
  }

  get mean(): number {
    return this.#total === 0 ? 0 : this.#sum / this.#total;
  }

  /** Counts a value in whole nanoseconds. */
  record(value: number): void {
    const bounded = Math.min(Math.max(0, Math.floor(value)), LARGEST);
    const slot = slotOf(bounded);
    this.#counts[slot] = (this.#counts[slot] ?? 0) + 1;
    this.#total++;
    this.#sum += bounded;
    if (bounded > this.#max) this.#max = bounded;
    if (bounded < this.#min) this.#min = bounded;
  }

  /** The value, within 1 %, that a fraction `part` (0 to 1) of all values does not exceed. */
  quantile(part: number): number {
    const wanted = Math.max(1, Math.ceil(part * this.#total));
    let seen = 0;
    for (const [slot, count] of this.#counts.entries()) {
      seen += count;
      if (seen >= wanted) return Math.min(valueOf(slot), this.#max);
    }
    return this.#max;
  }

  /** The sum of all values. */
  get sum(): number {
    return this.#sum;
  }

  /** Counts of values: for each of the ascending `bounds`, above the last one; then the rest. */
  bucketCounts(bounds: readonly number[]): number[] {
    const counts = Array.from({ length: bounds.length + 1 }, () => 0);
    let bucket = 0;
    for (const [slot, count] of this.#counts.entries()) {
      if (count === 0) continue;
      const value = valueOf(slot);
      while (bucket < bounds.length && value > (bounds[bucket] ?? Infinity)) bucket++;
      counts[bucket] = (counts[bucket] ?? 0) + count;
    }
    return counts;
  }

  /** The number of values in (from, to], to the precision of the buckets. */
  between(from: number, to: number): number {
    let count = 0;
    for (const [slot, each] of this.#counts.entries()) {
      const value = valueOf(slot);
      if (each > 0 && value > from && value <= to) count += each;
    }
    return count;
  }

  /** The non-empty buckets as pairs, for a child process's report to its parent. */
  toPairs(): { pairs: [slot: number, count: number][]; max: number; min: number; sum: number } {
    const pairs: [number, number][] = [];
    for (const [slot, count] of this.#counts.entries()) if (count > 0) pairs.push([slot, count]);
    return { pairs, max: this.#max, min: this.min, sum: this.#sum };
  }

  /** Adds a result of `toPairs`. */
  add(other: ReturnType<Histogram["toPairs"]>): void {
    for (const [slot, count] of other.pairs) {
      this.#counts[slot] = (this.#counts[slot] ?? 0) + count;
      this.#total += count;
    }
    this.#sum += other.sum;
    this.#max = Math.max(this.#max, other.max);
    if (other.pairs.length > 0) this.#min = Math.min(this.#min, other.min);
  }
}
