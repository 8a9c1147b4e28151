/**
 * Jobs that are too long for one turn of the event loop, as generators. A job yields wherever it
 * can be interrupted: the length of the work since the last yield, in steps of about 50 us
 * (undefined: one step). Work that must not be seen half done contains no yield.
 */

/** Yielded by a job that waits for another thread: ends the slice. */
export const WAITS = Infinity;

/** Length of a slice in ms. */
const SLICE_MS = 1;
/** A slice goes on to so many steps, though not for longer than the event loop may be blocked. */
const STEPS_PER_SLICE = 20;
const LONGEST_SLICE_MS = 2;
/** Steps that a slice has in any case. */
const LEAST_STEPS = 5;

/** A job with a result of type `T`. */
export type Steps<T = void> = Generator<number | undefined, T>;

/** The outcome of a slice: the job's result if it is complete, else what it waits for. */
export type SliceEnd<T> = { readonly value: T } | "a turn" | "another thread";

/**
 * Runs one slice of a job: at least `leastSteps`, however long they take. Steps take several times
 * as long until Bun has compiled their code.
 */
export function slice<T>(steps: Steps<T>, leastSteps = LEAST_STEPS): SliceEnd<T> {
  const start = performance.now();
  for (let count = 0; count < leastSteps || hasTime(performance.now() - start, count);) {
    const step = steps.next();
    if (step.done === true) return { value: step.value };
    count += step.value ?? 1;
    if (count === WAITS) return "another thread";
  }
  return "a turn";
}

function hasTime(elapsedMs: number, count: number): boolean {
  return elapsedMs < (count < STEPS_PER_SLICE ? LONGEST_SLICE_MS : SLICE_MS);
}

/** Runs a job to its end without a pause; returns its result. */
export function drained<T>(steps: Generator<unknown, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Items per step, for jobs that do little with each. */
const ITEMS_PER_STEP = 64;

/** The parts of a list that a job handles between two yields. */
export function* inParts<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < items.length; from += ITEMS_PER_STEP) {
    yield items.slice(from, from + ITEMS_PER_STEP);
  }
}

/** The items sorted by a number, stably, in steps. */
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
    if (all.length % (8 * ITEMS_PER_STEP) === 0) yield undefined;
  }
  return all;
}
