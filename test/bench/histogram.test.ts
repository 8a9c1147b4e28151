/** The histogram against the sorted values: its error is below 1 %. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Histogram } from "../../src/base/histogram.ts";

const values = fc.array(fc.oneof(fc.nat(300), fc.nat(1_000_000), fc.nat(2 ** 39)), {
  minLength: 1,
  maxLength: 200,
});

function exactQuantile(sorted: readonly number[], part: number): number {
  return sorted[Math.max(1, Math.ceil(part * sorted.length)) - 1] ?? 0;
}

test("a quantile is at most 1 % above the exact one, and never below it", () => {
  fc.assert(
    fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (all, part) => {
      const histogram = new Histogram();
      for (const value of all) histogram.record(value);
      const sorted = all.toSorted((one, other) => one - other);
      const exact = exactQuantile(sorted, part);
      const found = histogram.quantile(part);
      expect(found).toBeGreaterThanOrEqual(exact);
      expect(found).toBeLessThanOrEqual(exact * 1.01 + 1);
      expect([histogram.min, histogram.max]).toEqual([sorted[0] ?? 0, sorted.at(-1) ?? 0]);
    }),
  );
});

test("the sum of two histograms is the histogram of all values", () => {
  fc.assert(
    fc.property(values, values, (some, more) => {
      const [first, second, whole] = [new Histogram(), new Histogram(), new Histogram()];
      for (const value of some) first.record(value);
      for (const value of more) second.record(value);
      for (const value of [...some, ...more]) whole.record(value);
      first.add(second.toPairs());
      expect(first.toPairs()).toEqual(whole.toPairs());
      expect(first.total).toBe(some.length + more.length);
    }),
  );
});

test("the ranges below and above a cut have all values", () => {
  fc.assert(
    fc.property(values, fc.nat(2 ** 39), (all, cut) => {
      const histogram = new Histogram();
      for (const value of all) histogram.record(value);
      const below = histogram.between(-1, cut);
      expect(below + histogram.between(cut, Infinity)).toBe(all.length);
    }),
  );
});

test("the count of a bucket is that of its range", () => {
  const bounds = [100, 10_000, 1_000_000];
  fc.assert(
    fc.property(values, (all) => {
      const histogram = new Histogram();
      for (const value of all) histogram.record(value);
      const edges = [-1, ...bounds, Infinity];
      const between = edges.slice(1).map((to, at) => histogram.between(edges[at] ?? 0, to));
      expect(histogram.bucketCounts(bounds)).toEqual(between);
    }),
  );
});

test("an empty histogram has zeroes; a value outside the range counts as its bound", () => {
  const histogram = new Histogram();
  expect([histogram.quantile(0.5), histogram.max, histogram.min]).toEqual([0, 0, 0]);
  histogram.record(-5);
  histogram.record(2 ** 60);
  expect([histogram.min, histogram.total]).toEqual([0, 2]);
  expect(histogram.max).toBe(2 ** 40 - 1);
});
