/** The pauses of a server's event loop, from its metric pmxcfs_ipc_loop_pause_seconds. */

import { type LoopPauses, PAUSE_BOUNDS_MS } from "../../../src/observe/loop-pauses.ts";

const BUCKET = /^pmxcfs_ipc_loop_pause_seconds_bucket\{le="([^"]+)"\} (\d+)/gm;

/** Cumulative counts by upper bound in seconds, as in the metric. */
export type Pauses = ReadonlyMap<number, number>;

/** The pauses in the text of a server's metrics. */
export function pausesIn(metrics: string): Pauses {
  const found = [...metrics.matchAll(BUCKET)];
  return new Map(
    found.map(([, le, count]) => [le === "+Inf" ? Infinity : Number(le), Number(count)]),
  );
}

/** The pauses that this process measured of its own event loop. */
export function ownPauses({ buckets: { counts } }: LoopPauses): Pauses {
  let sum = 0;
  return new Map(
    [...counts].map((count, at) => [(PAUSE_BOUNDS_MS[at] ?? Infinity) / 1000, (sum += count)]),
  );
}

/** The sum of two. */
export function added(first: Pauses, second: Pauses): Pauses {
  const bounds = new Set([...first.keys(), ...second.keys()]);
  return new Map([...bounds].map((le) => [le, (first.get(le) ?? 0) + (second.get(le) ?? 0)]));
}

/** The upper bound in ms of the bucket that has the quantile `share`. */
function bound(pauses: Pauses, share: number): number {
  const total = pauses.get(Infinity) ?? 0;
  for (const [le, count] of [...pauses].toSorted(([a], [b]) => a - b)) {
    if (count >= total * share) return le * 1000;
  }
  return 0;
}

/** Text: the upper bounds of the buckets of p99, p99.9 and the longest pause. */
export function pausesText(pauses: Pauses): string {
  const [p99, p999, worst] = [0.99, 0.999, 1].map((share) => bound(pauses, share));
  const total = pauses.get(Infinity) ?? 0;
  return `${total} turns, p99 <= ${p99} ms, p99.9 <= ${p999} ms, worst <= ${worst} ms`;
}
