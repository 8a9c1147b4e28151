/**
 * Work that is too long for one turn of the event loop, as a generator. It yields wherever it can
 * be interrupted: nothing for a step of about 50 us, or its length in such steps. What must not be
 * seen half done is done without a yield.
 */

/** Yielded by a job that waits for another thread: the slice is over. */
export const WAITS = Infinity;

/** A slice, in ms: the loop may be held for 2. */
const SLICE_MS = 1;
/** Steps of every slice, however long they take by the clock. */
const LEAST_STEPS = 20;

/** A job, and what comes of it. */
export type Steps<T = void> = Generator<number | undefined, T>;

/** What a slice came to: what came of the job, when it is over; else what it needs next. */
export type SliceEnd<T> = { readonly value: T } | "a turn" | "another thread";

/**
 * One slice of a job. It has a least number of steps, so that a small change is taken over at once
 * on a machine that is busy with other things too.
 */
export function slice<T>(steps: Steps<T>): SliceEnd<T> {
  const end = performance.now() + SLICE_MS;
  for (let count = 0; count < LEAST_STEPS || performance.now() < end;) {
    const step = steps.next();
    if (step.done === true) return { value: step.value };
    count += step.value ?? 1;
    if (count === WAITS) return "another thread";
  }
  return "a turn";
}

/** A job at once, to its end. */
export function drained<T>(steps: Generator<unknown, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Items of a step that does little with each. */
const FEW = 64;

/** Of a list, parts that a job does between two yields. */
export function* inParts<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < items.length; from += FEW) yield items.slice(from, from + FEW);
}

/** Sorted by numbers, in steps; equal numbers stay in their order. */
export function* sortedBy<T>(items: readonly T[], keyOf: (item: T) => number): Steps<T[]> {
  let runs: T[][] = [];
  for (const part of inParts(items)) {
    runs.push(part.toSorted((a, b) => keyOf(a) - keyOf(b)));
    yield undefined;
  }
  while (runs.length > 1) {
    const longer: T[][] = [];
    for (let at = 0; at < runs.length; at += 2) {
      longer.push(yield* merged(runs[at] ?? [], runs[at + 1] ?? [], keyOf));
    }
    runs = longer;
  }
  return runs[0] ?? [];
}

function* merged<T>(
  one: readonly T[],
  other: readonly T[],
  keyOf: (item: T) => number,
): Steps<T[]> {
  const all: T[] = [];
  let [at, otherAt] = [0, 0];
  while (at < one.length || otherAt < other.length) {
    const [first, second] = [one[at], other[otherAt]];
    const takesFirst =
      second === undefined || (first !== undefined && keyOf(first) <= keyOf(second));
    if (takesFirst) at++;
    else otherAt++;
    all.push((takesFirst ? first : second) as T);
    if (all.length % (8 * FEW) === 0) yield undefined;
  }
  return all;
}
