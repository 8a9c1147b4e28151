/** Times of work that other processes disturb. */

/** The shortest of `runs` runs of `work`, in ms. */
export function shortestMs(runs: number, work: () => unknown): number {
  const times = Array.from({ length: runs }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  });
  return Math.min(...times);
}
