/**
 * Log-linear latency histogram, after Gil Tene's HdrHistogram: 128 buckets per power of two, so
 * that the error is at most 1 % at any magnitude, in fixed memory.
 */

/** log2 of the buckets per power of two. */
const STEP_BITS = 7;
/** Buckets per power of two. */
const STEPS = 2 ** STEP_BITS;
/** Values above 2^40 ns (18 minutes) count as the largest value below it. */
const VALUE_BITS = 40;
const BUCKETS = (VALUE_BITS - STEP_BITS + 1) * STEPS;
const LARGEST = 2 ** VALUE_BITS - 1;

/** Values below STEPS have a bucket each; above, each power of two has STEPS of them. */
function bucketOf(value: number): number {
  if (value < STEPS) return value;
  const bits = 31 - Math.clz32(value > 0xffffffff ? value / 0x100000000 : value);
  const power = value > 0xffffffff ? bits + 32 : bits;
  const shift = power - STEP_BITS;
  return (shift + 1) * STEPS + Math.floor(value / 2 ** shift) - STEPS;
}

/** The largest value of a bucket. */
function valueOf(bucket: number): number {
  if (bucket < STEPS) return bucket;
  const shift = Math.floor(bucket / STEPS) - 1;
  return ((bucket % STEPS) + STEPS + 1) * 2 ** shift - 1;
}

/** Counts of values in nanoseconds. */
export class Histogram {
  readonly #counts = new Float64Array(BUCKETS);
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

  /** The exact smallest value; 0 when there is none. */
  get min(): number {
    return this.#total === 0 ? 0 : this.#min;
  }

  /** Counts a value; a fraction of a nanosecond is dropped. */
  record(value: number): void {
    const bounded = Math.min(Math.max(0, Math.floor(value)), LARGEST);
    const bucket = bucketOf(bounded);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#total++;
    this.#sum += bounded;
    if (bounded > this.#max) this.#max = bounded;
    if (bounded < this.#min) this.#min = bounded;
  }

  /** The value that a fraction `part` (0 to 1) of all does not exceed; at most 1 % too high. */
  quantile(part: number): number {
    const rank = Math.max(1, Math.ceil(part * this.#total));
    let seen = 0;
    for (const [bucket, count] of this.#counts.entries()) {
      seen += count;
      if (seen >= rank) return Math.min(valueOf(bucket), this.#max);
    }
    return this.#max;
  }

  /** The sum of all values. */
  get sum(): number {
    return this.#sum;
  }

  /**
   * The number of values at or below each of the ascending `bounds` and above the one before it;
   * last, the number above all bounds. To the precision of the buckets.
   */
  bucketCounts(bounds: readonly number[]): number[] {
    const counts = Array.from({ length: bounds.length + 1 }, () => 0);
    let index = 0;
    for (const [bucket, count] of this.#counts.entries()) {
      if (count === 0) continue;
      const value = valueOf(bucket);
      while (index < bounds.length && value > (bounds[index] ?? Infinity)) index++;
      counts[index] = (counts[index] ?? 0) + count;
    }
    return counts;
  }

  /** The number of values in (from, to], to the precision of the buckets. */
  between(from: number, to: number): number {
    let count = 0;
    for (const [bucket, each] of this.#counts.entries()) {
      const value = valueOf(bucket);
      if (each > 0 && value > from && value <= to) count += each;
    }
    return count;
  }

  /** The non-empty buckets as pairs, for a child process's report to its parent. */
  toPairs(): { pairs: [bucket: number, count: number][]; max: number; min: number; sum: number } {
    const pairs: [number, number][] = [];
    for (const [bucket, count] of this.#counts.entries()) {
      if (count > 0) pairs.push([bucket, count]);
    }
    return { pairs, max: this.#max, min: this.min, sum: this.#sum };
  }

  /** Adds a result of `toPairs`. */
  add(other: ReturnType<Histogram["toPairs"]>): void {
    for (const [bucket, count] of other.pairs) {
      this.#counts[bucket] = (this.#counts[bucket] ?? 0) + count;
      this.#total += count;
    }
    this.#sum += other.sum;
    this.#max = Math.max(this.#max, other.max);
    if (other.pairs.length > 0) this.#min = Math.min(this.#min, other.min);
  }
}
